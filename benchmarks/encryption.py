"""C-STORE with and without encryption, one association, in turns on the same machine.

    python benchmarks/encryption.py [--instances 400] [--rounds 5] [--json FILE]

The sender is DCMTK's storescu with TCP_NODELAY=1; every round has new UIDs. See ``cstore.py`` for the images.
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
from pathlib import Path

from cstore import send, write_instances
from wetread.receive.cstore import ReceiverOptions, start_receiver
from wetread.store import open_store
from wetread.store.keys import EncryptionSettings, make_key_file


def serve(data: str, key: str) -> None:
    """Serve in a process of its own until standard input closes."""
    encryption = EncryptionSettings(key_file=Path(key) if key else None)
    store = open_store(Path(data), encryption=encryption)
    receiver = start_receiver(ReceiverOptions(port=0), store, lambda _study, _acceptance: None)
    print(receiver.port, flush=True)
    sys.stdin.read()
    receiver.stop()
    store.close()


def time_receiver(root: Path, images: Path, key: str) -> float:
    """Time a fresh receiver."""
    data = root / ("encrypted" if key else "plain")
    command = [sys.executable, __file__, "--serve", str(data), "--key", key]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        seconds = send(images, "WETREAD", int(process.stdout.readline()))
        process.communicate()
    stored = list((data / "instances").glob("??/*.dcm"))
    assert len(stored) == len(list(images.iterdir()))
    assert stored[0].read_bytes().startswith(b"WETSEAL") == bool(key)
    return seconds


def measure(instances: int, rounds: int) -> dict[str, object]:
    """Return seconds, medians and the ratio of encrypted to plain for each round."""
    seconds: dict[str, list[float]] = {"plain": [], "encrypted": []}
    for number in range(rounds):
        root = Path(tempfile.mkdtemp(prefix="wetread-bench-"))
        try:
            write_instances(root / "images", instances)
            make_key_file(root / "key")
            # Who comes first changes, so that nobody always has the warmer disk.
            for name in sorted(seconds, reverse=number % 2 == 0):
                key = str(root / "key") if name == "encrypted" else ""
                seconds[name].append(round(time_receiver(root, root / "images", key), 3))
        finally:
            shutil.rmtree(root)
    ratios = [
        round(encrypted / plain, 3)
        for encrypted, plain in zip(seconds["encrypted"], seconds["plain"], strict=True)
    ]
    return {
        "what": f"{instances} instances of 512 KiB, one association, storescu, TCP_NODELAY",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.platform()}",
        "seconds": seconds,
        "median_s": {name: statistics.median(values) for name, values in seconds.items()},
        "encrypted_time_by_plain_time": {"median": statistics.median(ratios), "all": sorted(ratios)},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--instances", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--key", default="", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve, arguments.key)
        return
    report = measure(arguments.instances, arguments.rounds)
    print(json.dumps(report, indent=2))
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
