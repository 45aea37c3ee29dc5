"""The text that a reader begins with: what models said, by the sections of a report.

In: text reports of Readings, names of findings that a reader rejected.  Out: text by section.
Never: a sentence of a rejected finding; the model's own remarks about itself.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from wetread.compose.wording import (
    NOTHING_FOUND,
    finding_line,
    label_text,
    place_text,
    prior_line,
)
from wetread.domain.finding import Finding
from wetread.domain.report import Section

#: Of ``compose.text``: its titles, and where their lines go.
_PLACES = {
    "IMPRESSION": Section.IMPRESSION,
    "EXAMINATION": Section.TECHNIQUE,
    "FINDINGS": Section.FINDINGS,
    "LUNGS": Section.FINDINGS,
    "COMPARISON": Section.COMPARISON,
    "LIMITS": Section.TECHNIQUE,
}
#: What is for the reading list and not for a report.
_NOT_FOR_REPORTS = ("Triage:",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Readers:
    """What readers changed and added, in the words of a report."""

    #: Findings as readers have them, with who changed them last, by their names.
    changed: Mapping[str, tuple[Finding, str]]
    #: A line of findings and one of the impression for each that was added.
    added: Sequence[tuple[str, str]] = ()


def revise_text(text: str, readers: Readers) -> str:
    """Return a text report with what readers changed and added in the place of what the model said.

    Parameters
    ----------
    text
        As ``compose.text`` makes it.
    """
    blocks = []
    for block in text.split("\n\n"):
        title, _, content = block.partition("\n")
        lines = [_revised(title.strip(), line, readers) for line in content.splitlines()]
        which = {"FINDINGS": 0, "IMPRESSION": 1}.get(title.strip())
        if which is not None and readers.added:
            lines = [line for line in lines if line != NOTHING_FOUND]
            at = next((at for at, line in enumerate(lines) if line.startswith(_NOT_FOR_REPORTS)), len(lines))
            lines[at:at] = [one[which] for one in readers.added]
        blocks.append("\n".join([title, *(line for line in lines if line)]))
    return "\n\n".join(blocks)


def _revised(title: str, line: str, readers: Readers) -> str:
    """Return a line as readers have it; ``""``: it says nothing any more."""
    for name in find_named([line], readers.changed):
        finding, who = readers.changed[name]
        if title == "FINDINGS":
            return f"{finding_line(name, finding)} Changed by {who}."
        if title == "IMPRESSION":
            place = place_text(finding)
            return label_text(name, finding) + (f", {place}." if place else ".")
        if title == "COMPARISON":
            if "% since the prior study" not in line:
                return line
            return f"{name}: {prior_line(finding.prior)}" if finding.prior else ""
    return line


def prefill(texts: Iterable[str], rejected: Collection[str] = ()) -> Mapping[Section, str]:
    """Return what models said, by section.

    Parameters
    ----------
    texts
        As ``compose.text`` makes them.
    rejected
        Names of findings that are left out, e.g. ``Nodule 2``.
    """
    found: dict[Section, list[str]] = {}
    for text in texts:
        for section, line in _placed(text):
            if not line.startswith(_NOT_FOR_REPORTS) and not find_named([line], rejected):
                found.setdefault(section, []).append(line)
    return {section: "\n".join(dict.fromkeys(found[section])) for section in Section if section in found}


def find_named(lines: Iterable[str], names: Collection[str]) -> list[str]:
    """Return the names that lines begin with: sentences of findings do."""
    ends = (":", ",", ".")
    return sorted(
        {name for line in lines for name in names if line.startswith(tuple(name + end for end in ends))}
    )


def _placed(text: str) -> Iterable[tuple[Section, str]]:
    place: Section | None = None
    blocks = text.split("\n\n")
    for block in blocks:
        title, _, content = block.partition("\n")
        place = _PLACES.get(title.strip())
        if place is not None:
            yield from ((place, line) for line in content.splitlines() if line.strip())
