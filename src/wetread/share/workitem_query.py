"""What somebody asks the worklist for by its address.

In: parameters as they stand there.  Out: keys as DICOM JSON, how many, which attributes.
Never: a parameter guessed at: what is not understood is an error.

References
----------
PS3.18 11.9 and 8.3.4; PS3.4 table CC.2.5-3 (return keys).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pydicom.datadict import dictionary_VR

from wetread.domain import workitem as w
from wetread.domain.workitem import Attributes, Refusal, WorkitemRefused, element
from wetread.domain.workitem_match import is_moment
from wetread.share.attributes import tag_of
from wetread.share.workitems import MOST_RESULTS

_MOST_PARAMETERS, _LONGEST, _MOST_VALUES, _MOST_OFFSET = 256, 1024, 1000, 1 << 31
_DEEPEST = 4
#: Not matched and not answered unless asked for: what the performer told so far.
_ONLY_ASKED = frozenset({w.PERFORMED})


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkitemSearch:
    """A question."""

    keys: Attributes
    limit: int
    offset: int
    #: Tags that are answered beside the usual ones; None: all.
    included: frozenset[str] | None
    is_fuzzy: bool


def read_search(parameters: Iterable[tuple[str, str]]) -> WorkitemSearch:
    """Return what is asked; raises WorkitemRefused where it is not understood."""
    keys: dict[str, Any] = {}
    limit, offset, is_fuzzy = MOST_RESULTS, 0, False
    included: frozenset[str] | None = frozenset()
    for number, (name, value) in enumerate(parameters):
        if number >= _MOST_PARAMETERS:
            raise _invalid("The query has too many parameters.")
        if name == "limit":
            limit = min(_number(name, value), MOST_RESULTS)
        elif name == "offset":
            offset = min(_number(name, value), _MOST_OFFSET)
        elif name == "fuzzymatching":
            is_fuzzy = value == "true"
        elif name == "includefield":
            fields = [field.strip() for field in value.split(",")[:_MOST_VALUES]]
            is_all = included is None or "all" in fields
            included = (
                None if is_all or included is None else included | {_tags(field)[0] for field in fields}
            )
        else:
            add_key(keys, name, value)
    return WorkitemSearch(keys=keys, limit=limit, offset=offset, included=included, is_fuzzy=is_fuzzy)


def read_filter(text: str) -> Attributes:
    """Return the keys of ``attribute=value,attribute=value``; raises WorkitemRefused."""
    keys: dict[str, Any] = {}
    for part in text.split(",")[:_MOST_PARAMETERS]:
        name, _, value = part.partition("=")
        add_key(keys, name.strip(), value.strip())
    return keys


def add_key(keys: dict[str, Any], name: str, value: str) -> None:
    """Add a key such as ``ScheduledWorkitemCodeSequence.CodeValue``; raises WorkitemRefused."""
    tags = _tags(name)
    for tag in tags[:-1]:
        sequence = keys.setdefault(tag, element("SQ", {}))
        keys = sequence["Value"][0]
    vr = dictionary_VR(int(tags[-1], 16))
    if vr == "SQ":
        keys.setdefault(tags[-1], element("SQ", {}))
        return
    if len(value) > _LONGEST * (_MOST_VALUES if vr == "UI" else 1):
        raise _invalid("A value is longer than any attribute.")
    values = value.replace(",", "\\").split("\\") if vr == "UI" else value.split("\\")
    if vr == "DT" and not all(not one or is_moment(one) for one in values):
        raise _invalid("A DateTime is YYYYMMDDHHMMSS, a range has a hyphen between two.")
    given = [one for one in values if one]
    keys[tags[-1]] = element(vr, *([{"Alphabetic": one} for one in given] if vr == "PN" else given))


def answer(attributes: Attributes, search: WorkitemSearch) -> dict[str, Any]:
    """Return what is told of a workitem that was found."""
    if search.included is None:
        return dict(attributes)
    left_out = _ONLY_ASKED - search.included - search.keys.keys()
    return {tag: value for tag, value in attributes.items() if tag not in left_out}


def _tags(name: str) -> list[str]:
    parts = name.split(".")
    tags = [part.upper() if _is_tag(part) else tag_of(part) for part in parts]
    if not all(tags) or len(tags) > _DEEPEST:
        raise _invalid("This is no attribute: use a keyword or eight hexadecimal digits.")
    try:
        vrs = [dictionary_VR(int(tag, 16)) for tag in tags]
    except KeyError as error:
        raise _invalid("This attribute is not in the Standard.") from error
    if any(vr != "SQ" for vr in vrs[:-1]):
        raise _invalid("Only an attribute of a sequence stands behind a dot.")
    return tags


def _is_tag(text: str) -> bool:
    return len(text) == 8 and all(letter in "0123456789abcdefABCDEF" for letter in text)


def _number(name: str, value: str) -> int:
    if not (value.isascii() and value.isdecimal() and len(value) <= 10):
        raise _invalid(f"{name} is no number.")
    return int(value)


def _invalid(message: str) -> WorkitemRefused:
    return WorkitemRefused(Refusal.INVALID_VALUE, message)
