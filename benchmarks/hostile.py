"""What the heaviest hostile files cost a running service: memory at its peak, C-ECHO meanwhile.

In: rows of ``tests.hostile.rows``.  Out: a line for each.  Never: a judgement: ``tests/hostile`` judges.

Example: ``python benchmarks/hostile.py H21 H22 H24``
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))


def main() -> None:
    """Parse the command line, attack, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("rows", nargs="*", default=["H21", "H22", "H24"], help="beginnings of row names")
    arguments = parser.parse_args()

    from tests.hostile.conftest import EchoMeter, start_target
    from tests.hostile.rows import ROWS

    print("row               seconds   peak MB   slowest C-ECHO s")
    with tempfile.TemporaryDirectory() as folder, start_target(Path(folder) / "service") as target:
        for row in ROWS:
            if not row.id.startswith(tuple(arguments.rows)):
                continue
            objects = row.make()
            target.begin()
            started = time.monotonic()
            with EchoMeter(target.service.dicom_port) as meter:
                target.send(objects, row.id[:16])
            took_s = time.monotonic() - started
            print(f"{row.id:16} {took_s:8.1f} {target.grown() / 2**20:9.1f} {meter.slowest_s:12.3f}")
            target.check()


if __name__ == "__main__":
    main()
