"""What the steps of reading say in the history.

In: what a stage answered.  Out: one sentence.  Never: patient names.
"""

from __future__ import annotations

from wetread.domain.document import Document
from wetread.domain.model import ModelIdentity
from wetread.domain.reading import Outcome, Reading
from wetread.match import Match


def match_sentence(match: Match) -> str:
    """Say which models read which series."""
    if not match.chosen:
        return "No model reads this study; the page tells for each why not."
    return " ".join(f"{one.model}: {one.reason}" for one in match.chosen)


def title(model: ModelIdentity) -> str:
    """Return name and version."""
    return f"{model.name} {model.version}"


def reading_sentence(reading: Reading) -> str:
    """Say what came out of a reading."""
    name, count, triage = title(reading.model), len(reading.findings), reading.triage
    if reading.outcome is not Outcome.READ:
        return f"{name}: not read, because: {reading.problems[0].message}"
    if not count:
        return f"{name}: read, nothing found."
    reasons = f" {'; '.join(triage.reasons)}." if triage.reasons else ""
    plural = "" if count == 1 else "s"
    return f"{name}: {count} finding{plural}, {triage.priority.value}.{reasons}"


def documents_sentence(documents: tuple[Document, ...]) -> str:
    """Say what was composed."""
    counts: dict[str, int] = {}
    for document in documents:
        counts[document.kind.value.upper()] = counts.get(document.kind.value.upper(), 0) + 1
    return "Composed " + ", ".join(f"{count} {kind}" for kind, count in counts.items()) + "."
