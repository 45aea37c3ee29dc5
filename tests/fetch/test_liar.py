"""What a PACS says is not believed: it is bounded, and taken only if it was asked for."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset

from tests.fetch.desk import Desk
from tests.fetch.liar import Liar, answer, running_liar
from tests.fetch.peers import make_study
from tests.store.test_catalogue import Archive
from tests.stores import open_store
from wetread.domain.fetching import FetchReason, FetchState
from wetread.domain.query import Level
from wetread.fetch.ask import open_finder
from wetread.fetch.found import STUDY_KEYS
from wetread.fetch.pacs import Pacs, WatchSettings
from wetread.fetch.retrieval import Stopper
from wetread.fetcher import Lane
from wetread.steps.fetching import TRIES
from wetread.store.fetches import Want

STUDY = "1.2.840.1"


@pytest.fixture
def liar() -> Iterator[Liar]:
    with running_liar() as running:
        yield running


@pytest.fixture
def desk(tmp_path: Path, liar: Liar) -> Iterator[Desk]:
    made = Desk(open_store(tmp_path / "data"), Pacs(name="liar", to=liar.to, timeout_s=20))
    yield made
    made.close()


def lists(liar: Liar, images: list[Dataset]) -> None:
    series = answer(StudyInstanceUID=STUDY, SeriesInstanceUID=f"{STUDY}.1", Modality="CT")
    liar.listed["SERIES"] = [series]
    liar.listed["IMAGE"] = [
        answer(
            StudyInstanceUID=STUDY,
            SeriesInstanceUID=f"{STUDY}.1",
            SOPInstanceUID=ds.SOPInstanceUID,
            SOPClassUID=ds.SOPClassUID,
        )
        for ds in images
    ]


def test_what_is_listed_and_not_delivered_fails_visibly_after_some_tries(liar: Liar, desk: Desk) -> None:
    images = make_study(STUDY, images=3)
    lists(liar, images)
    liar.sent = images[:1]
    desk.ask(STUDY)
    for _ in range(TRIES):
        desk.run()
        desk.clock.passed_s += 10_000
    row = desk.row(STUDY)
    assert (row.state, row.attempts, row.problem_code) == (FetchState.FAILED, TRIES, "fetch-failed")
    assert "lists 2 images that did not come" in row.message
    # What came stays.
    assert desk.images(STUDY) == 1
    assert liar.asked.count("GET") == TRIES
    assert "given up" in desk.events(STUDY)[-1]
    desk.run()
    assert liar.asked.count("GET") == TRIES
    # Somebody mends it and asks again.
    liar.sent = images
    assert desk.store.fetches.retry([row.id], desk.clock.now) == 1
    desk.run()
    assert (desk.row(STUDY).state, desk.images(STUDY)) == (FetchState.FETCHED, 3)


def test_tries_wait_longer_and_longer(liar: Liar, desk: Desk) -> None:
    lists(liar, make_study(STUDY))
    desk.ask(STUDY)
    desk.run()
    assert liar.asked.count("GET") == 1
    for passed_s, count in ((4.0, 1), (6.0, 2), (60.0, 2), (70.0, 3)):
        desk.clock.passed_s = passed_s
        desk.run()
        assert liar.asked.count("GET") == count


def test_another_study_is_not_taken(liar: Liar, desk: Desk) -> None:
    lists(liar, make_study(STUDY))
    liar.sent = make_study("1.2.840.666")
    desk.ask(STUDY)
    desk.run()
    assert (desk.row(STUDY).state, desk.row(STUDY).problem_code) == (FetchState.FAILED, "other-study")
    assert desk.images("1.2.840.666") == 0


def test_another_patients_images_are_no_prior(liar: Liar, desk: Desk) -> None:
    archive = Archive(desk.store)
    for ds in make_study("1.2.840.9", PatientID="MINE"):
        archive.add_data_set(ds)
    liar.sent = make_study(STUDY, PatientID="OTHER")
    lists(liar, liar.sent)
    want = Want(study_instance_uid=STUDY, pacs="liar", reason=FetchReason.PRIOR, for_study="1.2.840.9")
    desk.store.fetches.want(want, desk.clock.now)
    desk.run()
    assert (desk.row(STUDY).state, desk.row(STUDY).problem_code) == (FetchState.FAILED, "other-patient")
    assert desk.images(STUDY) == 0
    assert "another patient" in desk.events(STUDY)[-1]
    # No sentence holds the number.
    assert not any("OTHER" in text or "MINE" in text for text in desk.events(STUDY))


def test_what_is_urgent_does_not_wait_for_a_long_transfer(liar: Liar, desk: Desk) -> None:
    slow, images = "1.2.840.7", make_study(STUDY)
    lists(liar, images)
    place = {"StudyInstanceUID": slow, "SeriesInstanceUID": f"{slow}.1"}
    liar.listed["SERIES"].append(answer(**place))
    liar.listed["IMAGE"].append(answer(**place, SOPInstanceUID=f"{slow}.1.1"))
    liar.sent = images
    asked, may_end = threading.Event(), threading.Event()

    def hang(event: Any) -> None:
        if event.identifier.StudyInstanceUID == slow:
            asked.set()
            assert may_end.wait(60)

    liar.at_get = hang
    want = Want(study_instance_uid=slow, pacs="liar", reason=FetchReason.WATCH)
    desk.store.fetches.want(want, desk.clock.now)
    desk.restart(frozenset({Lane.OTHER}))
    other = threading.Thread(target=desk.fetcher.look)
    other.start()
    assert asked.wait(60)
    desk.restart(frozenset({Lane.URGENT}))
    # Who begins anew with one lane leaves what the other has under way.
    assert desk.row(slow).state is FetchState.FETCHING
    desk.ask(STUDY)
    desk.run()
    assert (desk.row(STUDY).state, desk.row(slow).state) == (FetchState.FETCHED, FetchState.FETCHING)
    may_end.set()
    other.join(60)
    assert not other.is_alive()


@pytest.mark.filterwarnings("ignore")
def test_answers_that_are_none_are_dropped(liar: Liar, desk: Desk) -> None:
    good = answer(StudyInstanceUID=STUDY, StudyDate="20261101", PatientID="P1")
    liar.listed["STUDY"] = [
        answer(PatientID="P1"),
        answer(StudyInstanceUID="../../etc/passwd", PatientID="P1"),
        answer(StudyInstanceUID="1.2.840.2", StudyDate="19990101", PatientID="P1"),
        answer(StudyInstanceUID="1.2.840.3", StudyDate="20261101", PatientID="SOMEBODY"),
        good,
        good,
        answer(StudyInstanceUID="1.2.840.4", PatientID="P1", StudyDescription="x" * 60_000),
    ]
    with open_finder(desk.pacs) as finder:
        found = finder.find(Level.STUDY, {"PatientID": "P1", "StudyDate": "20261101-20261102"}, STUDY_KEYS)
    assert [one.study_instance_uid for one in found.found] == [STUDY, "1.2.840.4"]
    assert found.dropped == 4
    assert len(found.found[1].text("StudyDescription")) == 1024


def test_answers_without_end_are_cut(liar: Liar, desk: Desk) -> None:
    liar.listed["STUDY"] = [answer(StudyInstanceUID=f"1.2.840.{n}") for n in range(1, 400)]
    few = Pacs(name="liar", to=liar.to, maximum_matches=10)
    with open_finder(few) as finder:
        found = finder.find(Level.STUDY, {}, STUDY_KEYS)
        assert (len(found.found), found.is_cut) == (10, True)
        # Matches that nobody asked for are not listened to without end either.
        assert finder.find(Level.STUDY, {"PatientID": "P1", "StudyInstanceUID": "1.9"}, STUDY_KEYS).is_cut


def test_what_is_interrupted_goes_on_later(liar: Liar, desk: Desk) -> None:
    liar.sent = make_study(STUDY)
    lists(liar, liar.sent)
    row = desk.ask(STUDY)
    assert desk.fetcher.fetching.fetch(row, Stopper(lambda: True)) is FetchState.WAITING
    assert (desk.row(STUDY).state, desk.row(STUDY).attempts) == (FetchState.WAITING, 0)
    desk.run()
    assert desk.row(STUDY).state is FetchState.FETCHED


def test_a_study_that_grows_where_nobody_counts(liar: Liar, tmp_path: Path) -> None:
    pacs = Pacs(name="liar", to=liar.to, timeout_s=20, watch=WatchSettings(on=True, interval_s=10))
    desk = Desk(open_store(tmp_path / "data"), pacs)
    images = make_study(STUDY, images=3)
    liar.listed["STUDY"] = [answer(StudyInstanceUID=STUDY, StudyDate=f"{desk.clock.now:%Y%m%d}")]
    lists(liar, images[:2])
    liar.sent = images[:2]
    desk.run()
    assert desk.images(STUDY) == 2
    lists(liar, images)
    liar.sent = images
    # The list is not asked for each time.
    for passed_s, count in ((100.0, 2), (200.0, 2), (500.0, 3)):
        desk.clock.passed_s = passed_s
        desk.run()
        assert desk.images(STUDY) == count
    before = liar.asked.count("GET")
    desk.clock.passed_s = 1000.0
    desk.run()
    assert liar.asked.count("GET") == before
    desk.close()
