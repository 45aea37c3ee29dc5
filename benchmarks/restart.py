"""How soon does a service with much in it take images and show its reading list again?

    python benchmarks/restart.py [--instances 100000] [--studies 1000] [--rounds 3] [--json FILE]

A data folder is filled (`tests/trust/stock.py`), then `wetread serve` is started on it: after an orderly
stop, and after kill -9, in turn. Counted from the start of the process: the first C-ECHO, the first whole
page of the reading list, the first C-STORE, and when index and files were compared once.
No rule applies to the studies: no model runs.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.chest_reader import describe_machine
from tests.path.service import Service
from tests.ports import free_port
from tests.trust.ledger import Images
from tests.trust.sender import Sender, echo
from tests.trust.stock import Stock, fill

CONFIG = (
    "[[rules]]\nname = 'nothing'\nmodels = ['chest-ct']\nmodality = 'XX'\n"
    "[[destinations]]\nname = 'pacs'\nto = 'PACS@127.0.0.1:{port}'\n"
)
LIMIT_S = 300.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--instances", type=int, default=100_000)
    parser.add_argument("--studies", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--folder", type=Path, help="an empty folder to work in; it is kept")
    arguments = parser.parse_args()
    stock = Stock(instances=arguments.instances, studies=arguments.studies)
    with contextlib.ExitStack() as stack:
        temporary = tempfile.TemporaryDirectory(prefix="wetread-restart-")
        folder = arguments.folder or Path(stack.enter_context(temporary))
        report = describe_machine() | measure(folder, stock, arguments.rounds)
    print(json.dumps(report, indent=2))
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")


def measure(folder: Path, stock: Stock, rounds: int) -> dict[str, object]:
    """Return the medians after an orderly stop and after kill -9, in s."""
    service = make_service(folder)
    with service.store() as store:
        fill(store, stock, "pacs")
    print("filled", file=sys.stderr)
    times: dict[str, list[dict[str, float]]] = {"stopped": [], "killed": []}
    for _ in range(rounds):
        for how, end in (("stopped", service.stop), ("killed", service.kill)):
            # What comes before is the same for both: a service that was up and received.
            time_start(service)
            end()
            times[how].append(time_start(service))
            print(how, times[how][-1], file=sys.stderr)
            service.kill()
    return {
        "what": f"{stock.instances} instances, {stock.studies} waiting studies",
        **{
            how: {name: summarize([one[name] for one in found]) for name in found[0]}
            for how, found in times.items()
        },
    }


def make_service(folder: Path) -> Service:
    """Return a service on an empty data folder; nobody answers at its destination."""
    config = CONFIG.format(port=free_port())
    return Service(folder=folder, dicom_port=free_port(), http_port=free_port(), config=config)


def time_start(service: Service) -> dict[str, float]:
    """Start the service; returns when it did what for the first time, in s from the start of its process."""
    images, found = Images(study="2.25.77"), {}
    began = time.monotonic()
    service.begin()

    def store() -> bool:
        uid, data_set = images.make()
        with Sender(service.dicom_port, images.sop_class_uid, images.transfer_syntax_uid) as sender:
            return sender.store(uid, data_set) == 0

    def watch(name: str, ask: Callable[[], bool]) -> None:
        found[name] = await_first(ask) - began

    asked: dict[str, Callable[[], bool]] = {
        "echo_s": lambda: echo(service.dicom_port) == 0,
        "list_s": lambda: b"</html>" in read(service, "/"),
        "store_s": store,
    }
    threads = [threading.Thread(target=watch, args=one) for one in asked.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {name: round(found[name], 2) for name in asked}


def read(service: Service, path: str) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{service.http_port}{path}", timeout=60) as answer:
        return bytes(answer.read())


def await_first(ask: Callable[[], bool]) -> float:
    """Return the moment when it was answered for the first time."""
    limit = time.monotonic() + LIMIT_S
    while time.monotonic() < limit:
        # Nobody listens yet, or refuses yet.
        with contextlib.suppress(OSError):
            if ask():
                return time.monotonic()
        time.sleep(0.05)
    raise SystemExit(f"not ready within {LIMIT_S:g} s")


def summarize(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "worst": max(values)}


if __name__ == "__main__":
    main()
