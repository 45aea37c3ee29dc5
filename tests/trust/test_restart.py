"""A service with much in it takes images at once and compares index and files behind open doors."""

from __future__ import annotations

import shutil
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from pydicom.data import get_testdata_file

from tests.path.service import Service, await_true
from tests.ports import free_port
from tests.stores import open_store
from tests.trust.ledger import Images
from tests.trust.sender import Sender, echo
from tests.trust.stock import Stock, fill, instance_uid, study_uid
from wetread.dicom.header import read_instance
from wetread.domain.problem import ProblemCode
from wetread.store import Store

STOCK = Stock(instances=5_000, studies=100)
#: Measured: 3 s, nearly all of it imports (`benchmarks/restart.py`); other jobs may hold the cores.
READY_S = 60.0
MISSING = 42
CONFIG = (
    f"[reading_list]\npage_size = {2 * STOCK.studies}\n"
    "[[rules]]\nname = 'nothing'\nmodels = ['chest-ct']\nmodality = 'XX'\n"
)


def test_it_is_ready_soon_and_finds_what_a_crash_left(tmp_path: Path) -> None:
    service = Service(folder=tmp_path, dicom_port=free_port(), http_port=free_port(), config=CONFIG)
    store = open_store(service.data)
    fill(store, STOCK, "pacs")
    orphan = place_orphan(store.intake.instances.path)
    store.intake.instances.path(instance_uid(MISSING, 7)).unlink()
    store.close()

    began = time.monotonic()
    service.begin()
    try:
        await_true(lambda: answers(service), READY_S, "an echo")
        images = Images(study="2.25.77")
        uid, data_set = images.make()
        with Sender(service.dicom_port, images.sop_class_uid, images.transfer_syntax_uid) as sender:
            assert sender.store(uid, data_set) == 0
        await_true(service.is_up, READY_S, "the pages")
        page = urllib.request.urlopen(f"http://127.0.0.1:{service.http_port}/", timeout=60).read()
        assert time.monotonic() - began < READY_S
        assert page.count(b"Phantom") >= STOCK.studies

        with service.store() as seen:
            await_true(lambda: seen.intake.find_digest(orphan), READY_S, "the file without a row")
            await_true(lambda: problems(seen, study_uid(MISSING)), READY_S, "the row without a file")
            assert problems(seen, study_uid(MISSING)) == [ProblemCode.FILE_MISSING]
            assert problems(seen, study_uid(MISSING + 1)) == []
            # What came while it was compared is neither.
            assert seen.intake.find_digest(uid)
            assert problems(seen, images.study) == []
    finally:
        service.stop()


def place_orphan(path_of: Callable[[str], Path]) -> str:
    source = Path(str(get_testdata_file("CT_small.dcm")))
    uid = read_instance(source).sop_instance_uid
    shutil.copy(source, path_of(uid))
    return uid


def answers(service: Service) -> bool:
    try:
        return echo(service.dicom_port) == 0
    except OSError:
        return False


def problems(store: Store, study: str) -> list[str]:
    found = [event for event in store.history.list_for_study(study) if event.stage == "receive"]
    return [event.code for event in found if event.level == "problem"]
