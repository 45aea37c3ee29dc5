"""How long until the others have finished what a killed worker had begun?

    python benchmarks/takeover.py [--rounds 5] [--studies 3] [--json FILE]

One `wetread serve` takes images, three `wetread worker` processes share its queue, in a real PostgreSQL,
with a real Orthanc as destination. In each round every worker is in the middle of a reading, more studies
wait, and one worker is killed with kill -9. Counted from the kill until all is read and delivered. The model
does next to nothing: what is measured is the takeover. A new worker takes the place of the dead one.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.chest_reader import describe_machine
from tests.orthanc import running_orthanc
from tests.postgres import database_name, shared_cluster
from tests.workers.pool import Pool
from tests.workers.ward import Ward, lose_one

from wetread.store.workers import TIME_TO_LIVE_S

WORKERS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--studies", type=int, default=3, help="that wait in each round, beside those begun")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    report = describe_machine() | measure(arguments.rounds, arguments.studies)
    print(json.dumps(report, indent=2))
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")


def measure(rounds: int, studies: int) -> dict[str, object]:
    """Return median and spread, in s; an AssertionError where anything is lost or done twice."""
    cluster = shared_cluster()
    with tempfile.TemporaryDirectory(prefix="wetread-takeover-") as name:
        folder = Path(name)
        with running_orthanc(folder / "orthanc") as orthanc:
            ward = Ward(folder, orthanc)
            pool = Pool(folder, cluster, database_name(folder), ward.config)
            try:
                pool.start("serve", "--readings", "0")
                times = [time_round(pool, ward, studies) for _ in range(rounds)]
                ward.check_whole(pool)
                [(database,)] = pool.ask("SHOW server_version")
            finally:
                pool.stop()
    return {
        "what": f"{rounds} kills, {WORKERS} workers, {WORKERS + studies} studies each",
        "wetread": version("wetread"),
        "postgresql": database,
        "time_to_live_s": TIME_TO_LIVE_S,
        "median_s": round(statistics.median(times), 1),
        "least_s": round(min(times), 1),
        "most_s": round(max(times), 1),
    }


def time_round(pool: Pool, ward: Ward, studies: int) -> float:
    """Fill the places of the dead, begin readings, kill one; returns how long the rest took, in s."""
    alive = [one for one in pool.processes[1:] if one.poll() is None]
    workers = alive + pool.start_all(*[("worker",)] * (WORKERS - len(alive)))
    ward.hold()
    begun = len(pool.matched())
    for _ in range(WORKERS + studies):
        ward.scan(pool, "routine")
    pool.await_true(lambda: len(pool.matched()) == begun + WORKERS, 120, "a reading in each worker")
    pool.await_true(lambda: pool.count_queued() == studies, 120, "readings that wait")
    took_s = lose_one(pool, ward, workers[0])
    print(f"{took_s:.1f} s", file=sys.stderr)
    return took_s


if __name__ == "__main__":
    main()
