"""The same study sent 10 times by 4 associations at once: one object each, one reading, one delivery."""

from __future__ import annotations

import contextlib
import random
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from pynetdicom.dsutils import split_dataset

from tests.orthanc import Orthanc, requires_orthanc, running_orthanc
from tests.path.conftest import make_service
from tests.path.service import PAUSE, Service, await_true
from tests.trust.ledger import Ledger, check_whole
from tests.trust.quick import configure_quick, study_uid, write_quick_model, write_quick_study
from tests.trust.sender import Sender
from wetread.domain.document import DICOM_KINDS
from wetread.domain.progress import StudyState

__all__ = ["make_service"]
pytestmark = requires_orthanc

IMAGES = 15
TIMES = 10
ASSOCIATIONS = 4
STUDY = study_uid(1)


class Repeaters:
    """Associations that send one study again and again, each in an order of its own."""

    def __init__(self, files: list[Path], ledger: Ledger, service: Service) -> None:
        self.ledger = ledger
        self._service = service
        self._images = {}
        for path in files:
            meta, offset = split_dataset(path)
            self._images[str(meta.MediaStorageSOPInstanceUID)] = path.read_bytes()[offset:]
            self._kind = (str(meta.MediaStorageSOPClassUID), str(meta.TransferSyntaxUID))
        self._gate = threading.Barrier(ASSOCIATIONS)
        self.threads: list[threading.Thread] = []

    def start(self, times: int) -> None:
        self.threads = [
            threading.Thread(target=self._send, args=(number, times)) for number in range(ASSOCIATIONS)
        ]
        for thread in self.threads:
            thread.start()

    def join(self) -> None:
        for thread in self.threads:
            thread.join(120)
            assert not thread.is_alive()

    def _send(self, number: int, times: int) -> None:
        dice = random.Random(number)
        left = [uid for _ in range(times) for uid in dice.sample(sorted(self._images), len(self._images))]
        self._gate.wait(60)
        while left:
            # Killed in the middle: what has no answer is sent again, as a scanner does.
            with contextlib.suppress(OSError), self._associate(number) as sender:
                while left:
                    data_set = self._images[left[-1]]
                    self.ledger.note(sender.store(left[-1], data_set), left[-1], data_set, STUDY)
                    left.pop()
            if left:
                PAUSE.wait(0.1)

    def _associate(self, number: int) -> Sender:
        return Sender(self._service.dicom_port, *self._kind, calling=f"SENDER{number}")


def config(orthanc: Orthanc, folder: Path) -> str:
    write_quick_model(folder)
    return f"""{configure_quick(folder)}
[[destinations]]
name = "pacs"
to = "{orthanc.aet}@127.0.0.1:{orthanc.dicom_port}"
verify = "qido"
qido_url = "{orthanc.dicomweb_url}"
[study]
quiet_s = 2
"""


def arrived_at(orthanc: Orthanc) -> Counter[str]:
    """SOP Instance UID -> how often Orthanc took it as new."""
    changes = orthanc.get("/changes?limit=10000")
    assert changes["Done"]
    new = [one["ID"] for one in changes["Changes"] if one["ChangeType"] == "NewInstance"]
    names = {one: orthanc.get(f"/instances/{one}")["MainDicomTags"]["SOPInstanceUID"] for one in set(new)}
    return Counter(names[one] for one in new)


def check_once(service: Service, orthanc: Orthanc, ledger: Ledger, most_attempts: int) -> None:
    """One object each, one reading, one delivery; nothing more is due."""
    with service.store() as store:
        assert store.studies.list_due() == []
        [row] = store.studies.list_newest()
        assert (row.instance_count, row.revision, row.state) == (IMAGES, 1, StudyState.READ)
        [reading] = store.readings.list_for_study(STUDY)
        documents = store.readings.list_documents(reading.id)
        deliveries = store.deliveries.list_for_study(STUDY)
        problems = {event.code for event in store.history.list_newest() if event.level == "problem"}
        # On a busy machine a killed process is found to be gone before the next one has its work: true.
        assert problems <= {"worker-lost"}
        assert sum(event.stage == "infer" for event in store.history.list_for_study(STUDY)) == 1
    sent = [one for one in documents if one.kind in DICOM_KINDS]
    assert {one.kind.value for one in sent} == {"sr", "pr", "sc", "pdf"}
    assert sorted(one.document_id for one in deliveries) == sorted(one.id for one in sent)
    assert max(one.attempts for one in deliveries) <= most_attempts
    assert arrived_at(orthanc) == {one.sop_instance_uid: 1 for one in sent}
    service.stop()
    with service.store() as store:
        check_whole(store, ledger)
        assert list(store.intake.incoming.iterdir()) == []
        assert list(store.intake.conflicts.iter_paths()) == []


def test_ten_times_by_four_at_once_is_one(make_service: Callable[..., Service], tmp_path: Path) -> None:
    # Orthanc notes each object that comes again as new.
    with running_orthanc(tmp_path / "orthanc", {"OverwriteInstances": True}) as orthanc:
        service = make_service(config(orthanc, tmp_path))
        ledger = Ledger()
        repeaters = Repeaters(write_quick_study(tmp_path, 1, IMAGES), ledger, service)
        repeaters.start(TIMES)
        repeaters.join()
        service.await_delivered(STUDY)
        # Once more, now that it is read.
        repeaters.start(1)
        repeaters.join()
        assert ledger.answers == {0x0000: ASSOCIATIONS * (TIMES + 1) * IMAGES}
        check_once(service, orthanc, ledger, most_attempts=1)


def test_killed_in_the_middle_it_is_one_as_well(make_service: Callable[..., Service], tmp_path: Path) -> None:
    with running_orthanc(tmp_path / "orthanc") as orthanc:
        service = make_service(config(orthanc, tmp_path))
        ledger = Ledger()
        repeaters = Repeaters(write_quick_study(tmp_path, 1, IMAGES), ledger, service)
        repeaters.start(TIMES)
        await_true(lambda: ledger.answers[0] > IMAGES, 60, "the first images")
        service.kill()
        service.start()
        service.await_state(STUDY, StudyState.READING, StudyState.READ)
        service.kill()
        service.start()
        repeaters.join()
        service.await_delivered(STUDY)
        assert set(ledger.answers) == {0x0000}
        # What was sent before the kill and not noted is sent again, under the same UID.
        check_once(service, orthanc, ledger, most_attempts=2)
