"""What a validation that was stopped has judged: the next one goes on there.

In: verdicts, one after the other.  Out: the same, of the same model on the same data.
Never: a verdict of another version or of other images; half a line.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path

from wetread.domain.jsonable import from_jsonable, to_jsonable
from wetread.domain.model import Model
from wetread.lab.judge import Verdict
from wetread.lab.samples import Sample

#: In the folder of the report, until it is written.
FILE = "judged.jsonl"
_MOST_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class KeptVerdicts:
    """Verdicts in a file, by the sample's id."""

    path: Path
    #: Of model and data.
    key: str
    _known: dict[str, Verdict] = field(default_factory=dict)

    def find(self, sample: Sample) -> Verdict | None:
        """Return that of a sample, None where there is none."""
        held = self._known.get(sample.id)
        return None if held is None else replace(held, sample=sample)

    def add(self, verdict: Verdict) -> None:
        """Keep one; what was kept stands when the next one fails."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"key": self.key, "verdict": to_jsonable(verdict)}) + "\n")

    def remove(self) -> None:
        """Forget all: the report is written."""
        self.path.unlink(missing_ok=True)


def open_kept(out: Path, model: Model, data_digest: str) -> KeptVerdicts:
    """Read what was judged before in this folder; what is of another model or data is left out."""
    path, key = out / FILE, f"{model.identity.digest} {data_digest}"
    known: dict[str, Verdict] = {}
    if path.is_file() and path.stat().st_size <= _MOST_BYTES:
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            verdict = _read(line, key)
            if verdict is not None:
                known[verdict.sample.id] = verdict
        # Begun anew with what counts: half a line at the end would spoil the next one.
        path.unlink()
    kept = KeptVerdicts(path, key, known)
    for verdict in known.values():
        kept.add(verdict)
    return kept


def _read(line: str, key: str) -> Verdict | None:
    try:
        held = json.loads(line)
        verdict: Verdict = from_jsonable(Verdict, held["verdict"])
    except (ValueError, LookupError, TypeError, AttributeError):
        return None
    return verdict if held["key"] == key else None
