"""C-FIND: identifiers as questions, what is found as identifiers.

In: a request's data set; what the catalogue found.  Out: ``Asked``; data sets for the responses.
Never: an attribute in a response that was not asked for; a network.

References
----------
PS3.4 C.4.1, C.6.2 (Study Root).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

from wetread.domain.query import Level, Match, Query
from wetread.errors import InvalidQuery
from wetread.share.attributes import ABOVE, tag_of
from wetread.share.qido import read_match
from wetread.store.catalogue import Found
from wetread.store.matching import MATCHABLE

#: Of the question itself, not of what is asked for.
_ABOUT = frozenset(
    {"QueryRetrieveLevel", "SpecificCharacterSet", "QueryRetrieveView", "TimezoneOffsetFromUTC"}
)
_MOST_KEYS = 512
_MODALITIES, _STUDY_SERIES, _STUDY_INSTANCES, _SERIES_INSTANCES = (
    tag_of(keyword)
    for keyword in (
        "ModalitiesInStudy",
        "NumberOfStudyRelatedSeries",
        "NumberOfStudyRelatedInstances",
        "NumberOfSeriesRelatedInstances",
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """An identifier, understood."""

    query: Query
    #: Of the attributes that the responses have.
    tags: frozenset[str]
    #: Whether every key that has a value is matched; otherwise responses say so (0xFF01).
    is_matched: bool


def read_identifier(ds: Dataset) -> Asked:
    """Return what an identifier asks.

    Raises
    ------
    InvalidQuery
        If it has no level, too many keys, or a value that no attribute of its VR has.
    """
    level = read_level(ds)
    if len(ds) > _MOST_KEYS:
        raise InvalidQuery("The identifier has too many keys.", limit=_MOST_KEYS)
    known = {keyword for one in (*ABOVE[level], level) for keyword in MATCHABLE[one]}
    matches, is_matched, tags = [], True, set()
    for keyword, tag, value in _iter_keys(ds):
        tags.add(tag)
        if value and keyword in known:
            matches.append(read_match(keyword, value))
        elif value:
            is_matched = False
    return Asked(
        query=Query(level=level, matches=tuple(matches)), tags=frozenset(tags), is_matched=is_matched
    )


def read_level(ds: Dataset) -> Level:
    """Return the Query/Retrieve Level of an identifier; raises InvalidQuery where there is none of ours."""
    try:
        return Level(str(ds.get("QueryRetrieveLevel", "")).strip())
    except ValueError as error:
        raise InvalidQuery("The Query/Retrieve Level is STUDY, SERIES or IMAGE.") from error


def read_uids(ds: Dataset) -> tuple[Match, ...]:
    """Return what a C-MOVE or C-GET identifier names; raises InvalidQuery unless it names the unique key.

    References
    ----------
    PS3.4 C.4.2.2.1: no other keys.
    """
    level = read_level(ds)
    keys = {Level.STUDY: "StudyInstanceUID", Level.SERIES: "SeriesInstanceUID", Level.IMAGE: "SOPInstanceUID"}
    if not ds.get(keys[level]):
        raise InvalidQuery("The identifier lacks the unique key of its level.", attribute=keys[level])
    return tuple(
        read_match(keyword, value)
        for keyword, _, value in _iter_keys(ds)
        if keyword in keys.values() and value
    )


def write_identifier(asked: Asked, found: Found, aet: str) -> Dataset:
    """Return the identifier of one response.

    Parameters
    ----------
    aet
        Our title: where it can be retrieved from.
    """
    noted = found.read_header()
    header: dict[str, Any] = {tag: noted[tag] for tag in asked.tags if tag in noted}
    header.update({tag: value for tag, value in _computed(found).items() if tag in asked.tags})
    # Bulk data is nothing that anybody asks for here.
    ds = Dataset.from_json({tag: value for tag, value in header.items() if "BulkDataURI" not in value})
    for tag in asked.tags - set(header):
        ds.add(_empty(tag))
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.QueryRetrieveLevel = asked.query.level.value
    ds.RetrieveAETitle = aet
    ds.InstanceAvailability = "ONLINE"
    return ds


def _iter_keys(ds: Dataset) -> Iterator[tuple[str, str, str]]:
    """Yield keyword, top-level tag and value of each key."""
    for element in ds:
        tag = f"{int(element.tag):08X}"
        if element.keyword in _ABOUT or element.tag.is_private:
            continue
        if element.VR != "SQ":
            yield element.keyword, tag, _text(element)
            continue
        yield element.keyword, tag, ""
        for item in list(element.value or [])[:1]:
            for inner in item:
                if inner.VR != "SQ":
                    yield f"{element.keyword}.{inner.keyword}", tag, _text(inner)


def _text(element: DataElement) -> str:
    if element.is_empty:
        return ""
    value = element.value
    several = value if element.VM > 1 else [value]
    return "\\".join(str(one) for one in several)


def _computed(found: Found) -> dict[str, Any]:
    values: dict[str, Any] = {
        "0020000D": {"vr": "UI", "Value": [found.study_instance_uid]},
    }
    if found.series_instance_uid:
        values["0020000E"] = {"vr": "UI", "Value": [found.series_instance_uid]}
    if found.counts is not None:
        values[_MODALITIES] = {"vr": "CS", "Value": list(found.counts.modalities)}
        values[_STUDY_SERIES] = {"vr": "IS", "Value": [found.counts.series]}
        values[_STUDY_INSTANCES] = {"vr": "IS", "Value": [found.counts.instances]}
    if found.instance_count is not None:
        values[_SERIES_INSTANCES] = {"vr": "IS", "Value": [found.instance_count]}
    return values


def _empty(tag: str) -> DataElement:
    number = BaseTag(int(tag, 16))
    vr = dictionary_VR(number).split(" or ")[0]
    return DataElement(number, vr, [] if vr == "SQ" else None)
