"""An earlier study that comes after the reading: read again with it, behind what is live, or said why not."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from tests.dicom.small_ct import SmallCt, read_ct
from tests.domain.test_reading import make_reading
from tests.match.test_decide import LOOSE, put
from tests.store.test_store import NOW
from tests.stores import open_store
from tests.web.conftest import ORIGIN
from wetread.deliver.destination import Destination, DestinationKind
from wetread.dispatch import Dispatcher
from wetread.domain.audit import AuditAction, AuditEvent, AuditEventType
from wetread.domain.comparison import Comparison, PriorImages
from wetread.domain.document import DocumentKind
from wetread.domain.late_prior import LateOutcome
from wetread.domain.problem import ProblemCode
from wetread.domain.progress import StudyState
from wetread.domain.reading import Reading
from wetread.domain.study import study_key
from wetread.engine import Job
from wetread.errors import StorageError
from wetread.infer.job import ReadJob
from wetread.jobs import JobRow
from wetread.match import parse_rules
from wetread.path import BACKFILL_PRIORITY, StudyPath
from wetread.registry.lineup import Lineup
from wetread.steps import DeliverySteps, KeepingSteps, ReadingSteps
from wetread.steps.late_priors import LatePriorSteps
from wetread.store import Store, schema
from wetread.store.erasure import delete_study
from wetread.store.intake import Arrived
from wetread.store.retention import Policy, RetentionSettings
from wetread.web import create_web

MODEL = replace(LOOSE, runtime=replace(LOOSE.runtime, compares=True))
STUDY, EARLIER = "1.2.840.7", "1.2.840.6"
PACS = Destination(
    name="pacs",
    kind=DestinationKind.CSTORE,
    host="127.0.0.1",
    port=104,
    aet="PACS",
    kinds=frozenset({DocumentKind.SR}),
)


def step(_name: str, function, *arguments):  # type: ignore[no-untyped-def]
    return function(*arguments)


@dataclass(frozen=True)
class Line:
    """Where they stand."""

    asked: list[Job]

    def list_open(self, prefix: str) -> list[JobRow]:
        return [
            JobRow(key=one.key, is_running=False, worker="", priority=one.priority, since=0.0)
            for one in self.asked
            if one.key.startswith(prefix)
        ]

    def put(self, key: str, priority: int) -> bool:
        self.asked[:] = [replace(one, priority=priority) if one.key == key else one for one in self.asked]
        return True


@dataclass
class Jobs:
    """What an engine is asked for: nothing runs by itself."""

    is_alone = False
    asked: list[Job] = field(default_factory=list)

    @property
    def jobs(self) -> Line:
        return Line(self.asked)

    def enqueue(self, job: Job) -> None:
        self.asked.append(job)

    def prune(self, _before: str) -> None: ...

    def last_attempt(self, prefix: str) -> tuple[int, str]:
        count = len(self.list_open(prefix))
        return count, "ENQUEUED" if count else ""

    def list_open(self, prefix: str) -> list[str]:
        return [one.key for one in self.asked if one.key.startswith(prefix)]


@dataclass
class Place:
    """A store with a clock that goes on, and a model that notes with what it compares."""

    store: Store
    folder: Path
    now: datetime = NOW
    days: float = 7.0
    #: Study, and what it was compared with.
    ran: list[tuple[str, str]] = field(default_factory=list)
    engine: Jobs = field(default_factory=Jobs)

    def clock(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now

    def hold(self, uid: str, day: str, planes: int = 5, **header: str) -> None:
        """Take in a study, or the planes of it that are not here yet."""
        said = {"StudyDate": day, "PatientID": "P1", **header}
        edits = [put(keyword, value) for keyword, value in said.items()]

        def edit(ds, plane):  # type: ignore[no-untyped-def]
            for one in edits:
                one(ds, plane)

        small = SmallCt(study_uid=uid, series_uid=f"{uid}.1", edit=edit, shape=(planes, 8, 10))
        made = read_ct(self.folder / f"{uid}-{planes}", small)
        for one in made.series[0].instances:
            path = self.store.intake.incoming / f"{one.sop_instance_uid}.part"
            shutil.copyfile(one.path, path)
            self.store.intake.accept(
                Arrived(
                    instance=replace(one, path=path),
                    content_digest=hashlib.sha256(one.path.read_bytes()).hexdigest(),
                    size=1,
                    received_at=self.clock(),
                    source="CT1",
                )
            )

    @property
    def reading(self) -> ReadingSteps:
        return ReadingSteps(
            store=self.store,
            lineup=Lineup([MODEL], self.store.model_states),
            rules=parse_rules([{"name": "CT", "models": ["chest-ct"], "modality": "CT"}]),
            destinations={"pacs": PACS},
            run_job=self.run,
            clock=self.clock,
            default_quiet_s=10.0,
        )

    @property
    def late(self) -> LatePriorSteps:
        return LatePriorSteps(
            store=self.store,
            lineup=Lineup([MODEL], self.store.model_states),
            clock=self.clock,
            days=self.days,
        )

    def run(self, job: ReadJob) -> Reading:
        prior = job.prior
        self.ran.append((job.study_instance_uid, prior.study_instance_uid if prior else ""))
        compared = None
        if prior is not None:
            first = prior.series.instances[0]
            images = PriorImages(
                series_instance_uid=prior.series.series_instance_uid,
                sop_class_uid=first.sop_class_uid,
                frame_of_reference_uid="",
                sop_instance_uids=tuple(one.sop_instance_uid for one in prior.series.instances),
            )
            compared = Comparison(
                study_instance_uid=prior.study_instance_uid,
                lung_overlap=1.0,
                vessel_likeness=1.0,
                images=images,
            )
        grid = make_reading().grid
        assert grid is not None
        uids = tuple(sorted(one.sop_instance_uid for one in job.series.instances))
        shape = (len(uids), *grid.shape[1:])
        return replace(
            make_reading(),
            study_instance_uid=job.study_instance_uid,
            series_instance_uid=job.series.series_instance_uid,
            revision=job.revision,
            model=job.model.identity,
            made_at=job.made_at,
            predecessor_digest=job.predecessor_digest,
            findings=(),
            segments=(),
            regions=(),
            problems=job.prior_problems,
            comparison=compared,
            grid=replace(grid, shape=shape, sop_instance_uids=uids),
        )

    def read(self, uid: str) -> int:
        begun = self.store.studies.begin_revision(uid, "quiet for 10 s", self.clock())
        assert begun is not None
        self.go(uid, begun.revision)
        return begun.revision

    def go(self, uid: str, revision: int) -> None:
        delivery = DeliverySteps(store=self.store, destinations={"pacs": PACS}, clock=self.clock)
        path = StudyPath(self.reading, None, delivery, lambda _job: None)  # type: ignore[arg-type]
        path.read_study(step, uid, revision, 1)

    def dispatcher(self) -> Dispatcher:
        delivery = DeliverySteps(store=self.store, destinations={}, clock=self.clock)
        policy = Policy(settings=RetentionSettings(), asked_destinations=frozenset())
        keeping = KeepingSteps(store=self.store, policy=policy, clock=self.clock)
        return Dispatcher(
            self.store,
            self.reading,
            delivery,
            self.engine,
            self.clock,
            keeping,
            late=self.late,  # type: ignore[arg-type]
        )

    def outcomes(self) -> dict[str, str]:
        table = schema.late_prior
        with self.store.engine.connect() as connection:
            rows = connection.execute(select(table.c.prior_instance_uid, table.c.outcome)).all()
        return {str(uid): str(outcome) for uid, outcome in rows}

    def told(self, uid: str = STUDY) -> str:
        return " ".join(one.message for one in self.store.history.list_for_study(uid))

    def standing(self, uid: str = STUDY) -> Reading:
        (row,) = self.store.readings.list_current([uid])[uid]
        return self.store.readings.load(row.digest)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A study that was read without a comparison."""
    store = open_store(tmp_path / "data")
    made = Place(store, tmp_path)
    made.hold(STUDY, "20260412")
    made.read(STUDY)
    assert made.ran == [(STUDY, "")]
    yield made
    store.close()


def test_it_is_read_again_with_an_earlier_study_that_came_after(place: Place) -> None:
    assert place.late.look() is None
    place.hold(EARLIER, "20260112")
    assert place.late.look() is None, "not before it is complete"
    place.read(EARLIER)
    assert place.late.look() == (STUDY, 2)
    first = place.standing()
    assert place.late.look() is None, "once"
    place.go(STUDY, 2)
    assert place.ran[-1] == (STUDY, EARLIER)
    second = place.standing()
    assert (second.revision, second.comparison.study_instance_uid) == (2, EARLIER)  # type: ignore[union-attr]
    # As any other revision: it names what it takes the place of.
    assert second.predecessor_digest
    assert first.comparison is None
    assert place.late.look() is None
    assert place.outcomes() == {EARLIER: LateOutcome.BEGUN.value}
    assert len(place.ran) == 3
    waiting = place.store.deliveries.list_for(STUDY, 2, "pacs")
    kinds = place.store.pages.kinds_of([one.document_id for one in waiting])
    assert set(kinds.values()) == {DocumentKind.SR}
    assert place.store.studies.get_revision(STUDY, 2).cause == (
        "an earlier study came after the reading (90 days before)"
    )
    assert "An earlier study, 90 days before, came after the reading: read again" in place.told()


def test_the_page_says_why(place: Place) -> None:
    place.hold(EARLIER, "20260112")
    place.read(EARLIER)
    place.late.look()
    place.go(STUDY, 2)
    app = create_web(place.store, [MODEL], poll_s=0, now=lambda: NOW)
    with TestClient(app, base_url=ORIGIN, follow_redirects=False) as client:
        page = client.get(f"/studies/{study_key(STUDY)}").text
    assert "5 images, an earlier study came after the reading (90 days before)" in page


def test_a_newer_prior_takes_the_place_of_an_older_one_and_not_the_other_way_round(place: Place) -> None:
    place.hold(EARLIER, "20260112")
    place.read(EARLIER)
    place.late.look()
    place.go(STUDY, 2)
    place.hold(f"{EARLIER}.1", "20250112")
    place.read(f"{EARLIER}.1")
    # The one of January is read again with that of the year before; this one stays as it is.
    assert place.late.look() == (EARLIER, 2)
    place.go(EARLIER, 2)
    assert place.ran[-1] == (EARLIER, f"{EARLIER}.1")
    assert place.late.look() is None
    assert place.outcomes()[f"{EARLIER}.1"] in {LateOutcome.NOTHING.value, LateOutcome.BEGUN.value}
    place.hold(f"{EARLIER}.2", "20260312")
    place.read(f"{EARLIER}.2")
    assert place.late.look() == (STUDY, 3)
    place.go(STUDY, 3)
    assert place.ran[-1] == (STUDY, f"{EARLIER}.2")


def test_one_that_was_there_is_nothing_new(tmp_path: Path) -> None:
    store = open_store(tmp_path / "data")
    place = Place(store, tmp_path)
    place.hold(EARLIER, "20260112")
    place.read(EARLIER)
    place.hold(STUDY, "20260412")
    place.read(STUDY)
    assert place.ran[-1] == (STUDY, EARLIER)
    assert place.late.look() is None
    assert place.outcomes() == {}
    store.close()


def test_a_later_study_is_no_prior(place: Place) -> None:
    place.hold("1.2.840.8", "20260512")
    place.read("1.2.840.8")
    assert place.late.look() is None
    assert place.outcomes() == {}


@pytest.mark.parametrize(("keyword", "value"), [("PatientBirthDate", "19500101"), ("PatientSex", "M")])
def test_one_of_another_patient_is_refused_and_the_history_says_so(
    tmp_path: Path, keyword: str, value: str
) -> None:
    store = open_store(tmp_path / "data")
    place = Place(store, tmp_path)
    place.hold(STUDY, "20260412", **{keyword: "19600101" if keyword == "PatientBirthDate" else "F"})
    place.read(STUDY)
    place.hold(EARLIER, "20260112", **{keyword: value})
    place.read(EARLIER)
    assert place.late.look() is None
    assert place.late.look() is None
    assert place.outcomes() == {EARLIER: LateOutcome.REFUSED.value}
    codes = [one.code for one in store.history.list_for_study(STUDY)]
    assert codes.count(ProblemCode.PRIOR_OTHER_PATIENT.value) == 1
    assert store.studies.find(STUDY).revision == 1  # type: ignore[union-attr]
    store.close()


def test_what_somebody_reported_is_not_read_again(place: Place) -> None:
    place.store.studies.mark_reported(STUDY, place.clock())
    place.hold(EARLIER, "20260112")
    place.read(EARLIER)
    assert place.late.look() is None
    assert place.late.look() is None
    assert place.outcomes() == {EARLIER: LateOutcome.NOTED.value}
    assert place.told().count("The study is reported: it was not compared with.") == 1


@pytest.mark.parametrize(("days", "later"), [(0.0, timedelta()), (7.0, timedelta(days=7, minutes=1))])
def test_old_readings_are_left_as_they_are(place: Place, days: float, later: timedelta) -> None:
    place.now += later
    place.days = days
    place.hold(EARLIER, "20260112")
    place.read(EARLIER)
    assert place.late.look() is None
    assert place.outcomes() == {}


def test_the_rest_of_a_prior_that_came_in_two_parts(place: Place) -> None:
    place.hold(EARLIER, "20260112")
    place.read(EARLIER)
    place.late.look()
    place.go(STUDY, 2)
    # Five more planes of it: what the Reading was compared with was not the whole.
    place.hold(EARLIER, "20260112", planes=10)
    assert place.late.look() is None
    place.read(EARLIER)
    assert place.late.look() == (STUDY, 3)
    place.go(STUDY, 3)
    assert place.ran[-1] == (STUDY, EARLIER)
    assert place.late.look() is None


def test_more_images_that_come_meanwhile_do_not_lose_it(place: Place) -> None:
    place.hold(EARLIER, "20260112")
    place.read(EARLIER)
    assert place.late.look() == (STUDY, 2)
    # An object of another kind comes before that is read: a revision of its own takes over.
    place.hold(f"{STUDY}", "20260412", planes=6)
    begun = place.store.studies.begin_revision(STUDY, "quiet for 10 s", place.clock())
    assert begun is not None
    place.go(STUDY, 2)
    assert (STUDY, EARLIER) not in place.ran
    place.go(STUDY, 3)
    assert place.ran[-1] == (STUDY, EARLIER)


def test_a_study_that_is_deleted_leaves_no_trace_of_it(place: Place) -> None:
    place.hold(EARLIER, "20260112")
    place.read(EARLIER)
    place.late.look()
    place.go(STUDY, 2)
    event = AuditEvent(
        type=AuditEventType.STUDY_DELETED,
        action=AuditAction.DELETE,
        at=NOW,
        description="Deleted.",
        actors=(),
        studies=(EARLIER,),
    )
    assert delete_study(place.store, EARLIER, event=event, keep=lambda *_: "", why="test") == ""
    assert place.outcomes() == {}


def test_it_waits_for_everything_live_and_goes_behind_it(place: Place) -> None:
    place.hold(EARLIER, "20260112")
    place.read(EARLIER)
    dispatcher = place.dispatcher()
    # Something live arrives: nothing is begun while it does, waits or is read.
    place.hold("1.2.840.9", "20260413", PatientID="P2")
    dispatcher.look()
    assert place.engine.asked == []
    live = place.store.studies.begin_revision("1.2.840.9", "quiet for 10 s", place.clock())
    assert live is not None
    dispatcher.look()
    assert [one.key for one in place.engine.asked if STUDY in one.key] == []
    place.go("1.2.840.9", 1)
    place.engine.asked.clear()
    dispatcher.look()
    (job,) = place.engine.asked
    assert (job.key, job.priority) == (f"read/{STUDY}/2/1", BACKFILL_PRIORITY)
    # It keeps its place while it waits.
    dispatcher.look()
    assert [one.priority for one in place.engine.asked if STUDY in one.key] == [BACKFILL_PRIORITY]
    # One that was lost is found again, with the same priority.
    place.engine.asked.clear()
    assert dispatcher._job(STUDY, 2, 2).priority == BACKFILL_PRIORITY
    assert dispatcher._job("1.2.840.9", 1).priority < BACKFILL_PRIORITY


def test_a_pair_that_cannot_be_looked_at_does_not_stop_the_others(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.hold("1.2.840.17", "20260412", PatientID="P2")
    place.read("1.2.840.17")
    for uid, patient in ((EARLIER, "P1"), ("1.2.840.16", "P2")):
        place.hold(uid, "20260112", PatientID=patient)
        place.read(uid)
    load = place.store.studies.load

    def broken(uid: str, *rest, **named):  # type: ignore[no-untyped-def]
        if uid == "1.2.840.17":
            raise StorageError
        return load(uid, *rest, **named)

    monkeypatch.setattr(type(place.store.studies), "load", lambda _self, uid, *a, **k: broken(uid, *a, **k))
    assert place.late.look() == (STUDY, 2)


def test_a_study_that_is_read_is_left_to_it(place: Place) -> None:
    place.hold(EARLIER, "20260112")
    place.read(EARLIER)
    assert place.store.studies.begin_again(STUDY, "asked for by anna", NOW, lambda _: None) is not None
    assert place.late.look() is None
    assert place.outcomes() == {}
    place.store.studies.finish_revision(STUDY, 2, StudyState.READ, NOW)
    assert place.late.look() == (STUDY, 3)
