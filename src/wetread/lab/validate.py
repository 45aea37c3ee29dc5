"""Validate a model: judge, score, compare, hold against its gate, write it down.

In: a model, labelled images that it was not trained on.  Out: ``Validation``, and it as JSON.
Never: a second look at the same images unsaid; a gate met by an estimate without its interval.
"""

from __future__ import annotations

import hashlib
import json
import math
import platform
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from wetread.domain.model import Model
from wetread.lab.beside import Beside, compare_models
from wetread.lab.judge import Kept, Verdict, judge
from wetread.lab.samples import SampleSet
from wetread.lab.score import Scores, score
from wetread.stats.compare import drop
from wetread.stats.gate import Gate, hold_against
from wetread.stats.interval import Interval

METRICS_FILE, LOG_FILE = "metrics.json", "validations.jsonl"
_PIECE = 1 << 20
_MOST_LOG_BYTES = 16 << 20
Told = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """Everything that a validation found."""

    model: Model
    data: str
    data_digest: str
    seed: int
    made_at: datetime
    scores: Scores
    gates: tuple[Gate, ...]
    notes: tuple[str, ...]
    verdicts: tuple[Verdict, ...] = field(repr=False)
    external: Scores | None = None
    #: Metric -> external minus internal.
    drops: Mapping[str, Interval] = field(default_factory=dict)
    #: Metric -> the other model minus this one.
    comparison: Mapping[str, Beside] = field(default_factory=dict)
    compared_with: str = ""
    #: By how much it may be worse than the other; None: not asked.
    margin: float | None = None

    @property
    def is_accepted(self) -> bool | None:
        """Whether every line of the gate is passed; None where the package has no gate."""
        return all(one.is_passed for one in self.gates) if self.gates else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a validation is asked for beside its model and data."""

    external: SampleSet | None = None
    other: Model | None = None
    #: By how much this model may be worse than the other and still count as not inferior.
    margin: float | None = None
    seed: int = 0
    #: Where validations are noted, so that a second look at the same data is seen; None: nowhere.
    log: Path | None = None
    #: What an earlier run has judged; None: nothing is kept.
    kept: Kept | None = None


def validate(
    model: Model,
    samples: SampleSet,
    digest: str,
    asked: Asked | None = None,
    told: Told = lambda _done, _total: None,
) -> Validation:
    """Judge and score.

    Parameters
    ----------
    digest
        Of the data, see ``digest_data``.

    Raises
    ------
    InvalidSamples, InvalidPackage, InvalidOutput
        If data or model cannot be used.
    ModelTimeout, ModelCrashed
        If the model hangs, breaks, or needs more than its limit.
    """
    asked = asked or Asked()
    verdicts = tuple(judge(model, samples, told, asked.kept))
    scores = score(model, samples, verdicts, asked.seed)
    external = None
    if asked.external is not None:
        external = score(model, asked.external, tuple(judge(model, asked.external)), asked.seed)
    comparison: Mapping[str, Beside] = {}
    if asked.other is not None:
        theirs = (asked.other, tuple(judge(asked.other, samples)))
        comparison = compare_models((model, verdicts), theirs, margin=asked.margin, seed=asked.seed)
    notes = (*samples.notes, *_known_before(asked.log, model, digest))
    return Validation(
        model=model,
        data=samples.name,
        data_digest=digest,
        seed=asked.seed,
        made_at=datetime.now(UTC),
        scores=scores,
        gates=hold_against(model.acceptance, scores.intervals),
        notes=notes,
        verdicts=verdicts,
        external=external,
        drops=_drops(scores, external) if external else {},
        comparison=comparison,
        compared_with=asked.other.identity.name if asked.other else "",
        margin=asked.margin if asked.other else None,
    )


def digest_data(path: Path, labels: Path | None = None) -> str:
    """Return the sha256 over the names, sizes and contents of a file or folder, and of its table."""
    total = hashlib.sha256()
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    for one in [*files, *([labels] if labels else [])]:
        if one.is_file():
            with one.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
            total.update(f"{one.name}\0{one.stat().st_size}\0{content}\n".encode())
    return total.hexdigest()


def to_metrics(found: Validation) -> dict[str, Any]:
    """Return ``metrics.json``."""
    return {
        **_numbers(found.scores),
        "model": asdict(found.model.identity),
        "data": {"name": found.data, "digest": found.data_digest},
        "gate": {
            "passed": found.is_accepted,
            "lines": [
                {
                    "metric": one.metric,
                    "wanted": one.wanted,
                    "reached": _plain(one.reached),
                    "passed": one.is_passed,
                }
                for one in found.gates
            ],
        },
        "external": None
        if found.external is None
        else _numbers(found.external) | {"drop": {name: _interval(one) for name, one in found.drops.items()}},
        "comparison": {
            name: {
                "difference": _interval(one.difference),
                "p_value": _plain(one.p_value),
                "not_inferior": one.is_not_inferior,
            }
            for name, one in found.comparison.items()
        },
        "compared_with": found.compared_with or None,
        "margin": found.margin,
        "notes": list(found.notes),
        "seed": found.seed,
        "made_at": found.made_at.isoformat(),
        "versions": {
            "wetread": version("wetread"),
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
    }


def note_validation(log: Path, found: Validation) -> None:
    """Note that these images have been seen."""
    line = {
        "at": found.made_at.isoformat(),
        "model": found.model.identity.name,
        "model_digest": found.model.identity.digest,
        "data_digest": found.data_digest,
    }
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def _known_before(log: Path | None, model: Model, digest: str) -> tuple[str, ...]:
    if log is None or not log.is_file() or log.stat().st_size > _MOST_LOG_BYTES:
        return ()
    seen = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines() if line]
    others = {
        one["model_digest"]
        for one in seen
        if one["data_digest"] == digest and one["model"] == model.identity.name
    }
    if not others:
        return ()
    return (
        f"These images were used before to validate {len(others)} version(s) of this model: scores of a"
        " version that was chosen by them are too good.",
    )


def _drops(inside: Scores, outside: Scores) -> dict[str, Interval]:
    shared = [name for name in ("auc", "accuracy", "dice", "lesion_sensitivity") if name in inside.intervals]
    return {
        name: drop(outside.intervals[name], inside.intervals[name])
        for name in shared
        if name in outside.intervals
    }


def _numbers(scores: Scores) -> dict[str, Any]:
    return {
        **{name: _interval(one) for name, one in scores.intervals.items()},
        "froc": [
            {
                "sensitivity": one.sensitivity,
                "false_positives": one.false_positives,
                "threshold": one.threshold,
            }
            for one in scores.froc
        ],
        "operating_curve": [
            {
                # All decimals: a threshold that is rounded up loses the sample that it stands for.
                "threshold": one.threshold,
                "sensitivity": _plain(one.sensitivity),
                "specificity": _plain(one.specificity),
            }
            for one in scores.operating
        ],
        "subgroups": {
            column: [
                {
                    "name": one.name,
                    "samples": one.samples,
                    "patients": one.patients,
                    scores.subgroup_metric: None if one.score is None else _interval(one.score),
                }
                for one in groups
            ]
            for column, groups in scores.subgroups.items()
        },
        "samples": scores.samples,
        "patients": scores.patients,
    }


def _interval(one: Interval) -> dict[str, float | None]:
    return {"value": _plain(one.value), "low": _plain(one.low), "high": _plain(one.high)}


def _plain(value: float) -> float | None:
    return round(float(value), 6) if math.isfinite(value) else None
