"""Two dispatchers in two processes look at the same index at the same moment, again and again."""

from __future__ import annotations

import multiprocessing
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.path.service import await_true
from tests.ports import free_port
from tests.postgres import requires_postgresql
from tests.promoted import make_live
from tests.trust.chaos import Chaos, Mode
from tests.trust.quick import configure_quick, study_uid, write_quick_model, write_quick_study
from tests.workers.pool import Pool
from tests.workers.racer import Count, race
from wetread.dicom.digest import digest_data_set
from wetread.dicom.header import read_instance
from wetread.registry import read_package
from wetread.store import Store
from wetread.store.intake import Arrived

pytestmark = requires_postgresql

STUDIES = 8
RACERS = 2


@pytest.fixture
def peer() -> Iterator[Chaos]:
    """An archive that notes each object as often as it comes."""
    good = Chaos(Mode.SLOW, free_port())
    good.is_good.set()
    good.start()
    yield good
    good.stop()


def take_in(store: Store, path: Path) -> None:
    part = shutil.copy(path, store.intake.incoming / f"{path.parent.name}.{path.name}.part")
    digest, size = digest_data_set(part)[0], path.stat().st_size
    at = datetime.now(UTC)
    instance = read_instance(part)
    store.intake.accept(
        Arrived(instance=instance, content_digest=digest, size=size, received_at=at, source="TEST")
    )


def run_race(pool: Pool) -> list[Count]:
    """Let the dispatchers look until all is read and delivered; returns what each did."""
    context = multiprocessing.get_context("spawn")
    barrier, is_over, answers = context.Barrier(RACERS), context.Event(), context.Queue()
    arguments = (pool.folder / "wetread.toml", barrier, is_over, answers)
    racers = [context.Process(target=race, args=arguments) for _ in range(RACERS)]
    for racer in racers:
        racer.start()
    try:
        await_true(lambda: len(pool.states()) == STUDIES and pool.is_done(), 120, "all results")
    finally:
        is_over.set()
    counts = [answers.get(timeout=60) for _ in racers]
    for racer in racers:
        racer.join(60)
    return counts


def test_each_revision_and_each_delivery_once(make_pool, peer: Chaos, tmp_path: Path) -> None:
    write_quick_model(tmp_path)
    to = f'[[destinations]]\nname = "pacs"\nto = "CHAOS@127.0.0.1:{peer.port}"\nverify = "none"\n'
    pool: Pool = make_pool(f"{configure_quick(tmp_path)}{to}[study]\nquiet_s = 0.01\n")
    store = pool.store()
    make_live(store, read_package(tmp_path / "quick"))
    for number in range(STUDIES):
        for path in write_quick_study(tmp_path / "scans", number, images=3):
            take_in(store, path)
    store.close()
    counts = run_race(pool)
    assert sum(one.begun for one in counts) == STUDIES
    assert sum(one.late for one in counts) > 0, "nobody raced for a revision"
    assert sum(one.deliveries for one in counts) > STUDIES, "nobody raced for a delivery"
    begun = pool.ask("SELECT study_instance_uid, revision FROM revision ORDER BY study_instance_uid")
    assert begun == sorted((study_uid(number), 1) for number in range(STUDIES))
    jobs = [row[0] for row in pool.ask("SELECT workflow_uuid FROM dbos.workflow_status")]
    expected = {
        f"{kind}/{uid}/1{to}/1" for uid, _ in begun for kind, to in (("read", ""), ("deliver", "/pacs"))
    }
    assert sorted(jobs) == sorted(expected)
    planned = [row[0] for row in pool.ask("SELECT sop_instance_uid FROM document WHERE sop_class_uid <> ''")]
    assert sorted(peer.got) == sorted(planned)
    assert pool.ask("SELECT message FROM event WHERE level = 'problem'") == []
