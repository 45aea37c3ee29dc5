"""kill -9 at any moment: every acknowledged image is there afterwards, whole, indexed once, and counted.

`benchmarks/kill.py` does it a thousand times.
"""

from pathlib import Path

from tests.trust.crash import Killing, kill_again_and_again
from tests.trust.doors import Doors
from tests.trust.ledger import Ledger

ROUNDS = 100


def test_what_was_acknowledged_survives_a_hundred_kills(tmp_path: Path) -> None:
    data = tmp_path / "data"
    ledger = Ledger()
    with Doors(data) as doors:
        early = kill_again_and_again(Killing(data=data, rounds=ROUNDS), ledger, doors)
    assert len(ledger.acknowledged) > ROUNDS
    assert early > 0, "none was killed while it started"
    ledger.check(data)
