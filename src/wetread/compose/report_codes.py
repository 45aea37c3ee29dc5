"""Codes of what a report speaks of: those of its sections, and those that a template gives to headings.

In: codes as templates write them, text.  Out: the text by heading, each with its codes.
Never: a code that cannot be one, or that says something else than its words; a line under another's heading.

    [codes]
    "Lungs:" = ["SCT 39607008 Lung = RADLEX RID13437 lungs"]

Codes of one meaning stand with "=" between them, the first is written as the code, the others as equivalent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, cast

from pydicom.sr._concepts_dict import concepts

from wetread.domain.code import Code
from wetread.domain.report import Section

#: Codes of one meaning.
Codes = tuple[Code, ...]


def _radlex(value: str, meaning: str) -> Code:
    return Code(value=value, scheme="RADLEX", meaning=meaning)


#: RadLex's sections of a report (children of RID28481, "report section"), beside those of PS3.16 CID 7001.
#: Where each was looked up: docs/reference/report-codes.md.
RADLEX_SECTIONS: Mapping[Section, Code] = MappingProxyType(
    {
        Section.INDICATION: _radlex("RID13166", "clinical information"),
        Section.TECHNIQUE: _radlex("RID28482", "imaging technique"),
        Section.COMPARISON: _radlex("RID28483", "comparison"),
        Section.FINDINGS: _radlex("RID28486", "observations section"),
        Section.IMPRESSION: _radlex("RID13170", "impression section"),
    }
)
#: Further codes of RadLex that were looked up, as above.
_LOOKED_UP = {
    "RID13437": "lungs",
    "RID1385": "heart",
    "RID28569": "set of bones",
    "RID1243": "thorax",
    "RID34539": "pleural effusion",
    "RID28531": "ground-glass opacity",
} | {one.value: one.meaning for one in RADLEX_SECTIONS.values()}
_SHAPES = {
    "SCT": r"[1-9]\d{5,17}",
    "RADLEX": r"RID[1-9]\d{0,5}",
    "LN": r"[1-9]\d{0,4}-\d",
    "DCM": r"\d{6}",
}
_WRITTEN = re.compile(r"([A-Z]+) (\S+) ([^\\\x00-\x1f\x7f]{1,64})")
#: Code Value and Code Meaning, PS3.3 Table 8.8-1.
_LONGEST_VALUE = 16


class BadCode(ValueError):
    """What stands there is no code: the words say why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A stretch of a section's text."""

    text: str
    #: Of its heading; empty where that has none.
    sites: tuple[Codes, ...] = ()


def read_codes(written: str) -> Codes:
    """Return codes of one meaning, as a template writes them.

    Raises
    ------
    BadCode
        If one cannot be a code, or is known to say something else.
    """
    return tuple(_read(one.strip()) for one in written.split(" = "))


def split_text(text: str, sites: Mapping[str, tuple[Codes, ...]], headings: Iterable[str]) -> list[Part]:
    """Return a section's text by heading; what stands before the first, or under one without codes, has none.

    Parameters
    ----------
    sites
        Heading, with its colon -> codes.
    headings
        All of the template: each ends what stands under the one before.
    """
    known = {*headings, *sites}
    if not sites:
        return [Part(text=text)]
    return list(_iter_parts(text, sites, known))


def _iter_parts(text: str, sites: Mapping[str, tuple[Codes, ...]], known: set[str]) -> Iterator[Part]:
    lines: list[str] = []
    heading = ""
    for line in text.splitlines():
        begins = line.strip().split(":")[0] + ":"
        if begins in known:
            if lines:
                yield Part(text="\n".join(lines), sites=sites.get(heading, ()))
            lines, heading = [], begins
        lines.append(line)
    if lines:
        yield Part(text="\n".join(lines), sites=sites.get(heading, ()))


def _read(written: str) -> Code:
    match = _WRITTEN.fullmatch(written)
    if match is None:
        raise BadCode(f"{written!r} is no code: write scheme, value and meaning, as in 'SCT 39607008 Lung'")
    scheme, value, meaning = match[1], match[2], match[3].strip()
    if scheme not in _SHAPES:
        raise BadCode(f"the scheme {scheme} is not known: take {', '.join(_SHAPES)}")
    if not re.fullmatch(_SHAPES[scheme], value, re.ASCII) or len(value) > _LONGEST_VALUE:
        raise BadCode(f"{value} is no value of {scheme}")
    if (scheme == "SCT" and not _is_verhoeff(value)) or (scheme == "LN" and not _is_luhn(value)):
        raise BadCode(f"{value} is no value of {scheme}: its check digit is wrong")
    _check_meaning(scheme, value, meaning)
    return Code(value=value, scheme=scheme, meaning=meaning)


def _check_meaning(scheme: str, value: str, meaning: str) -> None:
    known = list(_meanings(scheme, value))
    if scheme == "DCM" and not known:
        raise BadCode(f"DCM has no {value}")
    if known and meaning.casefold() not in {one.casefold() for one in known}:
        raise BadCode(f"{scheme} {value} is {' or '.join(map(repr, known))}, not {meaning!r}")


def _meanings(scheme: str, value: str) -> Iterator[str]:
    """Yield what a code means, where PS3.16 has it (as pydicom lists it) or it was looked up."""
    if scheme == "RADLEX" and value in _LOOKED_UP:
        yield _LOOKED_UP[value]
        return
    known = cast("Mapping[str, Mapping[str, tuple[str, Any]]]", concepts.get(scheme, {}))
    for codes in known.values():
        if value in codes:
            yield codes[value][0]


#: Multiplication in the dihedral group D5, and the permutation of each place (Verhoeff, 1969).
_D5_TABLE = """
0123456789 1234067895 2340178956 3401289567 4012395678
5987604321 6598710432 7659821043 8765932104 9876543210
"""
_PLACES_TABLE = """
0123456789 1576283094 5803796142 8916043527
9453126870 4286573901 2793806415 7046913258
"""
_D5, _PLACES = _D5_TABLE.split(), _PLACES_TABLE.split()


def _is_verhoeff(digits: str) -> bool:
    check = 0
    for place, digit in enumerate(reversed(digits)):
        check = int(_D5[check][int(_PLACES[place % 8][int(digit)])])
    return check == 0


def _is_luhn(value: str) -> bool:
    digits = [int(one) for one in reversed(value.replace("-", ""))]
    doubled = (sum(divmod(2 * one, 10)) for one in digits[1::2])
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0
