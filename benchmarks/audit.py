"""What the audit trail costs ingest: the same images with it and without it, in turns.

    python benchmarks/audit.py [--instances 300] [--studies 3] [--rounds 7] [--json FILE]

Each study comes in an association of its own, sent by DCMTK's storescu. "Without" is the same receiver whose
trail keeps nothing. Every round has a fresh data folder and new UIDs; who comes first alternates.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from cstore import send, write_instances
from wetread.domain.audit import AuditEvent
from wetread.receive.cstore import ReceiverOptions, start_receiver
from wetread.store import open_store
from wetread.store.audit import Audit


@dataclasses.dataclass(frozen=True, slots=True)
class NoTrail(Audit):
    """Takes events and keeps none."""

    def record(self, event: AuditEvent) -> None:
        """Forget an event."""


def serve(data: str, kind: str) -> None:
    """Serve in a process of its own until standard input closes."""
    store = open_store(Path(data))
    if kind == "without":
        trail = NoTrail(store.engine, store.audit.key_file, store.audit.head_file)
        store = dataclasses.replace(store, audit=trail)
    receiver = start_receiver(ReceiverOptions(port=0), store, lambda _study, _acceptance: None)
    print(receiver.port, flush=True)
    sys.stdin.read()
    receiver.stop()
    store.close()


def measure_once(root: Path, kind: str, studies: list[Path]) -> float:
    """Return the seconds that all studies take with a fresh receiver."""
    data = root / kind
    command = [sys.executable, __file__, "--serve", str(data), "--kind", kind]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        seconds = sum(send(study, "WETREAD", port) for study in studies)
        process.communicate()
    shutil.rmtree(data)
    return seconds


def measure(instances: int, studies: int, rounds: int) -> dict[str, object]:
    """Return seconds, medians and the share that the trail adds in each round."""
    seconds: dict[str, list[float]] = {"with": [], "without": []}
    for number in range(rounds):
        root = Path(tempfile.mkdtemp(prefix="wetread-bench-"))
        try:
            folders = [root / f"study{index}" for index in range(studies)]
            for folder in folders:
                write_instances(folder, instances)
            for kind in sorted(seconds, reverse=number % 2 == 0):
                seconds[kind].append(round(measure_once(root, kind, folders), 3))
        finally:
            shutil.rmtree(root)
    pairs = zip(seconds["with"], seconds["without"], strict=True)
    added = sorted(round(100 * (one / other - 1), 1) for one, other in pairs)
    median = {kind: statistics.median(values) for kind, values in seconds.items()}
    return {
        "what": f"{studies} studies of {instances} instances of 512 KiB, one association each",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.platform()}",
        "python": platform.python_version(),
        "load_average": os.getloadavg(),
        "seconds": seconds,
        "median_s": median,
        "added_percent": {
            "of_medians": round(100 * (median["with"] / median["without"] - 1), 1),
            "median": statistics.median(added),
            "all": added,
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--instances", type=int, default=300)
    parser.add_argument("--studies", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--kind", choices=["with", "without"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve, arguments.kind)
        return
    report = measure(arguments.instances, arguments.studies, arguments.rounds)
    print(json.dumps(report, indent=2))
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
