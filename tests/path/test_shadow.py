"""Versions in the shadow read beside the live ones, and nothing of a study shows it: real processes."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update
from typer.testing import CliRunner

from tests.path.test_model_states import Desk, quick
from tests.promoted import make_live, make_shadow
from tests.store.test_store import NOW
from tests.stores import open_store
from tests.trust.quick import study_uid
from wetread.cli import app
from wetread.domain.audit import AuditAction, AuditEvent, AuditEventType
from wetread.domain.fetching import Purpose
from wetread.domain.lifecycle import Cause, ModelState
from wetread.domain.model import Model
from wetread.domain.progress import StudyState
from wetread.domain.reading import Outcome, Reading
from wetread.domain.shadow import ShadowState
from wetread.errors import ModelInterrupted, StorageError, UnknownModel
from wetread.explain import explain_study
from wetread.infer.job import ReadJob
from wetread.infer.precedence import Precedence
from wetread.infer.process import run_job
from wetread.registry import read_package
from wetread.registry.lineup import Lineup
from wetread.registry.promotion import promote, restore, retire
from wetread.steps import ShadowSteps
from wetread.store import Store, schema
from wetread.store.audit_rows import AuditRows
from wetread.store.backup import back_up
from wetread.store.erasure import delete_study
from wetread.store.shadows import ShadowRow

#: What reading in the shadow may touch.
ITS_OWN = {"shadow_reading", "audit", "audit_head", "model_failure"}


@dataclass
class ShadowDesk(Desk):
    """A desk at which versions in the shadow read when live ones have."""

    #: Called when a version in the shadow has read, before what it read is kept.
    behind: Callable[[ReadJob], None] = lambda _: None
    ran: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.shadow = ShadowSteps(
            store=self.store,
            lineup=self.lineup,
            rules=self.steps.rules,
            run_job=self._run_behind,
            clock=lambda: NOW,
            failures_in_a_row=3,
        )

    def _run_behind(self, job: ReadJob) -> Reading:
        assert job.volume_path is None, "nothing is left for documents"
        reading = run_job(job)
        self.ran.append(job.model.identity.version)
        self.behind(job)
        return reading

    def read_waiting(self) -> list[ShadowRow]:
        """Read what waits in the shadow; returns the rows."""
        rows = self.shadow.list_waiting(100)
        for row in rows:
            self.shadow.read(row.study_instance_uid, row.revision, row.model_digest)
        found = (
            self.store.shadows.find(one.study_instance_uid, one.revision, one.model_digest) for one in rows
        )
        return [row for row in found if row is not None]

    def waiting(self) -> int:
        return len(self.shadow.list_waiting(100))


def everything(store: Store) -> dict[str, str]:
    """Digest of each table and file but for what reading in the shadow may touch."""
    found: dict[str, str] = {}
    with store.engine.connect() as connection:
        for table in schema.metadata.sorted_tables:
            if table.name not in ITS_OWN:
                rows = sorted(repr(tuple(row)) for row in connection.execute(select(table)))
                found[table.name] = hashlib.sha256(json.dumps(rows).encode()).hexdigest()
    for path in store.data.rglob("*"):
        name = str(path.relative_to(store.data))
        if path.is_file() and not name.startswith(("index.sqlite", "audit.", "shadows/")):
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


@pytest.fixture
def make_desk(tmp_path: Path) -> Iterator[Callable[..., ShadowDesk]]:
    store = open_store(tmp_path / "data")

    def make(live: Model | None, shadow: Model) -> ShadowDesk:
        models = [one for one in (live, shadow) if one is not None]
        if live is not None:
            make_live(store, live)
        make_shadow(store, shadow)
        return ShadowDesk(store, tmp_path, Lineup(models, store.model_states))

    yield make
    store.close()


def erase(store: Store, study: str) -> None:
    event = AuditEvent(
        type=AuditEventType.STUDY_DELETED,
        action=AuditAction.DELETE,
        at=NOW,
        description="x",
        studies=(study,),
    )
    assert delete_study(store, study, event=event, keep=lambda *_: "", why="somebody asked") == ""


def test_it_reads_what_the_live_version_read_and_touches_nothing_of_the_study(
    make_desk, tmp_path: Path
) -> None:
    desk: ShadowDesk = make_desk(quick(tmp_path, "1.0.0"), quick(tmp_path, "2.0.0"))
    assert desk.read(1) == [("1.0.0", Outcome.READ)]
    study = study_uid(1)
    assert desk.ran == [], "first what is live, to its end"
    before, told = everything(desk.store), explain_study(desk.store, study)
    [row] = desk.read_waiting()
    assert everything(desk.store) == before
    assert explain_study(desk.store, study) == told
    assert (desk.ran, row.state, row.model_version) == (["2.0.0"], ShadowState.READ, "2.0.0")
    assert row.said is not None
    assert row.beside is not None
    assert (row.said.version, row.beside.version) == ("2.0.0", "1.0.0")
    assert row.said.findings == row.beside.findings != ()
    assert min(row.said.seconds or 0, row.beside.seconds or 0) > 0
    assert desk.store.shadows.load(row).model.version == "2.0.0"
    [standing] = desk.store.readings.list_current([study])[study]
    assert standing.model_version == "1.0.0"
    assert desk.waiting() == 0


def test_what_is_recorded_is_that_it_saw_the_images(make_desk, tmp_path: Path) -> None:
    desk: ShadowDesk = make_desk(quick(tmp_path, "1.0.0"), quick(tmp_path, "2.0.0"))
    desk.read(1)
    desk.read_waiting()
    messages = [row.message for row in AuditRows(desk.store.engine).list_last(10)]
    mine = [one for one in messages if "quick 2.0.0 in the shadow" in one]
    assert len(mine) == 2
    assert "Reading begun." in mine[0]
    assert "Reading kept." in mine[1]


def test_what_cannot_be_recorded_is_not_read(make_desk, tmp_path: Path, monkeypatch) -> None:
    desk: ShadowDesk = make_desk(quick(tmp_path, "1.0.0"), quick(tmp_path, "2.0.0"))
    desk.read(1)

    def refuse(*_: object) -> None:
        raise StorageError

    monkeypatch.setattr(type(desk.store.audit), "record", refuse)
    with pytest.raises(StorageError):
        desk.read_waiting()
    assert desk.ran == []
    assert desk.waiting() == 1


def test_a_version_that_fails_changes_no_study_and_goes_out_of_service(make_desk, tmp_path: Path) -> None:
    desk: ShadowDesk = make_desk(quick(tmp_path, "1.0.0"), quick(tmp_path, "2.0.0", is_failing=True))
    for number in (1, 2, 3):
        assert desk.read(number) == [("1.0.0", Outcome.READ)]
        before = everything(desk.store)
        [row] = desk.read_waiting()
        assert row.said is not None
        assert (row.state, row.said.codes) == (ShadowState.NOT_READ, ("model-crashed",))
        after = everything(desk.store)
        # The third takes it out of service: told of no study.
        changed = {name for name in after if after[name] != before.get(name)}
        assert changed == ({"event", "model_change"} if number == 3 else set())
        assert desk.store.studies.find(study_uid(number)).state is StudyState.READ
        assert "2.0.0" not in desk.told(study_uid(number))
    newest = desk.store.model_states.list_all()[-1]
    assert (newest.cause, newest.state, newest.in_service) == (Cause.FAILED, ModelState.SHADOW, False)
    assert desk.read(4) == [("1.0.0", Outcome.READ)], "and the live one goes on"
    assert (desk.waiting(), desk.ran) == (0, ["2.0.0"] * 3)
    restore(desk.lineup, "quick", desk.board.decide("Memory was added."), version="2.0.0")
    assert desk.read(5, images=3) == [("1.0.0", Outcome.READ)]
    [row] = desk.read_waiting()
    assert row.state is ShadowState.READ
    assert row.period == desk.store.model_states.list_all()[1].id, "it is the same time in the shadow"


def test_what_it_refuses_is_told_to_the_comparison_only(make_desk, tmp_path: Path) -> None:
    folder = tmp_path / "quick-2.0.0"
    quick(tmp_path, "2.0.0")
    toml = folder / "model.toml"
    toml.write_text(toml.read_text().replace("pixel_range", "minimum_slices = 9\npixel_range"))
    desk: ShadowDesk = make_desk(quick(tmp_path, "1.0.0"), read_package(folder))
    desk.read(1)
    before = everything(desk.store)
    [row] = desk.read_waiting()
    assert everything(desk.store) == before
    assert row.said is not None
    assert (row.state, desk.ran) == (ShadowState.NOT_READ, [])
    assert "no-suitable-series" in row.said.codes
    assert row.said.series_instance_uid == f"{study_uid(1)}.1"


def test_what_neither_reads_is_no_comparison(make_desk, tmp_path: Path) -> None:
    desk: ShadowDesk = make_desk(quick(tmp_path, "1.0.0"), quick(tmp_path, "2.0.0"))
    object.__setattr__(desk.steps, "rules", ())
    object.__setattr__(desk.shadow, "rules", ())
    assert desk.read(1) == []
    assert desk.read_waiting() == []
    assert desk.waiting() == 0


def test_without_a_live_version_it_reads_alone(make_desk, tmp_path: Path) -> None:
    desk: ShadowDesk = make_desk(None, quick(tmp_path, "2.0.0"))
    assert desk.read(1) == []
    assert desk.store.studies.find(study_uid(1)).state is StudyState.NOT_READ
    [row] = desk.read_waiting()
    assert (row.state, row.beside) == (ShadowState.READ, None)
    assert desk.store.studies.find(study_uid(1)).state is StudyState.NOT_READ


def test_unchanged_images_are_not_read_twice_and_newer_ones_take_the_place(make_desk, tmp_path: Path) -> None:
    desk: ShadowDesk = make_desk(quick(tmp_path, "1.0.0"), quick(tmp_path, "2.0.0"))
    study = study_uid(1)
    desk.read(1)
    [first] = desk.read_waiting()
    assert desk.store.studies.begin_again(study, "asked", NOW, lambda _: None) is not None
    for chosen in desk.steps.match(study, 2):
        desk.steps.infer(study, 2, chosen["model"], chosen["series"])
    desk.steps.finish(study, 2)
    [second] = desk.read_waiting()
    assert (desk.ran, second.said) == (["2.0.0"], first.said)
    desk.read(1, images=6)
    [third] = desk.read_waiting()
    assert desk.ran == ["2.0.0"] * 2
    rows = desk.store.shadows.list_done(third.model_digest, third.period, 10)
    assert [row.revision for row in rows] == [3]


def test_a_revision_that_is_not_the_newest_is_left_to_the_newest(make_desk, tmp_path: Path) -> None:
    desk: ShadowDesk = make_desk(quick(tmp_path, "1.0.0"), quick(tmp_path, "2.0.0"))
    desk.read(1, images=4)
    desk.read(1, images=5)
    assert [row.revision for row in desk.read_waiting()] == [2]
    assert desk.ran == ["2.0.0"]


@pytest.mark.parametrize("purpose", [Purpose.BACKFILL, Purpose.PRIOR])
def test_only_what_is_live_is_read_in_the_shadow(make_desk, tmp_path: Path, purpose: Purpose) -> None:
    desk: ShadowDesk = make_desk(quick(tmp_path, "1.0.0"), quick(tmp_path, "2.0.0"))
    study = desk.send(1)
    with desk.store.engine.begin() as connection:
        connection.execute(update(schema.study).values(purpose=purpose.value))
    desk.read_study(study)
    assert desk.waiting() == 0


def test_another_vendors_ai_is_never_asked_in_the_shadow(make_desk, tmp_path: Path) -> None:
    new = quick(tmp_path, "2.0.0")
    peer = replace(new, runtime=replace(new.runtime, kind="dicom-peer", peer="AI@127.0.0.1:1"))
    desk: ShadowDesk = make_desk(quick(tmp_path, "1.0.0"), peer)
    desk.read(1)
    assert desk.waiting() == 0


def test_what_a_withdrawn_version_reads_is_not_kept_what_it_read_is(make_desk, tmp_path: Path) -> None:
    desk: ShadowDesk = make_desk(quick(tmp_path, "1.0.0"), quick(tmp_path, "2.0.0"))
    desk.read(1)
    [kept] = desk.read_waiting()
    desk.read(2)
    decision = desk.board.decide("It harms.")
    desk.behind = lambda _: retire(desk.lineup, "quick", decision, version="2.0.0") and None
    assert [row.state for row in desk.read_waiting()] == [ShadowState.WAITING]
    desk.shadow.forget_withdrawn()
    assert desk.store.shadows.find(study_uid(2), 1, kept.model_digest) is None
    assert desk.store.shadows.list_done(kept.model_digest, kept.period, 10)[0].said == kept.said
    assert desk.store.shadows.load(kept).model.version == "2.0.0"
    assert desk.read(3) == [("1.0.0", Outcome.READ)]
    assert desk.waiting() == 0


def test_what_waits_for_a_version_that_is_out_of_service_stays(make_desk, tmp_path: Path) -> None:
    desk: ShadowDesk = make_desk(quick(tmp_path, "1.0.0"), quick(tmp_path, "2.0.0", is_failing=True))
    for number in (1, 2, 3, 4):
        desk.read(number)
    desk.read_waiting()
    desk.shadow.forget_withdrawn()
    assert desk.waiting() == 0
    assert desk.store.shadows.find(study_uid(4), 1, desk.lineup.packages[1].identity.digest) is not None
    restore(desk.lineup, "quick", desk.board.decide("Memory was added."), version="2.0.0")
    assert desk.waiting() == 1


def test_a_bug_of_ours_closes_its_row_and_is_told_of_no_study(make_desk, tmp_path: Path) -> None:
    desk: ShadowDesk = make_desk(quick(tmp_path, "1.0.0"), quick(tmp_path, "2.0.0"))
    desk.read(1)
    [row] = desk.shadow.list_waiting(1)
    desk.shadow.stop(study_uid(1), 1, row.model_digest, "internal-error KeyError")
    closed = desk.store.shadows.find(study_uid(1), 1, row.model_digest)
    assert closed is not None
    assert closed.said is not None
    assert (closed.state, closed.said.codes) == (ShadowState.NOT_READ, ("internal-error",))
    assert "2.0.0" not in desk.told(study_uid(1))
    assert any("internal-error KeyError" in event.message for event in desk.store.history.list_newest())


def test_a_deleted_study_takes_it_along(make_desk, tmp_path: Path) -> None:
    desk: ShadowDesk = make_desk(quick(tmp_path, "1.0.0"), quick(tmp_path, "2.0.0"))
    folder = desk.store.data / "shadows"
    desk.read(1)
    desk.read_waiting()
    assert [path for path in folder.rglob("*") if path.is_file()]
    desk.read(2)
    desk.behind = lambda _: erase(desk.store, study_uid(2))
    desk.read_waiting()
    assert desk.ran == ["2.0.0"] * 2
    erase(desk.store, study_uid(1))
    assert not [path for path in folder.rglob("*") if path.is_file()]
    with desk.store.engine.connect() as connection:
        assert connection.execute(select(schema.shadow_reading)).all() == []


def test_a_backup_holds_it(make_desk, tmp_path: Path) -> None:
    desk: ShadowDesk = make_desk(quick(tmp_path, "1.0.0"), quick(tmp_path, "2.0.0"))
    desk.read(1)
    desk.read_waiting()
    desk.read(2)
    assert back_up(desk.store, tmp_path / "backup", NOW).missing == 0, "what waits has no file yet"
    assert list((tmp_path / "backup" / "shadows").rglob("*.zip"))


def test_promoted_from_the_shadow_it_is_live_and_reads_no_more_beside(make_desk, tmp_path: Path) -> None:
    desk: ShadowDesk = make_desk(quick(tmp_path, "1.0.0"), quick(tmp_path, "2.0.0"))
    with desk.store.engine.begin() as connection:
        connection.execute(update(schema.model_change).values(report_digest="a" * 64))
    desk.read(1)
    promote(desk.lineup, "quick", ModelState.LIVE, desk.board.decide(), version="2.0.0")
    desk.shadow.forget_withdrawn()
    assert desk.read(2) == [("2.0.0", Outcome.READ)]
    assert desk.waiting() == 0


def run(*words: object) -> str:
    done = CliRunner().invoke(app, ["models", *map(str, words)])
    if done.exception is not None:
        raise done.exception
    return done.stdout


@pytest.mark.sqlite
def test_the_command_tells_it_and_is_recorded(make_desk, tmp_path: Path) -> None:
    desk: ShadowDesk = make_desk(quick(tmp_path, "1.0.0"), quick(tmp_path, "2.0.0"))
    desk.read(1)
    desk.read_waiting()
    config = tmp_path / "wetread.toml"
    folders = [str(tmp_path / f"quick-{version}") for version in ("1.0.0", "2.0.0")]
    config.write_text(f'data = "data"\nmodels = {json.dumps(folders)}\n')
    told = run("shadow", "quick@2.0.0", "--config", config)
    assert "quick 2.0.0 is shadow now" in told
    assert "Compared with quick 1.0.0, live, on the same series." in told
    assert (
        "read: both 1; only live 0; only shadow 0; neither 0; the same 100.0 % (20.7 to 100.0), n 1" in told
    )
    said = json.loads(run("shadow", "quick", "--json", "--config", config))
    assert (said["version"], said["labels"][0]["both"]) == ("2.0.0", 1)
    assert "CHAOS" not in told + str(said)
    messages = [row.message for row in AuditRows(desk.store.engine).list_last(5)]
    assert sum("Opened: quick 2.0.0 in the shadow." in one for one in messages) == 2
    with pytest.raises(UnknownModel):
        run("shadow", "quick@9.9.9", "--config", config)


def test_what_is_live_ends_what_is_in_the_shadow_and_never_waits(tmp_path: Path) -> None:
    store = open_store(tmp_path / "data")
    slow, fast = quick(tmp_path, "2.0.0"), quick(tmp_path, "1.0.0")
    reader = tmp_path / "quick-2.0.0" / "quick_reader.py"
    begun = tmp_path / "begun"
    reader.write_text(
        "from pathlib import Path\nfrom threading import Event\n\n\ndef read(request):\n"
        f"    Path({str(begun)!r}).open('wb').close()\n    Event().wait()\n"
    )
    slow = read_package(tmp_path / "quick-2.0.0")
    make_live(store, fast)
    desk = Desk(store, tmp_path, Lineup((fast,), store.model_states))
    desk.send(1)
    series = store.studies.load(study_uid(1)).series[0]
    precedence = Precedence()

    def job(model: Model) -> ReadJob:
        return ReadJob(study_instance_uid=study_uid(1), revision=1, series=series, model=model, made_at=NOW)

    ended: list[Any] = []

    def read_beside() -> None:
        try:
            ended.append(precedence.read_beside(job(slow)))
        except ModelInterrupted as error:
            ended.append(error)

    os.mkfifo(begun)
    thread = threading.Thread(target=read_beside)
    thread.start()
    # Returns when the other end, the hanging model, has opened it.
    begun.read_bytes()
    assert precedence.read_live(job(fast)).outcome is Outcome.READ
    thread.join(30)
    assert [type(one) for one in ended] == [ModelInterrupted]
    inside = threading.Thread(target=read_beside)
    inside.start()
    begun.read_bytes()
    precedence.close()
    inside.join(30)
    with pytest.raises(ModelInterrupted):
        precedence.read_beside(job(fast))
    assert [type(one) for one in ended] == [ModelInterrupted] * 2
    store.close()
