"""A backfill goes on where it stopped, and never before anything live."""

from __future__ import annotations

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
from wetread.domain.fetching import BackfillState, FetchReason, FetchState, Purpose
from wetread.domain.progress import StudyState
from wetread.errors import ConfigError
from wetread.fetch.pacs import Pacs, is_within_hours
from wetread.fetch.retrieval import Stopper
from wetread.store.backfills import BackfillRow

pytestmark = requires_orthanc
FIRST = NOW.replace(year=2021, month=3, day=1)
DAYS = 4
RANKS = [one.rank for one in FetchReason]


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PeerPacs]:
    with orthanc_pacs(tmp_path_factory.mktemp("backfill"), free_port()) as running:
        for number in range(DAYS):
            running.store(of_day(number))
        running.store(make_study("1.8.77", images=1, StudyDate=f"{FIRST:%Y%m%d}", BodyPartExamined="KNEE"))
        yield running


def uid(number: int) -> str:
    return f"1.8.{number}"


def of_day(number: int):
    day = FIRST + timedelta(days=number)
    return make_study(uid(number), images=2, StudyDate=f"{day:%Y%m%d}", BodyPartExamined="CHEST")


@pytest.fixture
def make_desk(tmp_path: Path, peer: PeerPacs) -> Iterator[Callable[..., Desk]]:
    made: list[Desk] = []

    def make(**settings: object) -> Desk:
        pacs = Pacs(name="archive", to=peer.to, **settings)  # type: ignore[arg-type]
        made.append(Desk(open_store(tmp_path / "data"), pacs))
        return made[-1]

    yield make
    for desk in made:
        desk.close()


def begin(desk: Desk, *, deliver: bool = True, rules: tuple[str, ...] = ()) -> int:
    first, last = FIRST, FIRST + timedelta(days=DAYS - 1)
    row = BackfillRow(
        id=0,
        pacs="archive",
        rules=rules,
        date_from=f"{first:%Y%m%d}",
        date_to=f"{last:%Y%m%d}",
        cursor=f"{first:%Y%m%d}",
        state=BackfillState.RUNNING,
        deliver=deliver,
        found=0,
        problem_code="",
        message="",
        begun_by="test",
        begun_at=desk.clock.now.timestamp(),
        updated_at=desk.clock.now.timestamp(),
    )
    return desk.store.backfills.begin(row)


def arrive_live(desk: Desk, study: str = "1.8.900") -> None:
    archive = Archive(desk.store)
    for ds in make_study(study, images=1):
        archive.add_data_set(ds)


def finish_live(desk: Desk, study: str = "1.8.900") -> None:
    desk.store.studies.begin_revision(study, "quiet", desk.clock.now)
    desk.store.studies.finish_revision(study, 1, StudyState.READ, desk.clock.now)


def test_day_by_day_until_it_is_done(make_desk) -> None:
    desk = make_desk()
    number = begin(desk)
    desk.run()
    row = desk.store.backfills.find(number)
    assert row.state is BackfillState.DONE
    assert desk.rows(FetchState.FETCHED).keys() == {uid(n) for n in range(DAYS)}
    assert desk.rows(FetchState.SKIPPED).keys() == {"1.8.77"}
    progress = desk.store.backfills.progress(row, desk.clock.now)
    assert (progress.days_done, progress.days, progress.found, progress.fetched) == (
        DAYS,
        DAYS,
        DAYS + 1,
        DAYS,
    )
    assert (progress.skipped, progress.waiting, progress.failed, progress.left_s) == (1, 0, 0, None)
    study = desk.store.studies.find(uid(0))
    assert study.purpose is Purpose.BACKFILL
    # To be read, and not on the reading list.
    assert {one.study_instance_uid for one in desk.store.studies.list_due()} == {uid(n) for n in range(DAYS)}
    assert desk.store.studies.list_waiting() == []


def test_a_killed_process_goes_on_at_its_cursor(make_desk) -> None:
    desk = make_desk()
    number = begin(desk)
    for _ in range(3):
        desk.fetcher.look()
    row = desk.store.backfills.find(number)
    assert row.date_from < row.cursor <= row.date_to
    # Killed within a day: it was asked for, and nothing of that was noted but one row.
    waiting = desk.store.fetches.list_waiting("archive", RANKS)
    if waiting:
        desk.store.fetches.begin(waiting[0].id, desk.clock.now)
    desk.restart()
    desk.run()
    assert desk.store.backfills.find(number).state is BackfillState.DONE
    assert desk.rows(FetchState.FETCHED).keys() == {uid(n) for n in range(DAYS)}
    assert [desk.images(uid(n)) for n in range(DAYS)] == [2] * DAYS
    assert desk.store.backfills.find(number).found == DAYS + 1


def test_nothing_is_fetched_while_something_live_waits(make_desk) -> None:
    desk = make_desk()
    begin(desk)
    arrive_live(desk)
    desk.run()
    assert desk.rows() == {}
    finish_live(desk)
    desk.run()
    assert len(desk.rows(FetchState.FETCHED)) == DAYS


def test_what_is_under_way_is_interrupted_for_something_live(make_desk) -> None:
    desk = make_desk()
    begin(desk)
    desk.fetcher.look()
    row = desk.store.fetches.list_waiting("archive", RANKS)[0]
    stops = desk.fetcher._stops(row)
    assert not stops()
    arrive_live(desk)
    assert stops()
    assert desk.fetcher.fetching.fetch(row, Stopper(stops)) is FetchState.WAITING
    assert desk.row(row.study_instance_uid).attempts == 0


def test_only_the_hours_that_are_granted(make_desk) -> None:
    desk = make_desk(backfill_hours="20:00-06:00")
    begin(desk)
    desk.run()
    assert desk.rows() == {}
    desk.clock.now = NOW.replace(hour=23)
    desk.run()
    assert len(desk.rows(FetchState.FETCHED)) == DAYS


@pytest.mark.parametrize(
    ("hours", "minute", "is_within"),
    [
        ("20:00-06:00", 20 * 60, True),
        ("20:00-06:00", 6 * 60, False),
        ("20:00-06:00", 12 * 60, False),
        ("08:00-17:30", 17 * 60 + 29, True),
        ("08:00-17:30", 17 * 60 + 30, False),
        ("", 0, True),
    ],
)
def test_hours_go_over_midnight(hours: str, minute: int, is_within: bool) -> None:
    assert is_within_hours(hours, minute) is is_within


def test_paused_and_cancelled(make_desk) -> None:
    desk = make_desk(studies_per_hour=1)
    number = begin(desk)
    desk.run()
    assert len(desk.rows(FetchState.FETCHED)) == 1
    desk.store.backfills.set_state(number, BackfillState.PAUSED, desk.clock.now)
    desk.clock.passed_s += 4000
    desk.run()
    assert len(desk.rows(FetchState.FETCHED)) == 1
    desk.store.backfills.set_state(number, BackfillState.RUNNING, desk.clock.now)
    desk.run()
    assert len(desk.rows(FetchState.FETCHED)) == 2
    desk.store.backfills.set_state(number, BackfillState.CANCELLED, desk.clock.now)
    desk.store.fetches.skip_waiting(number, "cancelled", desk.clock.now)
    desk.clock.passed_s += 4000
    desk.run()
    assert len(desk.rows(FetchState.FETCHED)) == 2
    with pytest.raises(ConfigError, match="ended"):
        desk.store.backfills.set_state(number, BackfillState.RUNNING, desk.clock.now)


def test_whether_results_are_delivered_is_kept(make_desk) -> None:
    desk = make_desk()
    begin(desk, deliver=False)
    desk.run()
    assert not desk.store.backfills.delivers(uid(0))
    assert desk.store.backfills.delivers("1.8.900")


def test_images_that_arrive_make_it_live(make_desk) -> None:
    desk = make_desk()
    begin(desk)
    desk.run()
    [more] = make_study(uid(0), images=1, first=7)
    Archive(desk.store).add_data_set(more)
    row = desk.store.studies.find(uid(0))
    assert (row.purpose, row.reported_at) == (Purpose.LIVE, None)
