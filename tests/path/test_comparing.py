"""The model gets the patient's earlier study from what is held here, and nobody else's."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.dicom.small_ct import SmallCt, read_ct
from tests.domain.test_reading import make_reading
from tests.match.test_decide import LOOSE, put
from tests.store.test_store import NOW
from tests.stores import open_store
from wetread.domain.model import Model
from wetread.domain.problem import ProblemCode
from wetread.domain.study import Study
from wetread.registry import read_models
from wetread.steps.comparing import find_prior, record_prior
from wetread.store import Store
from wetread.store.audit_rows import AuditRows
from wetread.store.intake import Arrived

MODEL = replace(LOOSE, runtime=replace(LOOSE.runtime, compares=True))
NOW_UID, EARLIER_UID = "1.2.840.7", "1.2.840.6"


@pytest.fixture
def store(tmp_path: Path):
    opened = open_store(tmp_path / "data")
    yield opened
    opened.close()


def hold(store: Store, folder: Path, uid: str, day: str, **header: str) -> Study:
    """Take in a small CT of a patient and return it as the store has it."""
    edits = [
        put(keyword, value) for keyword, value in {"StudyDate": day, "PatientID": "P1", **header}.items()
    ]

    def edit(ds, plane):
        for one in edits:
            one(ds, plane)

    made = read_ct(folder, SmallCt(study_uid=uid, series_uid=f"{uid}.1", edit=edit))
    for one in made.series[0].instances:
        path = store.intake.incoming / f"{one.sop_instance_uid}.part"
        shutil.copyfile(one.path, path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        store.intake.accept(
            Arrived(
                instance=replace(one, path=path), content_digest=digest, size=1, received_at=NOW, source="CT1"
            )
        )
    held = store.studies.load(uid)
    assert held is not None
    return held


def ask(store: Store, study: Study, model: Model = MODEL):
    return find_prior(store, study, study.series[0], model)


def test_an_earlier_study_that_nobody_read_is_compared_with(store: Store, tmp_path: Path) -> None:
    earlier = hold(store, tmp_path / "a", EARLIER_UID, "20260112")
    now = hold(store, tmp_path / "b", NOW_UID, "20260412")
    prior, problems = ask(store, now)
    assert prior.study_instance_uid == EARLIER_UID
    assert (prior.studied_on, prior.interval_days, prior.known_by) == ("2026-01-12", 90, None)
    assert [one.sop_instance_uid for one in prior.series.instances] == [
        one.sop_instance_uid for one in earlier.series[0].instances
    ]
    assert problems == ()


def test_what_was_read_of_it_is_known(store: Store, tmp_path: Path) -> None:
    hold(store, tmp_path / "a", EARLIER_UID, "20260112")
    store.studies.begin_revision(EARLIER_UID, "quiet", NOW)
    reading = replace(make_reading(), study_instance_uid=EARLIER_UID, series_instance_uid=f"{EARLIER_UID}.1")
    store.readings.save(reading)
    now = hold(store, tmp_path / "b", NOW_UID, "20260412")
    prior, _ = ask(store, now)
    assert prior.known_by == reading.model
    assert [one.tracking_uid for one in prior.known] == [one.tracking_uid for one in reading.findings]


def test_a_later_study_is_no_prior(store: Store, tmp_path: Path) -> None:
    now = hold(store, tmp_path / "b", NOW_UID, "20260412")
    hold(store, tmp_path / "a", EARLIER_UID, "20270112")
    assert ask(store, now) == (None, ())


def test_another_patient_under_the_same_id_is_refused_and_said(store: Store, tmp_path: Path) -> None:
    hold(store, tmp_path / "a", EARLIER_UID, "20260112", PatientBirthDate="19500101")
    now = hold(store, tmp_path / "b", NOW_UID, "20260412", PatientBirthDate="19700101")
    prior, problems = ask(store, now)
    assert prior is None
    assert [one.code for one in problems] == [ProblemCode.PRIOR_OTHER_PATIENT]


def test_another_id_is_not_even_looked_at(store: Store, tmp_path: Path) -> None:
    hold(store, tmp_path / "a", EARLIER_UID, "20260112", PatientID="P2")
    now = hold(store, tmp_path / "b", NOW_UID, "20260412")
    assert ask(store, now) == (None, ())


def test_a_model_that_does_not_compare_gets_nothing(store: Store, tmp_path: Path) -> None:
    hold(store, tmp_path / "a", EARLIER_UID, "20260112")
    now = hold(store, tmp_path / "b", NOW_UID, "20260412")
    alone = replace(MODEL, runtime=replace(MODEL.runtime, compares=False))
    assert ask(store, now, alone) == (None, ())


def test_a_study_that_the_model_would_not_read_is_not_compared_with(store: Store, tmp_path: Path) -> None:
    hold(store, tmp_path / "a", EARLIER_UID, "20260112", Modality="MR")
    now = hold(store, tmp_path / "b", NOW_UID, "20260412")
    assert ask(store, now) == (None, ())


def test_of_several_the_newest_earlier_one(store: Store, tmp_path: Path) -> None:
    for number, day in enumerate(("20240112", "20260112", "20250112")):
        hold(store, tmp_path / str(number), f"{EARLIER_UID}.{number}", day)
    now = hold(store, tmp_path / "b", NOW_UID, "20260412")
    prior, _ = ask(store, now)
    assert (prior.study_instance_uid, prior.interval_days) == (f"{EARLIER_UID}.1", timedelta(days=90).days)


def test_what_is_compared_with_is_in_the_trail_before_it_is_seen(store: Store, tmp_path: Path) -> None:
    hold(store, tmp_path / "a", EARLIER_UID, "20260112")
    prior, _ = ask(store, hold(store, tmp_path / "b", NOW_UID, "20260412"))
    record_prior(store, prior, "chest-ct 1", NOW)
    (entry,) = AuditRows(store.engine).list_last(5, study=EARLIER_UID)
    assert "chest-ct 1" in str(entry.message)


def test_the_built_in_reader_of_chest_ct_compares() -> None:
    models = read_models()
    assert [name for name, model in models.items() if model.runtime.compares] == ["chest-ct"]
