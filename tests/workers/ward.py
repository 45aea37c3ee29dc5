"""Studies of different urgency for a pool, and a model that reads them when it may.

In: a folder, a pool.  Out: lines of wetread.toml, studies in the pool, and a check of what came of them.
Never: a reading that takes time while nothing holds it up.
"""

from __future__ import annotations

import subprocess
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pydicom
from pydicom.uid import generate_uid

from tests.orthanc import Orthanc
from tests.promoted import make_live
from tests.trust.quick import write_quick_model, write_quick_study
from tests.workers.pool import Pool
from wetread.registry import read_package

URGENCIES = ("routine", "urgent", "stat")
_PLANNED = """
SELECT document.sop_instance_uid FROM delivery
JOIN document ON document.id = delivery.document_id
JOIN reading ON reading.id = document.reading_id
WHERE reading.study_instance_uid = %s
"""
_WAIT = """def read(request):
    import time
    while Path({hold!r}).exists():
        time.sleep(0.05)
"""


@dataclass
class Ward:
    """A quick model that waits while it is held, and an archive for what comes of it."""

    folder: Path
    orthanc: Orthanc
    #: Urgency of each study that was sent.
    sent: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        write_quick_model(self.folder)
        reader = self.folder / "quick" / "quick_reader.py"
        waiting = _WAIT.format(hold=str(self._hold))
        reader.write_text(
            "from pathlib import Path\n" + reader.read_text().replace("def read(request):\n", waiting)
        )
        self._files = write_quick_study(self.folder, 1, images=3)

    @property
    def _hold(self) -> Path:
        return self.folder / "hold"

    def hold(self) -> None:
        """Let every reading wait in its model."""
        self._hold.touch()

    def let_go(self) -> None:
        self._hold.unlink()

    @property
    def config(self) -> str:
        """Lines of wetread.toml; a bare key comes first."""
        rules = "".join(
            f'[[rules]]\nname = "{one}"\nmodels = ["quick"]\nurgency = "{one}"\ndescription = "{one}"\n'
            for one in URGENCIES
        )
        to = f"{self.orthanc.aet}@127.0.0.1:{self.orthanc.dicom_port}"
        return (
            f'models = ["{self.folder / "quick"}"]\n{rules}[[destinations]]\nname = "pacs"\nto = "{to}"\n'
            "[study]\nquiet_s = 0.5\n"
        )

    def promote(self, pool: Pool) -> None:
        """Have the model read: a folder's author cannot make it live."""
        store = pool.store()
        make_live(store, read_package(self.folder / "quick"))
        store.close()

    def scan(self, pool: Pool, urgency: str) -> str:
        """Send a new study of an urgency; returns its UID."""
        study, series = generate_uid(), generate_uid()
        folder = self.folder / "scans" / study
        folder.mkdir(parents=True)
        for path in self._files:
            ds = pydicom.dcmread(path)
            ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID = study, series, generate_uid()
            ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
            ds.StudyDescription = urgency
            ds.save_as(folder / path.name)
        address = ["-aec", "WETREAD", "127.0.0.1", str(pool.dicom_port)]
        subprocess.run(["storescu", "+sd", *address, str(folder)], check=True, capture_output=True)
        self.sent[study] = urgency
        return study

    def check_whole(self, pool: Pool) -> None:
        """Each study is read once, and each of its documents is at the archive once."""
        read = Counter(row[0] for row in pool.ask("SELECT study_instance_uid FROM reading"))
        assert read == Counter(list(self.sent))
        for study in self.sent:
            planned = [row[0] for row in pool.ask(_PLANNED, study)]
            there = self.orthanc.get(f"/dicom-web/instances?StudyInstanceUID={study}&limit=1000")
            assert planned
            assert sorted(one["00080018"]["Value"][0] for one in there) == sorted(planned)


def lose_one(pool: Pool, ward: Ward, worker: subprocess.Popen[bytes]) -> float:
    """Kill a worker in the middle of a reading; returns after how long all was read and delivered, in s."""
    killed_at = time.monotonic()
    worker.kill()
    ward.let_go()
    pool.await_true(pool.is_done, 240, "all results after the kill")
    return time.monotonic() - killed_at
