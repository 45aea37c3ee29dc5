"""Rules: parsed, or refused with the rule, the key and the nearest word."""

import tomllib

import pytest

from wetread.domain.reading import Priority
from wetread.errors import InvalidRule
from wetread.match.condition import describe_failure, is_met
from wetread.match.rules import Level, default_rules, parse_rules

HEADER = {
    "Modality": "CT",
    "ImageType": ("ORIGINAL", "PRIMARY", "AXIAL"),
    "BodyPartExamined": "CHEST",
    "SeriesDescription": "Thorax Lunge 1.0",
    "StudyDescription": "",
    "SliceThickness": 1.25,
    "SeriesNumber": 4,
    "StudyDate": "20261123",
    "PatientAge": "085Y",
    "PatientName": "Doe^Jane",
    "PatientID": "SECRET-7",
    "StationName": "CT01",
    "AccessionNumber": "",
    "ProcedureCodeSequence.CodeValue": ("C0", "C1"),
}


def rule(**table: object):
    return parse_rules([{"name": "r", "models": ["chest-ct"], **table}])[0]


def holds(**condition: object) -> bool:
    return all(is_met(term, HEADER) for term in rule(when=[condition]).when)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"keyword": "Modality", "equals": "ct"}, True),
        ({"keyword": "Modality", "equals": "MR"}, False),
        ({"keyword": "BodyPartExamined", "one_of": ["THORAX", "CHEST"]}, True),
        ({"keyword": "SeriesDescription", "contains": "LUNG"}, True),
        ({"keyword": "SeriesDescription", "matches": r"(?i)lunge? \d"}, True),
        ({"keyword": "SeriesDescription", "matches": "LUNGE"}, False),
        ({"keyword": "ImageType", "equals": "axial"}, True),
        ({"keyword": "ImageType", "contains": "PRIMARY\\AXIAL"}, True),
        ({"keyword": "SliceThickness", "at_least": 0.5, "at_most": 3}, True),
        ({"keyword": "SliceThickness", "at_least": 1.25, "at_most": 1.25}, True),
        ({"keyword": "SliceThickness", "at_least": 0.5, "at_most": 1}, False),
        ({"keyword": "SliceThickness", "equals": 1.25}, True),
        ({"keyword": "SpacingBetweenSlices", "at_most": 3}, False),
        ({"keyword": "PatientAge", "at_least": 18}, True),
        ({"keyword": "PatientAge", "at_most": 84.9}, False),
        ({"keyword": "StudyDate", "at_least": "20260101"}, True),
        ({"keyword": "AccessionNumber", "present": False}, True),
        ({"keyword": "StationName", "present": True}, True),
        ({"keyword": "ProcedureCodeSequence.CodeValue", "equals": "C1"}, True),
        ({"any": [{"keyword": "Modality", "equals": "MR"}, {"keyword": "SeriesNumber", "equals": 4}]}, True),
        ({"all": [{"keyword": "Modality", "equals": "CT"}, {"keyword": "SeriesNumber", "equals": 5}]}, False),
        ({"not": {"keyword": "ImageType", "contains": "MIP"}}, True),
        ({"not": {"keyword": "SliceThickness", "at_least": 1, "at_most": 2}}, False),
        ({"not": [{"any": [{"keyword": "Modality", "equals": "CT"}]}]}, False),
    ],
)
def test_conditions(condition: dict, expected: bool) -> None:
    assert holds(**condition) is expected


@pytest.mark.parametrize(
    ("shorthand", "expected"),
    [
        ({"modality": "CT"}, True),
        ({"modality": ["MR", "PT"]}, False),
        ({"body_part": ["CHEST"]}, True),
        ({"description": "thorax"}, True),
        ({"description": ["abdomen", "lunge"]}, True),
        ({"description": "abdomen"}, False),
        ({"station": "CT02"}, False),
    ],
)
def test_shorthands(shorthand: dict, expected: bool) -> None:
    assert all(is_met(term, HEADER) for term in rule(**shorthand).when) is expected


def test_everything_of_a_rule_is_taken() -> None:
    text = """
    [[rules]]
    name = "emergency chest"
    models = ["chest-ct"]
    level = "series"
    urgency = "urgent"
    quiet_s = 20
    modality = "CT"
    when = [{keyword = "StationName", matches = "^ER"}]
    """
    (parsed,) = parse_rules(tomllib.loads(text)["rules"])
    assert (parsed.level, parsed.urgency, parsed.quiet_s) == (Level.SERIES, Priority.URGENT, 20.0)
    assert len(parsed.when) == 2


@pytest.mark.parametrize(
    ("table", "key", "hint"),
    [
        ({"modelz": ["x"]}, "modelz", "'models'"),
        ({"urgency": "urgnt"}, "urgnt", "'urgent'"),
        ({"level": "serie"}, "serie", "'series'"),
        ({"quiet_s": "soon"}, "quiet_s", "seconds"),
        ({"quiet_s": -1}, "quiet_s", "seconds"),
        ({"models": []}, "models", "list of texts"),
        ({"when": {"keyword": "Modality"}}, "when", "list"),
        ({"when": ["Modality"]}, "rules", "tables"),
        ({"when": [{"keyword": "Modalitie", "equals": "CT"}]}, "Modalitie", "'Modality'"),
        ({"when": [{"keyword": "Modality", "equal": "CT"}]}, "equal", "'equals'"),
        ({"when": [{"keyword": "Modality"}]}, "Modality", "lacks a comparison"),
        ({"when": [{"equals": "CT"}]}, "keyword", "needs a 'keyword'"),
        ({"when": [{"keyword": "SeriesDescription", "matches": "(lung"}]}, "matches", "not valid"),
        ({"when": [{"keyword": "SeriesDescription", "matches": "(a+)+$"}]}, "matches", "repeats"),
        ({"when": [{"keyword": "SeriesDescription", "matches": "a" * 500}]}, "matches", "too long"),
        ({"when": [{"keyword": "Modality", "one_of": "CT"}]}, "one_of", "does not fit"),
        ({"when": [{"keyword": "Modality", "present": "yes"}]}, "present", "does not fit"),
        ({"when": [{"any": []}]}, "any", "must hold conditions"),
        ({"when": [{"not": {"keyword": "Modality", "equals": "CT"}, "keyword": "Modality"}]}, "not", "alone"),
    ],
)
def test_mistakes_are_named_with_the_nearest_word(table: dict, key: str, hint: str) -> None:
    with pytest.raises(InvalidRule) as caught:
        rule(**table)
    assert caught.value.facts["rule"] == "r"
    assert caught.value.facts["key"] == key
    assert hint in str(caught.value)
    assert "'r'" in str(caught.value)


def test_two_rules_of_one_name_are_refused() -> None:
    with pytest.raises(InvalidRule, match="same name"):
        parse_rules([{"name": "a", "models": ["m"]}, {"name": "a", "models": ["m"]}])


def test_the_default_rule_takes_ct_but_not_a_head() -> None:
    (default,) = default_rules()
    assert default.level is Level.SERIES
    assert all(is_met(term, HEADER) for term in default.when)
    assert all(is_met(term, {"Modality": "CT"}) for term in default.when)
    assert not all(is_met(term, {**HEADER, "BodyPartExamined": "HEAD"}) for term in default.when)


@pytest.mark.parametrize(
    "condition",
    [
        {"keyword": "PatientName", "equals": "Roe^Richard"},
        {"keyword": "PatientID", "contains": "OTHER"},
        {"keyword": "PatientBirthDate", "at_least": "19900101"},
        {"keyword": "ReferringPhysicianName", "present": True},
        {"not": {"keyword": "PatientID", "contains": "SECRET"}},
        {"any": [{"keyword": "PatientID", "equals": "X"}, {"keyword": "PatientName", "equals": "Y"}]},
    ],
)
def test_no_reason_names_the_patient(condition: dict) -> None:
    (term,) = rule(when=[condition]).when
    sentence = describe_failure(term, HEADER)
    for word in ("Doe", "SECRET", "Roe", "OTHER", "1990"):
        assert word not in sentence


def test_a_failure_says_what_was_expected_and_found() -> None:
    (term,) = rule(when=[{"keyword": "SliceThickness", "at_most": 1}]).when
    assert describe_failure(term, HEADER) == "SliceThickness must be at most 1, found '1.25'"
    (term,) = rule(when=[{"keyword": "StudyDescription", "contains": "chest"}]).when
    assert "it is empty or missing" in describe_failure(term, HEADER)
