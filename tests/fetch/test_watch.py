"""A watched PACS: what rules want is taken, once, whatever happens in between."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.fetch.desk import NOW, Desk
from tests.fetch.peers import PeerPacs, make_study, orthanc_pacs
from tests.orthanc import requires_orthanc
from tests.ports import free_port
from tests.store.test_catalogue import Archive
from tests.stores import open_store
from wetread.assemble import Arrival, check_completeness
from wetread.domain.fetching import FetchReason, FetchState, Purpose
from wetread.fetch.pacs import Pacs, WatchSettings
from wetread.fetch.retrieval import Stopper
from wetread.store.audit_rows import AuditRows
from wetread.store.fetches import Want

pytestmark = requires_orthanc
PREFIX = iter(range(1, 1000))
RANKS = [one.rank for one in FetchReason]


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PeerPacs]:
    with orthanc_pacs(tmp_path_factory.mktemp("watch"), free_port()) as running:
        yield running


@pytest.fixture
def day() -> Iterator[str]:
    """A day of its own for each test, so that they share one PACS."""
    return (NOW + timedelta(days=10 * next(PREFIX))).strftime("%Y%m%d")


@pytest.fixture
def make_desk(tmp_path: Path, peer: PeerPacs, day: str) -> Iterator[Callable[..., Desk]]:
    made: list[Desk] = []

    def make(**settings: object) -> Desk:
        pacs = Pacs(
            name="archive",
            to=peer.to,
            dicomweb_url=peer.dicomweb_url,
            watch=WatchSettings(on=True, interval_s=60),
            **settings,  # type: ignore[arg-type]
        )
        desk = Desk(open_store(tmp_path / "data"), pacs)
        desk.clock.now = NOW.strptime(day, "%Y%m%d").replace(tzinfo=NOW.tzinfo) + timedelta(hours=12)
        made.append(desk)
        return desk

    yield make
    for desk in made:
        desk.close()


def uid(day: str, number: int) -> str:
    return f"1.2.826.{day}.{number}"


def put(peer: PeerPacs, day: str, number: int, images: int = 2, **attributes: object) -> str:
    values: dict[str, object] = {"StudyDate": day, "BodyPartExamined": "CHEST"} | attributes
    peer.store(make_study(uid(day, number), images=images, **values))
    return uid(day, number)


def test_what_the_pacs_counts_ends_the_wait(peer: PeerPacs, day: str, make_desk) -> None:
    study = put(peer, day, 1, images=3)
    desk = make_desk()
    desk.run()
    row = desk.store.studies.find(study)
    assert (row.instance_count, row.expected_instances, row.expected_by) == (3, 3, "archive")
    arrival = Arrival(
        instance_count=row.instance_count,
        covered_count=0,
        expected_instances=row.expected_instances,
        expected_by=row.expected_by,
        silence_s=0.0,
    )
    complete = check_completeness(arrival, quiet_s=3600)
    assert complete.is_complete
    assert complete.cause == "all 3 expected images (told by archive) are here"


def test_exactly_what_rules_want_is_taken_once(peer: PeerPacs, day: str, make_desk) -> None:
    wanted, unknown = put(peer, day, 1), put(peer, day, 2, BodyPartExamined="")
    head = put(peer, day, 3, BodyPartExamined="HEAD")
    other = put(peer, day, 4, Modality="MR")
    put(peer, "20010101", 5)
    desk = make_desk()
    desk.run()
    assert desk.rows(FetchState.FETCHED) == {
        wanted: FetchState.FETCHED,
        # What a PACS does not tell excludes nothing.
        unknown: FetchState.FETCHED,
    }
    assert desk.rows(FetchState.SKIPPED).keys() == {head, other}
    assert [desk.images(study) for study in (wanted, unknown, head, other)] == [2, 2, 0, 0]
    assert desk.store.studies.find(wanted).purpose is Purpose.LIVE
    before = len(AuditRows(desk.store.engine).list_last(100))
    for _ in range(3):
        desk.clock.passed_s += 100
        desk.run()
    desk.restart()
    desk.run()
    after = AuditRows(desk.store.engine).list_last(100)
    # Only asked, each time: nothing was transferred again.
    assert len(after) - before == 4
    assert {entry.event for entry in after[before:]} == {"110112"}


def test_the_rest_of_a_study_that_grows_is_taken(peer: PeerPacs, day: str, make_desk) -> None:
    study = put(peer, day, 1, images=2)
    desk = make_desk()
    desk.run()
    peer.store(make_study(study, images=3, first=2, StudyDate=day, BodyPartExamined="CHEST"))
    desk.clock.passed_s += 100
    desk.run()
    assert desk.images(study) == 5
    # Three were transferred, not five.
    assert any("3 images came" in message for message in desk.events(study))


def test_a_study_that_is_here_already_is_not_fetched(peer: PeerPacs, day: str, make_desk) -> None:
    study = put(peer, day, 1)
    desk = make_desk()
    desk.ask(study)
    desk.run()
    assert (desk.row(study).state, desk.images(study)) == (FetchState.FETCHED, 2)
    assert sum("images came" in message for message in desk.events(study)) == 1


def test_a_process_killed_in_the_middle_goes_on(peer: PeerPacs, day: str, make_desk) -> None:
    studies = [put(peer, day, number) for number in range(3)]
    desk = make_desk()
    desk.fetcher.look()
    first = desk.store.fetches.list_waiting("archive", RANKS)[0]
    # As one leaves it that was killed while it fetched.
    assert desk.store.fetches.begin(first.id, desk.clock.now)
    desk.restart()
    desk.run()
    assert desk.rows(FetchState.FETCHED).keys() == set(studies)
    assert [desk.images(study) for study in studies] == [2, 2, 2]


def test_what_was_deleted_here_is_not_fetched_again(peer: PeerPacs, day: str, make_desk) -> None:
    fetched, sent = put(peer, day, 1), put(peer, day, 2)
    desk = make_desk()
    desk.ask(fetched)
    desk.run()
    archive = Archive(desk.store)
    for ds in make_study(sent, images=2, StudyDate=day):
        archive.add_data_set(ds)
    for study in (fetched, sent):
        desk.erase(study)
    desk.clock.passed_s += 100
    desk.restart()
    desk.run()
    assert desk.images(fetched) == desk.images(sent) == 0
    assert desk.row(fetched).problem_code == desk.row(sent).problem_code == "study-deleted"
    # Unless somebody asks.
    desk.ask(sent)
    desk.run()
    assert desk.images(sent) == 2


def test_a_prior_that_is_new_there_is_read_after_all(peer: PeerPacs, day: str, make_desk) -> None:
    study = put(peer, day, 1)
    desk = make_desk()
    want = Want(study_instance_uid=study, pacs="archive", reason=FetchReason.PRIOR)
    row = desk.store.fetches.want(want, desk.clock.now)
    desk.fetcher.fetching.fetch(row, Stopper())
    assert desk.store.studies.find(study).purpose is Purpose.PRIOR
    assert desk.store.studies.list_due() == []
    desk.run()
    assert desk.store.studies.find(study).purpose is Purpose.LIVE
    assert [one.study_instance_uid for one in desk.store.studies.list_due()] == [study]


def test_the_pace_is_kept(peer: PeerPacs, day: str, make_desk) -> None:
    studies = [put(peer, day, number) for number in range(3)]
    desk = make_desk(studies_per_hour=2)
    desk.run()
    assert len(desk.rows(FetchState.FETCHED)) == 2
    asked = desk.ask(next(iter(desk.rows(FetchState.WAITING))))
    desk.run()
    # Who asks does not wait.
    assert asked.study_instance_uid in desk.rows(FetchState.FETCHED)
    assert desk.rows(FetchState.FETCHED).keys() == set(studies)


def test_too_many_of_a_day_is_said(peer: PeerPacs, day: str, make_desk) -> None:
    for number in range(3):
        put(peer, day, number)
    desk = make_desk(maximum_matches=2)
    desk.fetcher.look()
    [state] = desk.store.pacs.list_all()
    assert state.problem_code == "too-many-matches"
    assert desk.rows() == {}


def test_a_pacs_that_is_away_is_asked_again(make_desk, peer: PeerPacs, day: str) -> None:
    study = put(peer, day, 1)
    desk = make_desk()
    here = desk.pacs
    desk.pacs = dataclasses.replace(here, to=f"ORTHANC@127.0.0.1:{free_port()}")
    desk.ask(study)
    desk.restart()
    desk.run()
    [state] = desk.store.pacs.list_all()
    assert state.problem_code == "peer-unreachable"
    # It is no try of the study: whatever waits goes on waiting.
    assert (desk.row(study).state, desk.row(study).attempts) == (FetchState.WAITING, 0)
    desk.pacs = here
    desk.restart()
    desk.run()
    assert desk.images(study) == 2
    assert desk.store.pacs.list_all()[0].problem_code == ""
    told = [event.message for event in desk.store.history.list_newest() if event.stage == "fetch"]
    assert any("cannot be asked" in one for one in told)
    assert any("answers again" in one for one in told)
