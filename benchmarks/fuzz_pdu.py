"""Send mutated associations and messages to a receiver for as long as is wanted.

Run: ``python benchmarks/fuzz_pdu.py [--seconds 600] [--seed 1]`` in the project's folder.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.network.fuzz_pdu import fuzz

from wetread.store import open_store


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        store = open_store(Path(folder) / "data")
        try:
            print(f"{fuzz(store, arguments.seconds, arguments.seed)} streams, no stumble.")
        finally:
            store.close()


if __name__ == "__main__":
    main()
