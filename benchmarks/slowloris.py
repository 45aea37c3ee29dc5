"""Measure C-ECHO while two hundred connections dawdle, and what ten thousand connects and aborts leave.

Run: ``python benchmarks/slowloris.py [--connections 200] [--cycles 10000]`` in the project's folder.
"""

from __future__ import annotations

import argparse
import contextlib
import socket
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.hostile.wire import echo
from tests.network.bytes_of import open_slow, pdu, request
from tests.path.service import Service
from tests.ports import free_port


def measure_slow(port: int, count: int, *, associated: bool) -> list[float]:
    """Return times of C-ECHO in s while connections send a byte now and then."""
    first = b"\x04\0\0\0\x40" if associated else request()[:40]
    slow = [open_slow(port, first, associated=associated) for _ in range(count)]
    times = []
    for _ in range(20):
        for connection in slow:
            with contextlib.suppress(OSError):
                connection.send(b"\0")
        began = time.perf_counter()
        if echo(port) != 0:
            raise RuntimeError("C-ECHO failed")
        times.append(time.perf_counter() - began)
    for connection in slow:
        connection.close()
    return times


def counts(pid: int) -> str:
    """Return descriptors, threads and memory of a process."""
    process = Path(f"/proc/{pid}")
    status = (process / "status").read_text().splitlines()
    [memory] = [int(line.split()[1]) >> 10 for line in status if line.startswith("VmRSS")]
    fds, threads = len(list((process / "fd").iterdir())), len(list((process / "task").iterdir()))
    return f"{fds} descriptors, {threads} threads, {memory} MB"


def cycle(port: int, times: int) -> None:
    """Connect and go, every other time after an association was accepted."""
    for number in range(times):
        with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
            if number % 2:
                connection.sendall(request())
                connection.recv(65536)
                connection.sendall(pdu(0x07, bytes(4)))


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=200)
    parser.add_argument("--cycles", type=int, default=10_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        service = Service(Path(folder), free_port(), free_port(), "")
        service.start()
        try:
            for associated in (False, True):
                times = measure_slow(service.dicom_port, arguments.connections, associated=associated)
                where = "after" if associated else "before"
                print(
                    f"{arguments.connections} slow connections {where} association: C-ECHO"
                    f" median {statistics.median(times) * 1e3:.0f} ms, slowest {max(times) * 1e3:.0f} ms"
                )
            pid = service.process.pid if service.process else 0
            cycle(service.dicom_port, 200)
            time.sleep(2)
            print(f"before {arguments.cycles} cycles: {counts(pid)}")
            began = time.perf_counter()
            cycle(service.dicom_port, arguments.cycles)
            seconds = time.perf_counter() - began
            time.sleep(5)
            print(f"after, {seconds:.0f} s later: {counts(pid)}")
        finally:
            service.stop()


if __name__ == "__main__":
    main()
