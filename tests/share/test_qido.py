"""Questions as they stand in an address."""

from __future__ import annotations

import json

import orjson
import pytest

from wetread.domain.query import Level, Match, MatchKind
from wetread.errors import InvalidQuery
from wetread.share.qido import MOST_RESULTS, read_match, read_search, write_answer
from wetread.store.catalogue import Found
from wetread.store.holdings import Counts

BASE = "http://x/dicom-web"
HEADER = {
    "00080005": {"vr": "CS", "Value": ["ISO_IR 192"]},
    "00080060": {"vr": "CS", "Value": ["CT"]},
    "00081030": {"vr": "LO", "Value": ["Chest"]},
    "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Doe^Jane"}]},
    "00180015": {"vr": "CS", "Value": ["CHEST"]},
    "00280010": {"vr": "US", "Value": [512]},
    "7FE00010": {"vr": "OW", "BulkDataURI": "bulkdata/7FE00010"},
}


def search(level: Level, *parameters: tuple[str, str], path: dict[str, str] | None = None):
    return read_search(level, path or {}, parameters)


@pytest.mark.parametrize(
    ("keyword", "value", "kind", "values"),
    [
        ("PatientID", "A1", MatchKind.ANY_OF, ("A1",)),
        ("PatientID", "A*", MatchKind.WILDCARD, ("A*",)),
        ("StudyInstanceUID", "1.2,1.3\\1.4", MatchKind.ANY_OF, ("1.2", "1.3", "1.4")),
        ("StudyDate", "20260101", MatchKind.ANY_OF, ("20260101",)),
        ("StudyDate", "20260101-", MatchKind.RANGE, ("20260101", "")),
        ("StudyDate", "-20260101", MatchKind.RANGE, ("", "20260101")),
        ("StudyTime", "10-1130", MatchKind.RANGE, ("10", "1130")),
        ("SeriesNumber", "7", MatchKind.ANY_OF, ("7",)),
    ],
)
def test_how_a_value_matches(keyword: str, value: str, kind: MatchKind, values: tuple[str, ...]) -> None:
    assert read_match(keyword, value) == Match(keyword=keyword, kind=kind, values=values)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("StudyDate", "yesterday"),
        ("StudyDate", "-"),
        ("StudyDate", "2026-01-01"),
        ("StudyTime", "1x"),
        ("StudyInstanceUID", "../etc"),
        ("SeriesNumber", "seven"),
        ("limit", "-1"),
        ("limit", "1e12"),
        ("offset", "x"),
        ("fuzzymatching", "maybe"),
        ("NoSuchAttribute", "1"),
        ("0010", "1"),
        ("includefield", "1;DROP TABLE study"),
        ("PatientID", "x" * 2000),
    ],
)
def test_what_is_not_understood_is_an_error(name: str, value: str) -> None:
    with pytest.raises(InvalidQuery):
        search(Level.SERIES, (name, value))


def test_tags_and_keywords_are_one() -> None:
    by_tag = search(Level.SERIES, ("00100020", "A"), ("00400275.00400009", "S"))
    by_keyword = search(
        Level.SERIES, ("PatientID", "A"), ("RequestAttributesSequence.ScheduledProcedureStepID", "S")
    )
    assert by_tag.query == by_keyword.query


def test_what_is_not_kept_is_warned_of_and_matches_everything() -> None:
    asked = search(Level.STUDY, ("InstitutionName", "X"), ("Modality", "CT"))
    assert asked.query.matches == ()
    assert len(asked.warnings) == 2


def test_limits_hold_whatever_is_asked() -> None:
    asked = search(Level.STUDY, ("limit", "9999999999"))
    assert asked.query.limit == MOST_RESULTS + 1
    with pytest.raises(InvalidQuery):
        search(Level.STUDY, *[("includefield", "all")] * 1000)


def found(level: Level, **values: object) -> Found:
    counts = Counts(series=1, instances=2, modalities=("CT", "SR"))
    return Found(
        level=level, study_instance_uid="1.2", metadata=orjson.dumps(HEADER), counts=counts, **values
    )  # type: ignore[arg-type]


def test_an_answer_has_what_the_standard_wants_and_what_was_asked() -> None:
    asked = search(Level.STUDY, ("includefield", "StudyDescription"), ("includefield", "Rows,PixelData"))
    [answer] = json.loads(write_answer(asked, [found(Level.STUDY)], BASE))
    assert answer["00080061"] == {"vr": "CS", "Value": ["CT", "SR"]}
    assert answer["00201208"] == {"vr": "IS", "Value": [2]}
    assert answer["00081190"]["Value"] == [f"{BASE}/studies/1.2"]
    assert answer["00081030"]["Value"] == ["Chest"]
    # Not known, but said to be.
    assert answer["00100020"] == {"vr": "LO"}
    # One image's rows are not the study's; pixels are never part of an answer.
    assert not {"00280010", "7FE00010", "00080060", "00180015"} & set(answer)


def test_levels_that_the_path_names_are_not_repeated() -> None:
    path = {"StudyInstanceUID": "1.2"}
    one = found(Level.SERIES, series_instance_uid="1.3", instance_count=2)
    [inside] = json.loads(write_answer(search(Level.SERIES, path=path), [one], BASE))
    [everywhere] = json.loads(write_answer(search(Level.SERIES), [one], BASE))
    assert "00100010" not in inside
    assert everywhere["00100010"]["Value"] == [{"Alphabetic": "Doe^Jane"}]
    assert inside["00201209"] == {"vr": "IS", "Value": [2]}
    assert inside["00081190"]["Value"] == [f"{BASE}/studies/1.2/series/1.3"]


def test_one_more_than_the_limit_is_asked_for_and_not_shown() -> None:
    asked = search(Level.STUDY, ("limit", "1"))
    assert asked.query.limit == 2
    assert len(json.loads(write_answer(asked, [found(Level.STUDY)] * 2, BASE))) == 1
    nothing = search(Level.STUDY, ("limit", "0"))
    assert json.loads(write_answer(nothing, [found(Level.STUDY)], BASE)) == []


@pytest.mark.parametrize(("enabled", "kind"), [("true", MatchKind.EMPTY), ("false", MatchKind.ANY_OF)])
def test_no_value_is_matched_where_that_is_asked_for(enabled: str, kind: MatchKind) -> None:
    parameters = [("AccessionNumber", '""'), ("emptyvaluematching", enabled)]
    [match] = read_search(Level.STUDY, {}, parameters).query.matches
    assert match.kind is kind
