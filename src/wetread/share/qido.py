"""QIDO-RS: questions as they stand in an address, answers as DICOM JSON.

In: level, UIDs of the path, parameters; what the catalogue found.  Out: ``Search``; JSON.
Never: a parameter guessed at: what is not understood is an error, what cannot be matched a warning.

References
----------
PS3.18 sections 8.3.4 and 10.6.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import orjson
from pydicom.datadict import dictionary_VR, keyword_for_tag

from wetread.dicom.header import is_uid
from wetread.domain.query import Level, Match, MatchKind, Query
from wetread.errors import InvalidQuery
from wetread.share import attributes
from wetread.share.attributes import ABOVE, BELONGING, RETURNED, Tag, tag_of
from wetread.store.catalogue import Found
from wetread.store.matching import MATCHABLE

#: Answers at most, whatever is asked for; the rest by ``offset``.
MOST_RESULTS = 5000
_MOST_OFFSET = 1 << 31
_LONGEST_VALUE, _MOST_VALUES, _MOST_PARAMETERS = 1024, 1000, 256
_EMPTY_MATCHING = "emptyvaluematching"
#: What stands for no value. PS3.18 8.3.4.1.
_NO_VALUE = '""'
_TAG = re.compile(r"[0-9A-Fa-f]{8}")
_DATE = re.compile(r"[0-9]{8}")
_TIME = re.compile(r"[0-9]{2}([0-9]{2}([0-9]{2}(\.[0-9]{1,6})?)?)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """A question, and what its answers hold."""

    query: Query
    #: Tags beside those that every answer has.
    included: frozenset[Tag] = frozenset()
    includes_all: bool = False
    #: Levels whose attributes every answer has: not those that the path has named.
    levels: tuple[Level, ...]
    #: What was left out, for Warning headers.
    warnings: tuple[str, ...] = ()

    @property
    def limit(self) -> int:
        """Answers at most; the query asks for one more, to know whether there are more."""
        return (self.query.limit or 1) - 1


def read_search(
    level: Level,
    path: dict[str, str],
    parameters: Sequence[tuple[str, str]],
    sources: Collection[str] | None = None,
) -> Search:
    """Return what is asked.

    Parameters
    ----------
    path
        ``StudyInstanceUID`` and ``SeriesInstanceUID``, as far as the address names them.
    parameters
        As they stand in the address, decoded.

    Raises
    ------
    InvalidQuery
        If one is not understood.
    """
    if len(parameters) > _MOST_PARAMETERS:
        raise InvalidQuery("The query has too many parameters.", limit=_MOST_PARAMETERS)
    reader = _Reader(level)
    for keyword, uid in path.items():
        if not is_uid(uid):
            raise InvalidQuery("The address names a UID that is none.", attribute=keyword)
        reader.matches.append(Match(keyword=keyword, kind=MatchKind.ANY_OF, values=(uid,)))
    # First what says how the others are to be understood.
    for name, value in sorted(parameters, key=lambda one: one[0] != _EMPTY_MATCHING):
        reader.take(name, value)
    named = {"StudyInstanceUID": Level.STUDY, "SeriesInstanceUID": Level.SERIES}
    known = {named[keyword] for keyword in path}
    return Search(
        query=Query(
            level=level,
            matches=tuple(reader.matches),
            limit=reader.limit + 1,
            offset=reader.offset,
            is_fuzzy=reader.is_fuzzy,
            sources=sources,
        ),
        included=frozenset(reader.included),
        includes_all=reader.includes_all,
        levels=tuple(one for one in (*ABOVE[level], level) if one not in known),
        warnings=tuple(reader.warnings),
    )


def write_answer(search: Search, found: Iterable[Found], base_url: str) -> bytes:
    """Return the answers as a JSON array.

    Parameters
    ----------
    base_url
        Of the DICOMweb service, without a slash at the end.
    """
    shape = _Shape.of(search)
    # One after the other: all answers at once as Python's values would fill the memory.
    answers = (
        orjson.dumps(_answer(shape, one, base_url), option=orjson.OPT_SORT_KEYS)
        for one in islice(found, search.limit)
    )
    return b"[" + b",".join(answers) + b"]"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shape:
    """What every answer of a search has; worked out once."""

    #: None: whatever the header has.
    wanted: frozenset[Tag] | None
    #: What every answer must have is there, empty where it is not known.
    empty: dict[Tag, Any]
    has_study: bool

    @classmethod
    def of(cls, search: Search) -> _Shape:
        level = search.query.level
        returned = frozenset[Tag]().union(*(RETURNED[one] for one in search.levels))
        belonging = frozenset[Tag]().union(*(BELONGING.get(one, ()) for one in (*ABOVE[level], level)))
        included = search.included if level is Level.IMAGE else search.included & belonging
        takes_all = search.includes_all and level is Level.IMAGE
        return cls(
            wanted=None if takes_all else returned | (belonging if search.includes_all else included),
            empty={tag: {"vr": dictionary_VR(int(tag, 16))} for tag in returned - {attributes.CHARACTER_SET}},
            has_study=Level.STUDY in search.levels,
        )


class _Reader:
    """Takes the parameters apart, one after the other."""

    def __init__(self, level: Level) -> None:
        self.level = level
        self.matches: list[Match] = []
        self.included: set[Tag] = set()
        self.includes_all = False
        self.limit, self.offset = MOST_RESULTS, 0
        self.is_fuzzy = self.matches_empty = False
        self.warnings: list[str] = []

    def take(self, name: str, value: str) -> None:
        if name == "limit":
            self.limit = min(_number(name, value), MOST_RESULTS)
        elif name == "offset":
            self.offset = min(_number(name, value), _MOST_OFFSET)
        elif name == "fuzzymatching":
            self.is_fuzzy = _truth(name, value)
        elif name == _EMPTY_MATCHING:
            self.matches_empty = _truth(name, value)
        elif name == "includefield":
            self._include(value)
        else:
            self._match(name, value)

    def _include(self, value: str) -> None:
        for field in value.split(",")[:_MOST_VALUES]:
            if field.strip() == "all":
                self.includes_all = True
                continue
            tags = _tags(field.strip())
            # Of a sequence's attribute the whole sequence is given.
            self.included.add(tags[0])

    def _match(self, name: str, value: str) -> None:
        tags = _tags(name)
        keyword = ".".join(keyword_for_tag(int(tag, 16)) for tag in tags)
        if not any(keyword in MATCHABLE[one] for one in (*ABOVE[self.level], self.level)):
            self.warnings.append(f"The attribute {name[:64]} is not matched")
            return
        self.included.add(tags[0])
        if value == _NO_VALUE and self.matches_empty:
            self.matches.append(Match(keyword=keyword, kind=MatchKind.EMPTY, values=()))
        elif value:
            self.matches.append(read_match(keyword, value))


def read_match(keyword: str, value: str) -> Match:
    r"""Return how an attribute must match; several UIDs stand between commas or backslashes.

    Raises
    ------
    InvalidQuery
        If the value does not fit the attribute's VR.
    """
    if len(value) > _LONGEST_VALUE * (_MOST_VALUES if keyword.endswith("UID") else 1):
        raise InvalidQuery("A value is longer than any attribute.", attribute=keyword)
    vr = dictionary_VR(int(tag_of(keyword.split(".")[-1]), 16))
    if vr == "UI":
        uids = tuple(uid for uid in re.split(r"[,\\]", value) if uid)[:_MOST_VALUES]
        if not all(is_uid(uid) for uid in uids):
            raise InvalidQuery("A UID is none.", attribute=keyword)
        return Match(keyword=keyword, kind=MatchKind.ANY_OF, values=uids)
    if vr in ("DA", "TM"):
        return _read_moment(keyword, value, _DATE if vr == "DA" else _TIME)
    if vr == "IS":
        return Match(keyword=keyword, kind=MatchKind.ANY_OF, values=(str(_number(keyword, value)),))
    kind = MatchKind.WILDCARD if "*" in value or "?" in value else MatchKind.ANY_OF
    return Match(keyword=keyword, kind=kind, values=tuple(value.split("\\"))[:_MOST_VALUES])


def _read_moment(keyword: str, value: str, pattern: re.Pattern[str]) -> Match:
    low, dash, high = value.partition("-")
    if not all(not one or pattern.fullmatch(one) for one in (low, high)) or not (low or high):
        raise InvalidQuery(
            "A date is YYYYMMDD, a time HHMMSS, a range has a hyphen between two.", attribute=keyword
        )
    if dash:
        return Match(keyword=keyword, kind=MatchKind.RANGE, values=(low, high))
    return Match(keyword=keyword, kind=MatchKind.ANY_OF, values=(low,))


def _tags(name: str) -> list[Tag]:
    """Return the tags of ``00400275.00400009`` or ``RequestAttributesSequence.ScheduledProcedureStepID``."""
    tags = [part.upper() if _TAG.fullmatch(part) else tag_of(part) for part in name.split(".")]
    if len(tags) > 2 or not all(tags):
        raise InvalidQuery("This is no attribute: use a keyword or eight hexadecimal digits.", name=name[:64])
    return tags


def _number(name: str, value: str) -> int:
    if not (value.isascii() and value.isdecimal() and len(value) <= 10):
        raise InvalidQuery("This is no number.", name=name)
    return int(value)


def _truth(name: str, value: str) -> bool:
    if value not in ("true", "false"):
        raise InvalidQuery("This is true or false.", name=name)
    return value == "true"


def _answer(shape: _Shape, one: Found, base_url: str) -> dict[Tag, Any]:
    header = one.read_header()
    tags = header.keys() if shape.wanted is None else shape.wanted & header.keys()
    answer = dict(shape.empty)
    answer.update((tag, header[tag]) for tag in tags if "BulkDataURI" not in header[tag])
    answer.update(_computed(one, has_study=shape.has_study))
    answer[attributes.RETRIEVE_URL] = {"vr": "UR", "Value": [address_of(one, base_url)]}
    answer[attributes.AVAILABILITY] = {"vr": "CS", "Value": ["ONLINE"]}
    return answer


def _computed(one: Found, *, has_study: bool) -> dict[Tag, Any]:
    answer: dict[Tag, Any] = {attributes.STUDY_UID: _uid(one.study_instance_uid)}
    if one.series_instance_uid:
        answer[attributes.SERIES_UID] = _uid(one.series_instance_uid)
    if one.counts is not None and has_study:
        modalities = list(one.counts.modalities)
        answer[attributes.MODALITIES_IN_STUDY] = (
            {"vr": "CS", "Value": modalities} if modalities else {"vr": "CS"}
        )
        answer[attributes.STUDY_SERIES] = {"vr": "IS", "Value": [one.counts.series]}
        answer[attributes.STUDY_INSTANCES] = {"vr": "IS", "Value": [one.counts.instances]}
    if one.instance_count is not None:
        answer[attributes.SERIES_INSTANCES] = {"vr": "IS", "Value": [one.instance_count]}
    return answer


def _uid(uid: str) -> dict[str, Any]:
    return {"vr": "UI", "Value": [uid]}


def address_of(one: Found, base_url: str) -> str:
    """Return where WADO-RS has it."""
    url = f"{base_url}/studies/{one.study_instance_uid}"
    if one.series_instance_uid:
        url += f"/series/{one.series_instance_uid}"
    return f"{url}/instances/{one.sop_instance_uid}" if one.sop_instance_uid else url
