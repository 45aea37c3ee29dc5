"""C-STORE: Wetread's receiver against Orthanc, one association, in turns on the same machine.

    python benchmarks/cstore.py [--instances 400] [--rounds 5] [--json FILE]

Both acknowledge only what is on the disk: Orthanc by its default ``SyncStorageArea``, Wetread always,
with its index row too. The sender is DCMTK's storescu with TCP_NODELAY=1; every round has new UIDs.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.orthanc import ORTHANC, running_orthanc

from wetread.receive.cstore import ReceiverOptions, start_receiver
from wetread.store import open_store

ENVIRONMENT = os.environ | {"TCP_NODELAY": "1"}


def write_instances(folder: Path, count: int) -> None:
    """Write one CT series with the usual header, 512 x 512 x 16 bit = 512 KiB each."""
    folder.mkdir()
    study, series = generate_uid(), generate_uid()
    rng = np.random.default_rng(0)
    pixels = rng.integers(-1024, 3071, (512, 512), dtype=np.int16).tobytes()
    for number in range(count):
        data_set = _instance(study, series, number)
        data_set.PixelData = pixels
        data_set.save_as(folder / f"{number:05}.dcm", enforce_file_format=True)


def _instance(study: str, series: str, number: int) -> Dataset:
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, generate_uid()
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = "20260102"
    ds.StudyTime = ds.SeriesTime = ds.AcquisitionTime = ds.ContentTime = "101112.123"
    ds.AccessionNumber, ds.Modality, ds.Manufacturer = "A1", "CT", "Bench"
    ds.InstitutionName, ds.ReferringPhysicianName, ds.StationName = "Somewhere", "Doe^Jane", "CT1"
    ds.StudyDescription, ds.SeriesDescription, ds.ManufacturerModelName = "Chest", "1.25 B50", "Model"
    ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex = "Bench^Mark", "B1", "19600101", "O"
    ds.PatientAge, ds.BodyPartExamined, ds.ScanOptions, ds.SliceThickness = "066Y", "CHEST", "HELICAL", "1.25"
    ds.KVP, ds.DataCollectionDiameter, ds.ReconstructionDiameter = "120", "500", "360"
    ds.SoftwareVersions, ds.ProtocolName, ds.GantryDetectorTilt, ds.TableHeight = "1", "Chest", "0", "150"
    ds.ExposureTime, ds.XRayTubeCurrent, ds.Exposure, ds.ConvolutionKernel = "500", "200", "100", "B50f"
    ds.PatientPosition, ds.StudyInstanceUID, ds.SeriesInstanceUID = "FFS", study, series
    ds.StudyID, ds.SeriesNumber, ds.AcquisitionNumber, ds.InstanceNumber = "1", "2", "1", str(number)
    ds.ImagePositionPatient = ["-180", "-180", f"{number * 1.25:.2f}"]
    ds.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    ds.FrameOfReferenceUID, ds.SliceLocation = series, f"{number * 1.25:.2f}"
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.Rows, ds.Columns = 1, "MONOCHROME2", 512, 512
    ds.PixelSpacing, ds.BitsAllocated, ds.BitsStored, ds.HighBit = ["0.7", "0.7"], 16, 16, 15
    ds.PixelRepresentation, ds.WindowCenter, ds.WindowWidth = 1, "-600", "1500"
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = "0", "1", "HU"
    return ds


def send(folder: Path, aet: str, port: int) -> float:
    """Return the seconds that storescu takes."""
    command = ["storescu", "-xe", "-aec", aet, "+sd", "127.0.0.1", str(port), str(folder)]
    began = time.perf_counter()
    subprocess.run(command, check=True, env=ENVIRONMENT, capture_output=True)
    return time.perf_counter() - began


def serve_wetread(data: str) -> None:
    """Serve in a process of its own until standard input closes."""
    store = open_store(Path(data))
    receiver = start_receiver(ReceiverOptions(port=0), store, lambda _study, _acceptance: None)
    print(receiver.port, flush=True)
    sys.stdin.read()
    receiver.stop()
    store.close()


def time_wetread(root: Path, images: Path) -> float:
    """Time a fresh Wetread receiver."""
    command = [sys.executable, __file__, "--serve", str(root / "wetread")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        seconds = send(images, "WETREAD", int(process.stdout.readline()))
        process.communicate()
    stored = len(list((root / "wetread" / "instances").glob("??/*.dcm")))
    assert stored == len(list(images.iterdir())), stored
    return seconds


def time_orthanc(root: Path, images: Path) -> float:
    """Time a fresh Orthanc with its default storage."""
    with running_orthanc(root / "orthanc", dicomweb=False) as orthanc:
        seconds = send(images, orthanc.aet, orthanc.dicom_port)
        stored = orthanc.get("/statistics")["CountInstances"]
    assert stored == len(list(images.iterdir())), stored
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--instances", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve_wetread(arguments.serve)
        return
    report = measure(arguments.instances, arguments.rounds)
    print(json.dumps(report, indent=2))
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")


def measure(instances: int, rounds: int) -> dict[str, object]:
    """Return seconds, medians and the ratio of Orthanc's time to ours for each round."""
    runners: dict[str, Callable[[Path, Path], float]] = {"wetread": time_wetread, "orthanc": time_orthanc}
    seconds: dict[str, list[float]] = {name: [] for name in runners}
    for number in range(rounds):
        root = Path(tempfile.mkdtemp(prefix="wetread-bench-"))
        try:
            write_instances(root / "images", instances)
            # Who comes first changes, so that nobody always has the warmer disk.
            for name in sorted(runners, reverse=number % 2 == 0):
                seconds[name].append(round(runners[name](root, root / "images"), 3))
        finally:
            shutil.rmtree(root)
    pairs = zip(seconds["orthanc"], seconds["wetread"], strict=True)
    ratios = sorted(round(orthanc / wetread, 2) for orthanc, wetread in pairs)
    return {
        "what": f"{instances} instances of 512 KiB, one association, storescu, TCP_NODELAY",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.platform()}",
        "orthanc": _version([ORTHANC, "--version"]),
        "dcmtk": _version(["storescu", "--version"]),
        "seconds": seconds,
        "median_s": {name: statistics.median(values) for name, values in seconds.items()},
        "orthanc_time_by_wetread_time": {"median": statistics.median(ratios), "all": ratios},
    }


def _version(command: list[str]) -> str:
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    return answer.stdout.splitlines()[0].strip("$ ")


if __name__ == "__main__":
    main()
