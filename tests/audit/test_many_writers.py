"""Threads and processes write at once, some are killed: no gap, no fork, no false alarm."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

from tests.audit.trail import make_event, verify
from wetread.store import open_store
from wetread.store.audit_rows import AuditRows

WRITER = """
import sys
from pathlib import Path
from tests.audit.trail import make_event, open_again
audit = open_again(Path(sys.argv[1]))
print("ready", flush=True)
for number in range(int(sys.argv[2])):
    audit.record(make_event(f"process {number}"))
    print(number, flush=True)
"""
ROOT = Path(__file__).parents[2]


def start_writer(folder: Path, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(folder), str(count)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_eight_threads_and_three_processes(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    processes = [start_writer(tmp_path, 15) for _ in range(3)]
    faults: list[Exception] = []

    def write() -> None:
        try:
            for number in range(10):
                store.audit.record(make_event(f"thread {number}"))
        except Exception as error:  # noqa: BLE001 - told below
            faults.append(error)

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for process in processes:
        process.communicate(timeout=120)
        assert process.returncode == 0
    entries = AuditRows(store.engine).list_after(0, 1000)
    store.close()
    assert faults == []
    assert [entry.sequence for entry in entries] == list(range(1, 3 * 15 + 8 * 10 + 1))
    assert verify(tmp_path) == []


def test_killed_at_any_moment(tmp_path: Path) -> None:
    """What was recorded is there; what was cut short is whole or not there; nothing is an alarm."""
    open_store(tmp_path).close()
    recorded = 0
    for round_ in range(6):
        process = start_writer(tmp_path, 10_000)
        assert process.stdout is not None
        for _ in range(3 + round_):
            process.stdout.readline()
        process.kill()
        recorded += 3 + round_ + len(process.stdout.read().splitlines())
        process.wait()
        assert verify(tmp_path) == []
    store = open_store(tmp_path)
    count = len(AuditRows(store.engine).list_after(0, 100_000))
    store.close()
    assert recorded <= count <= recorded + 6
