"""Priors come before the reading, within the limit; the reading goes on without what does not come."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fetch.desk import Desk
from tests.fetch.peers import PeerPacs, make_study, orthanc_pacs
from tests.orthanc import requires_orthanc
from tests.ports import free_port
from tests.store.test_catalogue import Archive
from tests.stores import open_store
from wetread.domain.fetching import FetchState, Purpose
from wetread.domain.progress import StudyState
from wetread.fetch.pacs import Pacs, PriorSettings
from wetread.fetch.relevance import Outline, judge_priors, read_regions
from wetread.store.reading_list import Wanted
from wetread.store.retention import Policy, RetentionSettings, judge
from wetread.web.listing import list_lines

SETTINGS = PriorSettings(on=True, count=2, maximum_age_days=1000, wait_s=30)
CURRENT = Outline(
    study_instance_uid="1.1",
    study_date="20261101",
    modalities=frozenset({"CT"}),
    regions=frozenset({"chest"}),
)


def outline(day: str, **changes: object) -> Outline:
    return dataclasses.replace(CURRENT, study_instance_uid=f"1.{day}", study_date=day, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("other", "is_wanted", "why"),
    [
        (outline("20261001"), True, "31 days older, shows chest too"),
        (outline("20261001", regions=frozenset({"chest", "abdomen"})), True, "shows chest too"),
        (outline("20261001", regions=frozenset({"head"})), False, "it shows head, not chest"),
        (outline("20261001", regions=frozenset()), True, "may show the same region"),
        (outline("20261001", modalities=frozenset({"MR"})), False, "its modality is MR, not CT"),
        (outline("20261001", modalities=frozenset()), True, "31 days older"),
        (outline("20200101"), False, "more than 1000"),
        (outline("20261102"), False, "newer than the study itself"),
        (outline(""), True, "of unknown date"),
        (outline("2026-10-1"), True, "of unknown date"),
    ],
)
def test_what_is_relevant(other: Outline, is_wanted: bool, why: str) -> None:
    [verdict] = judge_priors(CURRENT, [other], SETTINGS)
    assert verdict.is_wanted is is_wanted
    assert why in verdict.reason


def test_the_newest_are_enough() -> None:
    days = ["20260101", "20260301", "20260201"]
    verdicts = judge_priors(CURRENT, [outline(day) for day in days], SETTINGS)
    wanted = [one.outline.study_date for one in verdicts if one.is_wanted]
    assert wanted == ["20260301", "20260201"]
    assert verdicts[-1].reason == "2 newer ones are enough"


def test_other_modalities_where_they_are_configured() -> None:
    settings = dataclasses.replace(SETTINGS, modalities=("MR", "PT"))
    [verdict] = judge_priors(CURRENT, [outline("20261001", modalities=frozenset({"MR"}))], settings)
    assert verdict.is_wanted


@pytest.mark.parametrize(
    ("texts", "regions"),
    [
        (["CT Thorax nativ"], {"chest"}),
        (["CHESTABDOMEN"], {"chest", "abdomen"}),
        (["", "Schädel"], set()),
        (["knee l."], {"limb"}),
    ],
)
def test_regions_are_read_from_words(texts: list[str], regions: set[str]) -> None:
    assert read_regions(texts) == regions


# Against a real PACS.


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PeerPacs]:
    with orthanc_pacs(tmp_path_factory.mktemp("priors"), free_port()) as running:
        yield running


@pytest.fixture
def make_desk(tmp_path: Path, peer: PeerPacs) -> Iterator[Callable[..., Desk]]:
    made: list[Desk] = []

    def make(**settings: object) -> Desk:
        values: dict[str, object] = {"to": peer.to, "timeout_s": 30.0} | settings
        pacs = Pacs(name="archive", priors=SETTINGS, **values)  # type: ignore[arg-type]
        made.append(Desk(open_store(tmp_path / "data"), pacs))
        return made[-1]

    yield make
    for desk in made:
        desk.close()


def put(peer: PeerPacs, study: str, day: str, patient: str, **attributes: object) -> str:
    values: dict[str, object] = {"BodyPartExamined": "CHEST"} | attributes
    peer.store(make_study(study, images=2, StudyDate=day, PatientID=patient, **values))
    return study


def arrive(desk: Desk, study: str, patient: str) -> None:
    archive = Archive(desk.store)
    for ds in make_study(study, images=2, StudyDate="20261101", PatientID=patient, BodyPartExamined="CHEST"):
        archive.add_data_set(ds)


@requires_orthanc
def test_priors_come_before_the_reading(peer: PeerPacs, make_desk) -> None:
    near, far = put(peer, "1.7.1", "20260901", "A1"), put(peer, "1.7.2", "20200101", "A1")
    put(peer, "1.7.3", "20260901", "A1X")
    desk = make_desk()
    arrive(desk, "1.7.9", "A1")
    live = desk.store.studies.find("1.7.9")
    assert 0 < desk.priors.wait_s(live) <= 1
    desk.run()
    assert desk.priors.wait_s(live) == 0
    assert desk.rows() == {near: FetchState.FETCHED}
    prior = desk.store.studies.find(near)
    assert (prior.purpose, prior.state) == (Purpose.PRIOR, StudyState.NOT_READ)
    # Neither read by itself nor on the reading list.
    assert [row.study_instance_uid for row in desk.store.studies.list_due()] == ["1.7.9"]
    assert [row.study_instance_uid for row in desk.store.studies.list_waiting()] == ["1.7.9"]
    assert near in {row.study_instance_uid for row in desk.store.studies.list_reported()}
    desk.priors.tell(live, 1)
    [told] = [text for text in desk.events("1.7.9") if text.startswith("Priors")]
    assert "1 came" in told
    assert "20200101: not, it is" in told
    assert far not in desk.rows()
    shown = list_lines(desk.store, Wanted(is_reported=True), desk.clock.now).lines
    assert [(line.purpose, line.state) for line in shown] == [("prior", "not-read")]
    policy = Policy(settings=RetentionSettings(days=1), asked_destinations=frozenset())
    [verdict] = [one for one in judge(desk.store, policy, desk.clock.now) if one.study_instance_uid == near]
    assert verdict.kept_because in ("", "younger than 1 days")


@requires_orthanc
def test_images_of_a_prior_that_arrive_make_it_live(peer: PeerPacs, make_desk) -> None:
    near = put(peer, "1.7.11", "20260901", "A2")
    desk = make_desk()
    arrive(desk, "1.7.19", "A2")
    desk.priors.wait_s(desk.store.studies.find("1.7.19"))
    desk.run()
    archive = Archive(desk.store)
    [more] = make_study(near, images=1, first=5, StudyDate="20260901", PatientID="A2")
    archive.add_data_set(more)
    row = desk.store.studies.find(near)
    assert (row.purpose, row.instance_count, row.reported_at) == (Purpose.LIVE, 3, None)
    assert near in {one.study_instance_uid for one in desk.store.studies.list_due()}


@requires_orthanc
def test_a_pacs_that_does_not_answer_delays_no_longer_than_granted(make_desk) -> None:
    desk = make_desk(to=f"PACS@127.0.0.1:{free_port()}")
    arrive(desk, "1.7.29", "A3")
    live = desk.store.studies.find("1.7.29")
    assert desk.priors.wait_s(live) > 0
    desk.run()
    desk.clock.passed_s = 29.9
    assert 0 < desk.priors.wait_s(live) < 0.2
    desk.clock.passed_s = 30.1
    assert desk.priors.wait_s(live) == 0
    desk.priors.tell(live, 1)
    [event] = [one for one in desk.store.history.list_for_study("1.7.29") if one.stage == "fetch"]
    assert (event.level, event.code) == ("problem", "priors-missing")
    assert "did not answer in time" in event.message


@requires_orthanc
def test_a_patient_id_that_is_a_pattern_asks_for_nobody_else(peer: PeerPacs, make_desk) -> None:
    put(peer, "1.7.31", "20260901", "A4")
    desk = make_desk()
    arrive(desk, "1.7.39", "A*")
    assert desk.priors.wait_s(desk.store.studies.find("1.7.39")) == 0
    desk.run()
    assert desk.rows() == {}


@requires_orthanc
def test_two_studies_wait_for_the_same_prior(peer: PeerPacs, make_desk) -> None:
    near = put(peer, "1.7.41", "20260901", "A5")
    desk = make_desk()
    for study in ("1.7.48", "1.7.49"):
        arrive(desk, study, "A5")
        desk.priors.wait_s(desk.store.studies.find(study))
    desk.run()
    for study in ("1.7.48", "1.7.49"):
        live = desk.store.studies.find(study)
        assert desk.priors.wait_s(live) == 0
        desk.priors.tell(live, 1)
        assert any("1 came" in text for text in desk.events(study)), desk.events(study)
    assert desk.images(near) == 2
