from pathlib import Path

import pytest

from wetread.domain.problem import ProblemCode
from wetread.domain.study import Instance, Series, Study
from wetread.match.visits import Visit, choose_prior, order_visits

PATIENT = {"PatientID": "P1", "PatientBirthDate": "19610504", "PatientSex": "F", "SliceThickness": "1.25"}


def visit(number, day, time="101500", **changed):
    header = {**PATIENT, "StudyDate": day, "StudyTime": time, **changed}
    uid = f"1.2.{number}"
    instance = Instance(
        sop_instance_uid=f"{uid}.1.1",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        series_instance_uid=f"{uid}.1",
        study_instance_uid=uid,
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        header=header,
        path=Path("nowhere"),
    )
    series = Series(series_instance_uid=f"{uid}.1", instances=(instance,))
    return Visit(study=Study(study_instance_uid=uid, series=(series,)), series=series)


def codes(problems):
    return [one.code for one in problems]


def test_the_newest_earlier_study_is_the_prior():
    now = visit(3, "20260712")
    prior, problems = choose_prior(now, [visit(2, "20260412"), visit(1, "20260112"), visit(4, "20270101")])
    assert prior.visit.study.study_instance_uid == "1.2.2"
    assert (prior.studied_on, prior.interval_days) == ("2026-04-12", 91)
    assert not problems
    assert not prior.problems


def test_there_is_none_before_the_first():
    assert choose_prior(visit(1, "20260112"), [visit(2, "20260412")]) == (None, ())


def test_another_id_is_another_patient_and_nothing_is_said():
    assert choose_prior(visit(2, "20260412"), [visit(1, "20260112", PatientID="P2")]) == (None, ())
    assert choose_prior(visit(2, "20260412", PatientID=""), [visit(1, "20260112", PatientID="")]) == (
        None,
        (),
    )


def test_the_same_number_at_another_hospital_is_another_patient():
    mine, theirs = (visit(k, f"2026040{k}", IssuerOfPatientID=f"H{k}") for k in (2, 1))
    assert choose_prior(mine, [theirs]) == (None, ())


@pytest.mark.parametrize(
    ("changed", "word"), [({"PatientSex": "M"}, "sex"), ({"PatientBirthDate": "19700101"}, "birth date")]
)
def test_a_reused_id_is_refused_and_said(changed, word):
    prior, problems = choose_prior(visit(2, "20260412"), [visit(1, "20260112", **changed)])
    assert prior is None
    assert codes(problems) == [ProblemCode.PRIOR_OTHER_PATIENT]
    assert word in problems[0].message
    assert not problems[0].refuses
    # No PHI: neither the ID nor a birth date.
    assert "P1" not in problems[0].message
    assert "1961" not in problems[0].message


def test_what_is_not_said_contradicts_nothing():
    prior, problems = choose_prior(
        visit(2, "20260412"), [visit(1, "20260112", PatientSex="O", PatientBirthDate="")]
    )
    assert prior is not None
    assert not problems


def test_a_study_of_the_same_day_is_compared_with_only_where_there_is_no_other():
    morning, noon = visit(2, "20260412", "080000"), visit(3, "20260412", "120000")
    prior, _ = choose_prior(noon, [morning])
    assert prior.interval_days == 0
    assert codes(prior.problems) == [ProblemCode.PRIOR_DIFFERS]
    assert "same day" in prior.problems[0].message
    prior, _ = choose_prior(noon, [morning, visit(1, "20260112")])
    assert prior.studied_on == "2026-01-12"


def test_without_a_date_nothing_is_earlier():
    prior, problems = choose_prior(visit(2, ""), [visit(1, "20260112")])
    assert prior is None
    assert codes(problems) == [ProblemCode.PRIOR_UNDATED]
    prior, problems = choose_prior(visit(2, "20260412"), [visit(1, "not a date"), visit(3, "20260212")])
    assert prior.studied_on == "2026-02-12"
    assert codes(problems) == [ProblemCode.PRIOR_UNDATED]


def test_other_slices_and_contrast_are_said():
    prior, _ = choose_prior(
        visit(2, "20260412", ContrastBolusAgent="Iomeprol"), [visit(1, "20260112", SliceThickness="3")]
    )
    assert codes(prior.problems) == [ProblemCode.PRIOR_DIFFERS] * 2
    thickness, contrast = (one.message for one in prior.problems)
    assert "3 mm" in thickness
    assert "1.25 mm" in thickness
    assert "this one was made with contrast agent and that one without" in contrast


def test_oldest_first_whatever_their_uids():
    studies = [visit(k, day).study for k, day in ((1, "20260712"), (2, ""), (3, "20260112"), (4, "20260412"))]
    assert [one.study_instance_uid for one in order_visits(studies)] == ["1.2.3", "1.2.4", "1.2.1", "1.2.2"]
