"""Kill -9 a receiving service at random moments and look for every acknowledged image.

    python benchmarks/kill.py [--rounds 1000] [--associations 4] [--seed 1] [--json FILE]

Each round begins the service on the same data folder and kills it while it starts (3 of 10) or receives.
In the end every acknowledged instance must be on the disk, whole, indexed once, and counted.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.trust.crash import Killing, kill_again_and_again
from tests.trust.doors import Doors
from tests.trust.ledger import Ledger


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--associations", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    report = measure(arguments.rounds, arguments.associations, arguments.seed)
    print(json.dumps(report, indent=2))
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")


def measure(rounds: int, associations: int, seed: int) -> dict[str, object]:
    """Return how many were acknowledged; an AssertionError where one of them is lost."""
    began = time.monotonic()
    ledger = Ledger()
    with tempfile.TemporaryDirectory(prefix="wetread-kill-") as folder:
        data = Path(folder) / "data"
        killing = Killing(data=data, rounds=rounds, associations=associations, seed=seed)
        with Doors(data) as doors:
            early = kill_again_and_again(killing, ledger, doors)
        ledger.check(data)
    return {
        "what": f"{rounds} kills, {associations} associations, seed {seed}",
        "killed_before_it_received": early,
        "acknowledged": len(ledger.acknowledged),
        "lost": 0,
        "seconds": round(time.monotonic() - began, 1),
    }


if __name__ == "__main__":
    main()
