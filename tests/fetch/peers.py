"""Real systems to fetch from, filled by C-STORE: Orthanc and DCMTK's dcmqrscp.

In: a folder, data sets.  Out: running peers that know our AE title.  Never: a port that is guessed.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import Dataset
from pynetdicom import AE

from tests.dicom.small_ct import SmallCt, make_slice
from tests.orthanc import running_orthanc
from tests.path.service import await_true
from tests.ports import free_port

VERIFICATION = "1.2.840.10008.1.1"


@dataclass(frozen=True, kw_only=True)
class PeerPacs:
    """A PACS that runs."""

    aet: str
    port: int
    dicomweb_url: str = ""

    @property
    def to(self) -> str:
        return f"{self.aet}@127.0.0.1:{self.port}"

    def store(self, several: Sequence[Dataset]) -> None:
        """Send it objects, as a scanner does."""
        ae = AE("SCANNER")
        for pair in {(ds.SOPClassUID, ds.file_meta.TransferSyntaxUID) for ds in several}:
            ae.add_requested_context(pair[0], pair[1])
        association = ae.associate("127.0.0.1", self.port, ae_title=self.aet)
        assert association.is_established
        for ds in several:
            assert association.send_c_store(ds).Status == 0
        association.release()


def make_study(study: str, images: int = 3, first: int = 0, **attributes: object) -> list[Dataset]:
    """Return a small CT study of one series."""
    ct = SmallCt(shape=(first + images, 8, 10), study_uid=study, series_uid=f"{study}.1")
    several = [make_slice(ct, plane) for plane in range(first, first + images)]
    for ds in several:
        ds.StudyDate, ds.StudyTime, ds.AccessionNumber = "20261101", "101500", ""
        ds.StudyID, ds.InstanceNumber = "1", int(ds.SOPInstanceUID.rsplit(".", 1)[1])
        ds.PatientBirthDate, ds.PatientSex = "19600101", "F"
        for keyword, value in attributes.items():
            setattr(ds, keyword, value)
    return several


@contextlib.contextmanager
def orthanc_pacs(folder: Path, own_port: int) -> Iterator[PeerPacs]:
    """Run an Orthanc that moves to WETREAD at our port."""
    settings = {
        "DicomModalities": {"wetread": ["WETREAD", "127.0.0.1", own_port]},
        "DicomAlwaysAllowGet": True,
        "DicomAlwaysAllowMove": True,
    }
    with running_orthanc(folder, settings) as running:
        yield PeerPacs(aet=running.aet, port=running.dicom_port, dicomweb_url=running.dicomweb_url)


@contextlib.contextmanager
def dcmqrscp_pacs(folder: Path, own_port: int) -> Iterator[PeerPacs]:
    """Run DCMTK's archive, which moves to WETREAD at our port."""
    (folder / "db").mkdir(parents=True)
    port = free_port()
    config = folder / "dcmqrscp.cfg"
    config.write_text(
        f"""NetworkTCPPort = {port}
MaxPDUSize = 16384
MaxAssociations = 16
HostTable BEGIN
wetread = (WETREAD, 127.0.0.1, {own_port})
HostTable END
VendorTable BEGIN
VendorTable END
AETable BEGIN
QRSCP {folder / "db"} RW (200, 1024mb) ANY
AETable END
"""
    )
    program = shutil.which("dcmqrscp")
    assert program is not None
    with (folder / "dcmqrscp.log").open("wb") as log:
        process = subprocess.Popen([program, "-c", str(config)], stdout=log, stderr=log)
    try:
        await_answer(port, "QRSCP")
        yield PeerPacs(aet="QRSCP", port=port)
    finally:
        process.kill()
        process.wait(20)


def _answers(port: int, aet: str) -> bool:
    ae = AE("SCANNER")
    ae.add_requested_context(VERIFICATION)
    association = ae.associate("127.0.0.1", port, ae_title=aet)
    if association.is_established:
        association.release()
        return True
    return False


def await_answer(port: int, aet: str) -> None:
    """Wait until somebody answers a C-ECHO."""
    await_true(lambda: _answers(port, aet), 60, aet)
