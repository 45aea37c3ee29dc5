"""A validation report that speaks for a package.

In: the folder that ``wetread lab validate`` wrote.  Out: ``Report``, held against the package's own gate.
Never: the report's word for it that the gate is passed; a report of another package.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wetread.domain.model import Model
from wetread.errors import GateNotPassed, NoGate, WrongReport
from wetread.stats.gate import hold_against
from wetread.stats.interval import Interval

METRICS_FILE = "metrics.json"
_MOST_BYTES = 16 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a validation found."""

    #: sha256 of the file.
    digest: str
    #: Of the package that was validated.
    model_digest: str
    intervals: Mapping[str, Interval]
    #: All that stands in it.
    metrics: Mapping[str, Any]


def read_report(folder: Path) -> Report:
    """Read a report.

    Raises
    ------
    WrongReport
        If there is none, or it is none.
    """
    try:
        with (folder / METRICS_FILE).open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
        if len(data) > _MOST_BYTES:
            raise ValueError("too long")
        metrics = json.loads(data)
        digest = metrics["model"]["digest"]
        if not isinstance(digest, str):
            raise TypeError(digest)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise WrongReport(f"There is no readable {METRICS_FILE} of `wetread lab validate`.") from error
    intervals = {name: one for name, plain in metrics.items() if (one := _interval(plain)) is not None}
    return Report(
        digest=hashlib.sha256(data).hexdigest(),
        model_digest=digest,
        intervals=intervals,
        metrics=metrics,
    )


def check_report(model: Model, report: Report) -> None:
    """Refuse a report that does not speak for a package.

    Raises
    ------
    WrongReport
        If it is one of another package, or of this one before it was changed.
    NoGate
        If the package asks for nothing, so that nothing could be passed.
    GateNotPassed
        If the worse end of an interval does not reach what is asked for.
    """
    if report.model_digest != model.identity.digest:
        raise WrongReport(package=model.identity.digest, report=report.model_digest[:64])
    if not model.acceptance:
        raise NoGate(model=model.identity.name)
    failed = [one for one in hold_against(model.acceptance, report.intervals) if not one.is_passed]
    if failed:
        told = {one.metric: f"{one.reached:.4g}, {one.wanted:g} wanted" for one in failed}
        raise GateNotPassed(**told)


def _interval(plain: object) -> Interval | None:
    if not isinstance(plain, Mapping) or set(plain) != {"value", "low", "high"}:
        return None
    numbers = {name: _number(value) for name, value in plain.items()}
    return Interval(value=numbers["value"], low=numbers["low"], high=numbers["high"])


def _number(value: object) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if is_number else math.nan  # type: ignore[arg-type]
