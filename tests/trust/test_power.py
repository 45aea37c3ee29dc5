"""The power goes at any moment, and with it all that was not synced: what was acknowledged is there.

The disk is `disk.c`. The last test shows that it tells the truth: without syncing, images are lost.
"""

import random
from pathlib import Path

import pytest

from tests.stores import database_url
from tests.trust.crash import Killing, kill_again_and_again
from tests.trust.disk import Disk, requires_gcc
from tests.trust.doors import Doors
from tests.trust.ledger import Ledger

pytestmark = requires_gcc


def cut_power(
    disk: Disk, ledger: Ledger, seed: int, *, share_killed_early: float = 0.2, ignores_sync: bool = False
) -> None:
    data = disk.root / "data"
    with Doors(data, disk.environment(ignores_sync=ignores_sync)) as doors:
        killing = Killing(data=data, rounds=2, seed=seed, share_killed_early=share_killed_early)
        kill_again_and_again(killing, ledger, doors)


@pytest.mark.parametrize("seed", range(6))
def test_what_was_acknowledged_survives_a_power_cut(disk: Disk, tmp_path: Path, seed: int) -> None:
    ledger = Ledger()
    cut_power(disk, ledger, seed)
    disk.after_power_cut(tmp_path / "strict")
    url = database_url(disk.root / "data")
    ledger.check(tmp_path / "strict" / "data", url)
    # The disk may have written more than it had to, in any order.
    disk.after_power_cut(tmp_path / "more", random.Random(seed))
    ledger.check(tmp_path / "more" / "data", url)


def test_a_service_that_does_not_sync_loses_images(disk: Disk, tmp_path: Path) -> None:
    ledger = Ledger()
    cut_power(disk, ledger, seed=1, share_killed_early=0.0, ignores_sync=True)
    assert ledger.acknowledged
    disk.after_power_cut(tmp_path / "after")
    with pytest.raises(AssertionError, match="acknowledged instances are not indexed"):
        ledger.check(tmp_path / "after" / "data", database_url(disk.root / "data"))
