"""What C-FIND and QIDO-RS match and return, level by level.

In: ``store.matching.MATCHABLE``, ``share.attributes``.  Out: Markdown.  Never: a key that is not matched.
"""

from __future__ import annotations

from pydicom.datadict import dictionary_VR, keyword_for_tag

from wetread.conformance.markdown import table
from wetread.domain.query import Level
from wetread.share.attributes import BELONGING, RETURNED, tag_of
from wetread.store.matching import MATCHABLE

_HOW = {
    "TEXT": "single value, wildcard",
    "UID": "single value, list of UID",
    "NAME": "single value, wildcard, without regard to case; fuzzy (QIDO-RS) by beginnings of words",
    "DATE": "single value, range",
    "TIME": "single value (a part means all within), range",
    "NUMBER": "single value",
    "MODALITY": "single value, wildcard; of any series of the study",
}


def write_keys() -> str:
    """Return the tables of keys."""
    parts = []
    for level in Level:
        rows = [
            (
                ".".join(_tag_text(tag_of(part)) for part in keyword.split(".")),
                keyword,
                dictionary_VR(int(tag_of(keyword.rpartition(".")[2]), 16)),
                _HOW[one.kind.name],
            )
            for keyword, one in MATCHABLE[level].items()
        ]
        returned = ", ".join(f"`{name}`" for name in _names(RETURNED[level]))
        more = ", ".join(f"`{name}`" for name in _names(BELONGING.get(level, frozenset()) - RETURNED[level]))
        parts.append(f"**{level.value.capitalize()} level**, matched:")
        parts.append(table(("tag", "attribute", "VR", "matching"), rows))
        parts.append(f"Always part of a QIDO-RS answer: {returned}.")
        told = f"On request also: {more}." if more else "On request any attribute of the object's header."
        parts.append(told)
    return "\n\n".join(parts)


def _names(tags: frozenset[str]) -> list[str]:
    return sorted(keyword_for_tag(int(tag, 16)) for tag in tags)


def _tag_text(tag: str) -> str:
    return f"({tag[:4]},{tag[4:]})"
