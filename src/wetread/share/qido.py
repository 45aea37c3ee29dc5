"""QIDO-RS: questions as they stand in an address, answers as DICOM JSON.

In: level, UIDs of the path, parameters; what the catalogue found.  Out: ``Search``; JSON.
Never: a parameter guessed at: what is not understood is an error, what cannot be matched a warning.

References
----------
PS3.18 sections 8.3.4 and 10.6.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any

import orjson
from pydicom.datadict import dictionary_VR, keyword_for_tag

from wetread.dicom.header import is_uid
from wetread.dicom.json_model import JsonHeader
from wetread.domain.query import Level, Match, MatchKind, Query
from wetread.errors import InvalidQuery
from wetread.share import attributes
from wetread.share.attributes import ABOVE, BELONGING, RETURNED, Tag, tag_of
from wetread.store.catalogue import Found
from wetread.store.catalogued import BRIEF, encode_member
from wetread.store.matching import MATCHABLE

#: Answers at most, whatever is asked for; the rest by ``offset``.
MOST_RESULTS = 5000
_MOST_OFFSET = 1 << 31
_LONGEST_VALUE, _MOST_VALUES, _MOST_PARAMETERS = 1024, 1000, 256
_EMPTY_MATCHING = "emptyvaluematching"
#: What stands for no value. PS3.18 8.3.4.1.
_NO_VALUE = '""'
#: What is said of every object by the index.
_UIDS = tuple(
    one.encode()
    for one in (attributes.STUDY_UID, attributes.SERIES_UID, attributes.INSTANCE_UID, attributes.CLASS_UID)
)
_TOLD = frozenset([*BRIEF, *(tag.decode() for tag in _UIDS)])
_RETRIEVE_URL = attributes.RETRIEVE_URL.encode()
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
    def is_brief(self) -> bool:
        """Whether of images nothing is answered but what the index tells without their headers."""
        is_image_alone = self.levels == (Level.IMAGE,) and not self.includes_all
        return is_image_alone and self.included <= _TOLD

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
    return b"[" + b",".join(_answer(shape, one, base_url) for one in islice(found, search.limit)) + b"]"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shape:
    """What every answer of a search has; worked out once."""

    #: None: whatever the header has.
    wanted: frozenset[Tag] | None
    #: What every answer must have is there, empty where it is not known.
    known: dict[bytes, bytes]
    has_study: bool

    @classmethod
    def of(cls, search: Search) -> _Shape:
        level = search.query.level
        returned = frozenset[Tag]().union(*(RETURNED[one] for one in search.levels))
        belonging = frozenset[Tag]().union(*(BELONGING.get(one, ()) for one in (*ABOVE[level], level)))
        included = search.included if level is Level.IMAGE else search.included & belonging
        takes_all = search.includes_all and level is Level.IMAGE
        empty = [
            _member(tag, {"vr": dictionary_VR(int(tag, 16))}) for tag in returned - {attributes.CHARACTER_SET}
        ]
        return cls(
            wanted=None if takes_all else returned | (belonging if search.includes_all else included),
            known=dict([*empty, _member(attributes.AVAILABILITY, {"vr": "CS", "Value": ["ONLINE"]})]),
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


def _answer(shape: _Shape, one: Found, base_url: str) -> bytes:
    """Return one answer: texts are joined, most of which the index keeps as they are sent."""
    header = _pick(one.read_header(), shape.wanted) if one.brief is None else one.brief
    url = b'%s":{"vr":"UR","Value":[%s]' % (_RETRIEVE_URL, orjson.dumps(address_of(one, base_url)))
    members = {**shape.known, **header, **_uids(one), **_counts(one, shape), _RETRIEVE_URL: url}
    return b'{"%s}}' % b'},"'.join([members[tag] for tag in sorted(members)])


def _pick(header: JsonHeader, wanted: frozenset[Tag] | None) -> dict[bytes, bytes]:
    tags = header.keys() if wanted is None else wanted & header.keys()
    return dict(_member(tag, header[tag]) for tag in tags if "BulkDataURI" not in header[tag])


def _uids(one: Found) -> dict[bytes, bytes]:
    uids = (one.study_instance_uid, one.series_instance_uid, one.sop_instance_uid, one.sop_class_uid)
    return {tag: _uid(tag, uid) for tag, uid in zip(_UIDS, uids, strict=True) if uid}


# Those of study, series and class are the same in thousands of answers.
@lru_cache(maxsize=1024)
def _uid(tag: bytes, uid: str) -> bytes:
    return b'%s":{"vr":"UI","Value":[%s]' % (tag, orjson.dumps(uid))


def _counts(one: Found, shape: _Shape) -> dict[bytes, bytes]:
    answer: dict[Tag, Mapping[str, Any]] = {}
    if one.counts is not None and shape.has_study:
        modalities = list(one.counts.modalities)
        answer[attributes.MODALITIES_IN_STUDY] = (
            {"vr": "CS", "Value": modalities} if modalities else {"vr": "CS"}
        )
        answer[attributes.STUDY_SERIES] = {"vr": "IS", "Value": [one.counts.series]}
        answer[attributes.STUDY_INSTANCES] = {"vr": "IS", "Value": [one.counts.instances]}
    if one.instance_count is not None:
        answer[attributes.SERIES_INSTANCES] = {"vr": "IS", "Value": [one.instance_count]}
    return dict(_member(tag, attribute) for tag, attribute in answer.items())


def _member(tag: Tag, attribute: Mapping[str, Any]) -> tuple[bytes, bytes]:
    return tag.encode(), encode_member(tag, attribute)


def address_of(one: Found, base_url: str) -> str:
    """Return where WADO-RS has it."""
    url = f"{base_url}/studies/{one.study_instance_uid}"
    if one.series_instance_uid:
        url += f"/series/{one.series_instance_uid}"
    return f"{url}/instances/{one.sop_instance_uid}" if one.sop_instance_uid else url
