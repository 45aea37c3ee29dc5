"""Measure the service's memory while eight associations send a gigabyte.

Run: ``python benchmarks/memory.py [--senders 8] [--megabytes 1024] [--orthanc]`` in the project's folder.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import generate_uid

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.orthanc import running_orthanc
from tests.path.service import Service
from tests.ports import free_port

from wetread.deliver.cstore import read_item, send_items
from wetread.deliver.destination import Destination, DestinationKind

#: Rows and columns of 16 bit: an image of 8 MiB.
_SIZE = 2048


def write_images(folder: Path, senders: int, megabytes: int) -> list[list[Path]]:
    """Write images of 8 MiB; return those of each sender."""
    template = dcmread(get_testdata_file("CT_small.dcm"))
    template.Rows = template.Columns = _SIZE
    template.PixelData = numpy.random.default_rng(1).integers(0, 4095, _SIZE * _SIZE, numpy.uint16).tobytes()
    template.StudyInstanceUID = generate_uid()
    everything = []
    for sender in range(senders):
        template.SeriesInstanceUID = generate_uid()
        paths = []
        for number in range(max(1, megabytes // 8 // senders)):
            template.SOPInstanceUID = template.file_meta.MediaStorageSOPInstanceUID = generate_uid()
            template.InstanceNumber = number + 1
            paths.append(folder / f"{sender}-{number}.dcm")
            template.save_as(paths[-1])
        everything.append(paths)
    return everything


def send_all(port: int, aet: str, images: list[list[Path]]) -> float:
    """Send, one association each; return seconds."""
    to = Destination(
        name=aet, kind=DestinationKind.CSTORE, host="127.0.0.1", port=port, aet=aet, timeout_s=300
    )
    failures: list[str] = []

    def send(paths: list[Path]) -> None:
        outcomes = send_items(to, [read_item(path) for path in paths])
        failures.extend(outcome.message for outcome in outcomes if outcome.code)

    threads = [threading.Thread(target=send, args=(paths,)) for paths in images]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise RuntimeError(failures[0])
    return time.perf_counter() - began


def memory_mb(pid: int, word: str) -> int:
    """Return a process's present (VmRSS) or highest (VmHWM) resident memory in MB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    [kilobytes] = [int(line.split()[1]) for line in lines if line.startswith(word)]
    return kilobytes >> 10


@contextlib.contextmanager
def running_wetread(folder: Path) -> Iterator[tuple[int, int]]:
    """Run the service with rules that read nothing: receiving is measured; yield port and process."""
    service = Service(folder, free_port(), free_port(), "[study]\nquiet_s = 3600")
    service.start()
    try:
        yield service.dicom_port, service.process.pid if service.process else 0
    finally:
        service.stop()


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--senders", type=int, default=8)
    parser.add_argument("--megabytes", type=int, default=1024)
    parser.add_argument("--orthanc", action="store_true", help="send the same to Orthanc, for its time")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        images = write_images(folder, arguments.senders, arguments.megabytes)
        (folder / "service").mkdir()
        with running_wetread(folder / "service") as (port, pid):
            before = memory_mb(pid, "VmRSS")
            seconds = send_all(port, "WETREAD", images)
            print(
                f"Wetread: {arguments.senders} associations, {arguments.megabytes} MB in {seconds:.1f} s;"
                f" {before} MB before, highest {memory_mb(pid, 'VmHWM')} MB"
            )
        if arguments.orthanc:
            with running_orthanc(folder / "orthanc", dicomweb=False) as orthanc:
                seconds = send_all(orthanc.dicom_port, orthanc.aet, images)
            print(f"Orthanc: {seconds:.1f} s")


if __name__ == "__main__":
    main()
