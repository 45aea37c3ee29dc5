"""What was acknowledged, and whether it is still there.

In: a port, later a data folder.  Out: a ledger of acknowledged instances; an assertion for each that is lost.
"""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import generate_uid

from tests.stores import database_url, own_folder
from tests.trust.sender import Sender
from wetread.dicom.digest import digest_data_set
from wetread.store import Store
from wetread.store import open_store as open_any_store
from wetread.store.reconcile import reconcile


@dataclass
class Ledger:
    """SOP Instance UID -> content digest and study of everything that a service said it has."""

    acknowledged: dict[str, tuple[str, str]] = field(default_factory=dict)
    answers: Counter[int] = field(default_factory=Counter)
    #: Set by each answer.
    is_answered: threading.Event = field(default_factory=threading.Event, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def send(self, port: int, associations: int, limit: int = 1_000_000) -> list[threading.Thread]:
        """Send new instances by several associations until they break; returns the threads."""
        threads = [
            threading.Thread(target=self._send, args=(port, number, limit)) for number in range(associations)
        ]
        for thread in threads:
            thread.start()
        return threads

    def _send(self, port: int, number: int, limit: int) -> None:
        images = Images(study=f"2.25.{1 + number % 2}")
        try:
            with Sender(port, images.sop_class_uid, images.transfer_syntax_uid, f"SENDER{number}") as sender:
                for _ in range(limit):
                    uid, data_set = images.make()
                    self.note(sender.store(uid, data_set), uid, data_set, images.study)
        except OSError:
            # It was killed: what has no answer was not acknowledged.
            return

    def note(self, status: int, uid: str, data_set: bytes, study: str) -> None:
        """Note an answer."""
        with self._lock:
            self.answers[status] += 1
            if status == 0:
                self.acknowledged[uid] = (hashlib.sha256(data_set).hexdigest(), study)
        self.is_answered.set()

    def check(self, data: Path, url: str = "") -> None:
        """Open the data folder as the next start does and look for each acknowledged instance.

        `url` is that of its database, where the folder was copied from another place.
        """
        store = open_any_store(data, url or database_url(data))
        try:
            store = own_folder(store)
            reconcile(store)
            check_whole(store, self)
            assert [one for one in data.rglob("incoming/*") if one.is_file()] == []
        finally:
            store.close()


class Images:
    """New images of one study, as encoded data sets."""

    def __init__(self, study: str) -> None:
        self.study = study
        self._template = dcmread(str(get_testdata_file("CT_small.dcm")))
        self._template.StudyInstanceUID = study
        self.sop_class_uid = str(self._template.SOPClassUID)
        self.transfer_syntax_uid = str(self._template.file_meta.TransferSyntaxUID)
        self._template.SOPInstanceUID = self._mark = "2.25." + "1" * 37
        file = DicomBytesIO()
        file.is_little_endian, file.is_implicit_VR = True, False
        write_dataset(file, self._template)
        self._encoded = file.getvalue()
        assert self._encoded.count(self._mark.encode()) == 1

    def make(self) -> tuple[str, bytes]:
        """Return another image: its UID and data set."""
        # As long as the one it replaces, so that nothing need be encoded anew.
        uid = generate_uid(prefix="2.25.")[:42].ljust(42, "1")
        return uid, self._encoded.replace(self._mark.encode(), uid.encode())


def check_whole(store: Store, ledger: Ledger) -> None:
    """Every acknowledged instance is indexed, on the disk and whole; the counts are right."""
    known = dict(store.intake.iter_known())
    lost = [uid for uid in ledger.acknowledged if uid not in known]
    assert not lost, f"{len(lost)} of {len(ledger.acknowledged)} acknowledged instances are not indexed"
    for uid, (digest, study) in ledger.acknowledged.items():
        assert known[uid] == study
        assert store.intake.find_digest(uid) == digest
        path = store.intake.instances.path(uid)
        assert path.exists(), f"{uid} is indexed and has no file"
        assert digest_data_set(path)[0] == digest, f"{uid} is not whole"
    counted = {row.study_instance_uid: row.instance_count for row in store.studies.list_newest()}
    assert counted == Counter(known.values())
    assert len(list(store.intake.instances.iter_paths())) == len(known)
    again = reconcile(store)
    assert (again.indexed, again.missing) == (0, 0)
