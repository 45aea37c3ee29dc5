"""C-STORE: Wetread's receiver, Orthanc and DCMTK's storescp, in turns on the same machine.

    python benchmarks/cstore.py [--instances 400] [--rounds 5] [--only NAME] [--unsynced] [--json FILE]

One association and eight; a sender that leaves Nagle's algorithm on (storescu's default) and one that does
not. Wetread acknowledges what is on the disk and in its index. Orthanc, by its default ``SyncStorageArea``,
has the file on the disk; its index (SQLite, WAL, synchronous NORMAL) may lose the newest rows. storescp syncs
nothing and has no index: it stands for what sender and network allow. Both get TCP_NODELAY=1.
``--unsynced`` adds Wetread without a single sync, which nobody must use: no way of syncing could be quicker.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid
from sqlalchemy import event

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.orthanc import ORTHANC, running_orthanc
from tests.ports import free_port

from wetread.receive.cstore import ReceiverOptions, start_receiver
from wetread.store import open_store

QUICK = {"TCP_NODELAY": "1"}
UNSYNCED = "WETREAD_BENCH_UNSYNCED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """How it is sent."""

    name: str
    associations: int = 1
    has_nagle: bool = False
    #: Of the instances that are asked for: who waits 40 ms for each needs fewer.
    share: float = 1.0


SCENARIOS = (
    Scenario(name="one"),
    Scenario(name="eight", associations=8),
    Scenario(name="one-nagle", has_nagle=True, share=0.25),
    Scenario(name="eight-nagle", associations=8, has_nagle=True, share=0.5),
)


@dataclass(frozen=True, slots=True)
class Server:
    """Who receives."""

    aet: str
    port: int
    count: Callable[[], int]


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


def send(folders: list[Path], server: Server, *, has_nagle: bool) -> float:
    """Return the seconds that storescu takes, one for each folder at once."""
    environment = {key: value for key, value in os.environ.items() if key != "TCP_NODELAY"}
    if not has_nagle:
        environment |= QUICK
    began = time.perf_counter()
    command = ["storescu", "-xe", "-aec", server.aet, "+sd", "127.0.0.1", str(server.port)]
    senders = [
        subprocess.Popen([*command, str(folder)], env=environment, stdout=subprocess.DEVNULL)
        for folder in folders
    ]
    codes = [sender.wait() for sender in senders]
    seconds = time.perf_counter() - began
    assert set(codes) == {0}, codes
    return seconds


def serve_wetread(data: str) -> None:
    """Serve in a process of its own until standard input closes."""
    store = open_store(Path(data))
    if UNSYNCED in os.environ:
        os.fsync = lambda _file: None
        event.listen(store.engine, "connect", _leave_unsynced)
        store.engine.dispose()
    receiver = start_receiver(ReceiverOptions(port=0), store, lambda _study, _acceptance: None)
    print(receiver.port, flush=True)
    sys.stdin.read()
    receiver.stop()
    store.close()


@contextlib.contextmanager
def wetread(root: Path) -> Iterator[Server]:
    """Run a fresh Wetread receiver."""
    command = [sys.executable, __file__, "--serve", str(root)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        yield Server("WETREAD", port, lambda: len(list((root / "instances").glob("??/*.dcm"))))
        process.communicate()


def _leave_unsynced(connection: object, _record: object) -> None:
    connection.execute("PRAGMA synchronous=OFF")


@contextlib.contextmanager
def unsynced(root: Path) -> Iterator[Server]:
    """Run Wetread without syncs."""
    os.environ[UNSYNCED] = "1"
    try:
        with wetread(root) as server:
            yield server
    finally:
        del os.environ[UNSYNCED]


@contextlib.contextmanager
def orthanc(root: Path) -> Iterator[Server]:
    """Run a fresh Orthanc with its default storage."""
    with running_orthanc(root, dicomweb=False) as running:
        yield Server(running.aet, running.dicom_port, lambda: running.get("/statistics")["CountInstances"])


@contextlib.contextmanager
def storescp(root: Path) -> Iterator[Server]:
    """Run DCMTK's storescp, writing what comes as it comes."""
    root.mkdir()
    port = free_port()
    command = ["storescp", "--fork", "+B", "-od", str(root), str(port)]
    with subprocess.Popen(command, env=os.environ | QUICK) as process:
        _await_port(port)
        yield Server("STORESCP", port, lambda: len(list(root.iterdir())))
        process.terminate()


def _await_port(port: int) -> None:
    for _ in range(200):
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port)).close()
            return
        time.sleep(0.05)
    raise RuntimeError("storescp does not listen")


SERVERS = {"wetread": wetread, "orthanc": orthanc, "storescp": storescp}
OURS = ("wetread", "unsynced")


def time_one(name: str, scenario: Scenario, folders: list[Path], root: Path) -> float:
    """Time one server in one scenario."""
    with SERVERS[name](root / name) as server:
        seconds = send(folders, server, has_nagle=scenario.has_nagle)
        sent = sum(len(list(folder.iterdir())) for folder in folders)
        assert server.count() == sent, (name, server.count(), sent)
    shutil.rmtree(root / name)
    return round(seconds, 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--instances", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", action="append", choices=[one.name for one in SCENARIOS])
    parser.add_argument("--unsynced", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve_wetread(arguments.serve)
        return
    if arguments.unsynced:
        SERVERS["unsynced"] = unsynced
    scenarios = [one for one in SCENARIOS if not arguments.only or one.name in arguments.only]
    report = measure(scenarios, arguments.instances, arguments.rounds)
    print(json.dumps(report, indent=2))
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")


def measure(scenarios: list[Scenario], instances: int, rounds: int) -> dict[str, object]:
    """Return seconds, medians, spread and ratios of each scenario."""
    return {
        "what": "instances of 512 KiB, storescu to a fresh server on loopback, in turns",
        "machine": f"{_processor()}, {os.cpu_count()} cores, {platform.platform()}",
        "python": platform.python_version(),
        "orthanc": _version([ORTHANC, "--version"]),
        "dcmtk": _version(["storescu", "--version"]),
        "scenarios": {one.name: measure_one(one, instances, rounds) for one in scenarios},
    }


def measure_one(scenario: Scenario, instances: int, rounds: int) -> dict[str, object]:
    """Return what one scenario gives."""
    each = max(1, int(instances * scenario.share) // scenario.associations)
    seconds: dict[str, list[float]] = {name: [] for name in SERVERS}
    for number in range(rounds):
        root = Path(tempfile.mkdtemp(prefix="wetread-bench-"))
        try:
            folders = [root / f"images-{one}" for one in range(scenario.associations)]
            for folder in folders:
                write_instances(folder, each)
            # Who comes first changes, so that nobody always has the warmer disk.
            names = sorted(SERVERS)
            first = number % len(names)
            for name in names[first:] + names[:first]:
                seconds[name].append(time_one(name, scenario, folders, root))
        finally:
            shutil.rmtree(root)
    return {
        "associations": scenario.associations,
        "nagle": scenario.has_nagle,
        "instances": each * scenario.associations,
        "seconds": seconds,
        "median_s": {name: statistics.median(values) for name, values in seconds.items()},
        "their_time_by_ours": {
            ours: {name: _ratios(seconds, name, ours) for name in ("orthanc", "storescp")}
            for ours in OURS
            if ours in seconds
        },
    }


def _ratios(seconds: dict[str, list[float]], name: str, ours: str) -> dict[str, object]:
    pairs = zip(seconds[name], seconds[ours], strict=True)
    ratios = sorted(round(theirs / ours, 2) for theirs, ours in pairs)
    return {"median": statistics.median(ratios), "all": ratios}


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _version(command: list[str]) -> str:
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    return answer.stdout.splitlines()[0].strip("$ ")


if __name__ == "__main__":
    main()
