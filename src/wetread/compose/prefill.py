"""The text that a reader begins with: what models said, by the sections of a report.

In: text reports of Readings, names of findings that a reader rejected.  Out: text by section.
Never: a sentence of a rejected finding; the model's own remarks about itself.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

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
    return sorted({name for line in lines for name in names if line.startswith((f"{name}:", f"{name},"))})


def _placed(text: str) -> Iterable[tuple[Section, str]]:
    place: Section | None = None
    blocks = text.split("\n\n")
    for block in blocks:
        title, _, content = block.partition("\n")
        place = _PLACES.get(title.strip())
        if place is not None:
            yield from ((place, line) for line in content.splitlines() if line.strip())
