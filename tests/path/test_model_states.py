"""Which version reads a study, while versions come, go and fail: real packages, real processes."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from tests.promoted import make_live
from tests.registry.versions import Board
from tests.store.test_store import NOW
from tests.stores import open_store
from tests.trust.quick import study_uid, write_quick_model, write_quick_study
from wetread.dicom.digest import digest_data_set
from wetread.dicom.header import read_instance
from wetread.domain.audit import Actor
from wetread.domain.lifecycle import Cause, ModelState
from wetread.domain.model import Model
from wetread.domain.reading import Outcome, Reading
from wetread.errors import ModelInterrupted
from wetread.explain import explain_study
from wetread.infer.job import ReadJob
from wetread.infer.process import run_job
from wetread.match import parse_rules
from wetread.registry import read_package
from wetread.registry.lineup import Lineup
from wetread.registry.promotion import restore, retire, roll_back
from wetread.steps import ReadingSteps
from wetread.store import Store
from wetread.store.audit_rows import AuditRows
from wetread.store.intake import Arrived
from wetread.store.model_states import ModelChange

#: Fails at every study with more than three images.
_FAILING = """
import quick_good


def read(request):
    if len(request.volume.voxels) > 3:
        raise RuntimeError("nothing works")
    return quick_good.read(request)
"""


def quick(folder: Path, version: str, *, is_failing: bool = False) -> Model:
    package = write_quick_model(folder, f"quick-{version}", version)
    if is_failing:
        shutil.move(package / "quick_reader.py", package / "quick_good.py")
        (package / "quick_reader.py").write_text(_FAILING)
    return read_package(package)


@dataclass
class Desk:
    """Studies come in and are read."""

    store: Store
    folder: Path
    lineup: Lineup
    board: Board = field(default_factory=Board)
    #: Called when a model has read, before its Reading is kept.
    meanwhile: Callable[[ReadJob], None] = lambda _: None

    def __post_init__(self) -> None:
        self.steps = ReadingSteps(
            store=self.store,
            lineup=self.lineup,
            rules=parse_rules([{"name": "all", "models": [self.lineup.packages[0].identity.name]}]),
            destinations={},
            run_job=self._run,
            clock=lambda: NOW,
            default_quiet_s=10.0,
            failures_in_a_row=3,
        )

    def _run(self, job: ReadJob) -> Reading:
        reading = run_job(job)
        self.meanwhile(job)
        return reading

    def send(self, number: int, images: int = 5) -> str:
        self.take_in(write_quick_study(self.folder / f"scan{number}", number, images))
        return study_uid(number)

    def take_in(self, paths: list[Path]) -> None:
        for path in paths:
            part = shutil.copy(path, self.store.intake.incoming / f"{path.parent.name}.{path.name}.part")
            self.store.intake.accept(
                Arrived(
                    instance=read_instance(part),
                    content_digest=digest_data_set(part)[0],
                    size=path.stat().st_size,
                    received_at=NOW,
                    source="TEST",
                )
            )

    def read(self, number: int, images: int = 5) -> list[tuple[str, Outcome]]:
        """Read a study as the path does; returns which version said what."""
        return self.read_study(self.send(number, images))

    def read_study(self, study: str) -> list[tuple[str, Outcome]]:
        begun = self.store.studies.begin_revision(study, "quiet", NOW)
        assert begun is not None
        for chosen in self.steps.match(study, begun.revision):
            self.steps.infer(study, begun.revision, chosen["model"], chosen["series"])
        self.steps.finish(study, begun.revision)
        return self.readings(study)

    def make_live(self, version: str, *, instead_of: str) -> None:
        """Put a version in the place of another, as if it had been promoted."""

        def decide(changes: Sequence[ModelChange]) -> list[ModelChange]:
            newest = {one.version: one for one in changes}
            return [
                replace(newest[instead_of], state=ModelState.VALIDATED, cause=Cause.REPLACED),
                replace(newest[version], state=ModelState.LIVE, cause=Cause.PROMOTED),
            ]

        self.store.model_states.change(Actor(user_id="anna", is_requestor=True), decide)

    def readings(self, study: str) -> list[tuple[str, Outcome]]:
        return [(row.model_version, row.outcome) for row in self.store.readings.list_for_study(study)]

    def told(self, study: str) -> str:
        return " ".join(event.message for event in self.store.history.list_for_study(study))


@pytest.fixture
def make_desk(tmp_path: Path) -> Iterator[Callable[..., Desk]]:
    store = open_store(tmp_path / "data")

    def make(*models: Model, live: tuple[Model, ...] = ()) -> Desk:
        make_live(store, *(live or models))
        return Desk(store, tmp_path, Lineup(models, store.model_states))

    yield make
    store.close()


def test_the_live_version_reads_and_after_a_roll_back_the_one_before(make_desk, tmp_path: Path) -> None:
    desk: Desk = make_desk(quick(tmp_path, "1.0.0"), quick(tmp_path, "2.0.0"))
    assert desk.read(1) == [("2.0.0", Outcome.READ)]
    roll_back(desk.lineup, "quick", desk.board.decide())
    assert desk.read(2) == [("1.0.0", Outcome.READ)]
    assert desk.readings(study_uid(1)) == [("2.0.0", Outcome.READ)], "what was read stands as it was said"


def test_what_was_matched_for_another_version_is_matched_again(make_desk, tmp_path: Path) -> None:
    old = quick(tmp_path, "1.0.0")
    toml = tmp_path / "quick-1.0.0" / "model.toml"
    toml.write_text(toml.read_text().replace("pixel_range", "minimum_slices = 4\npixel_range"))
    old = read_package(toml.parent)
    desk: Desk = make_desk(old, quick(tmp_path, "2.0.0"))
    for number, images, expected in ((1, 5, [("1.0.0", Outcome.READ)]), (2, 3, [])):
        study = desk.send(number, images)
        assert desk.store.studies.begin_revision(study, "quiet", NOW) is not None
        [chosen] = desk.steps.match(study, 1)
        roll_back(desk.lineup, "quick", desk.board.decide())
        desk.steps.infer(study, 1, chosen["model"], chosen["series"])
        assert desk.readings(study) == expected
        if number == 1:
            desk.make_live("2.0.0", instead_of="1.0.0")
    assert "at least 4 are needed" in explain_study(desk.store, study)


def test_a_reading_that_ends_after_a_roll_back_is_not_kept(make_desk, tmp_path: Path) -> None:
    desk: Desk = make_desk(quick(tmp_path, "1.0.0"), quick(tmp_path, "2.0.0"))
    ran: list[str] = []

    def withdraw(job: ReadJob) -> None:
        ran.append(job.model.identity.version)
        if ran == ["2.0.0"]:
            roll_back(desk.lineup, "quick", desk.board.decide())

    desk.meanwhile = withdraw
    assert desk.read(1) == [("1.0.0", Outcome.READ)]
    assert ran == ["2.0.0", "1.0.0"]
    assert "quick 2.0.0 is not live any more: what it read is not kept." in desk.told(study_uid(1))
    desk.meanwhile = lambda _: retire(desk.lineup, "quick", desk.board.decide("It harms."), version="1.0.0")
    assert desk.read(2) == [], "retired meanwhile, and nothing takes its place"
    assert len(list(desk.store.scratch.iter_paths())) == 1, "of the study whose documents are still to come"


def test_versions_that_change_all_the_time_interrupt_and_do_not_hang(make_desk, tmp_path: Path) -> None:
    desk: Desk = make_desk(quick(tmp_path, "1.0.0"), quick(tmp_path, "2.0.0"))
    others = {"1.0.0": "2.0.0", "2.0.0": "1.0.0"}

    def flip(job: ReadJob) -> None:
        version = job.model.identity.version
        desk.make_live(others[version], instead_of=version)

    desk.meanwhile = flip
    with pytest.raises(ModelInterrupted):
        desk.read(1)
    assert desk.readings(study_uid(1)) == []


def test_who_fails_again_and_again_goes_out_of_service_and_says_so(make_desk, tmp_path: Path) -> None:
    desk: Desk = make_desk(quick(tmp_path, "1.0.0", is_failing=True))
    failed = [("1.0.0", Outcome.NOT_READ)]
    assert [desk.read(1), desk.read(2)] == [failed, failed]
    assert desk.read(3, images=3) == [("1.0.0", Outcome.READ)], "which breaks the row"
    assert [desk.read(number) for number in (4, 5, 6)] == [failed] * 3
    assert desk.read(7) == []
    assert "out of service" in desk.told(study_uid(7))
    assert "model-out-of-service" in explain_study(desk.store, study_uid(7))
    newest = desk.store.model_states.list_all()[-1]
    assert (newest.cause, newest.who, newest.in_service) == (Cause.FAILED, "wetread", False)
    assert newest.state is ModelState.LIVE
    audited = AuditRows(desk.store.engine).list_last(50)
    assert any("was taken out of service. It failed at 3 studies in a row" in row.message for row in audited)
    assert any(event.code == "model-out-of-service" for event in desk.store.history.list_newest())
    restore(desk.lineup, "quick", desk.board.decide("Memory was added."))
    assert desk.read(8, images=3) == [("1.0.0", Outcome.READ)]
    assert [desk.read(9), desk.read(10)] == [failed, failed], "it has all its chances again"


def test_one_study_that_fails_again_and_again_counts_once(make_desk, tmp_path: Path) -> None:
    desk: Desk = make_desk(quick(tmp_path, "1.0.0", is_failing=True))
    for images in (4, 5, 6, 7):
        study = desk.send(1, images)
        revision = desk.store.studies.begin_revision(study, "quiet", NOW)
        assert revision is not None
        [chosen] = desk.steps.match(study, revision.revision)
        desk.steps.infer(study, revision.revision, chosen["model"], chosen["series"])
    assert [row.cause for row in desk.store.model_states.list_all()] == [Cause.PROMOTED]


def test_images_that_cannot_be_read_are_not_the_models_fault(make_desk, tmp_path: Path) -> None:
    desk: Desk = make_desk(quick(tmp_path, "1.0.0"))
    for number in range(1, 5):
        study = desk.send(number)
        for path in desk.store.studies.load(study).series[0].instances:
            path.path.write_bytes(b"broken")
        assert desk.store.studies.begin_revision(study, "quiet", NOW) is not None
        for chosen in desk.steps.match(study, 1):
            desk.steps.infer(study, 1, chosen["model"], chosen["series"])
        assert desk.readings(study) == [("1.0.0", Outcome.NOT_READ)]
    assert desk.lineup.now()["quick"].withheld == ""


def test_a_model_may_be_left_in_service_whatever_happens(make_desk, tmp_path: Path) -> None:
    desk: Desk = make_desk(quick(tmp_path, "1.0.0", is_failing=True))
    object.__setattr__(desk.steps, "failures_in_a_row", 0)
    for number in range(1, 5):
        desk.read(number)
    assert desk.lineup.now()["quick"].withheld == ""
