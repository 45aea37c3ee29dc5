"""Rounds of killing a service that receives.

In: rounds, associations, a seed.  Out: a ledger of what was acknowledged on the way.
"""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass
from pathlib import Path

from tests.trust.doors import Doors
from tests.trust.ledger import Ledger

#: How long a service lives at most after it began to receive.
LONGEST_LIFE_S = 0.35


@dataclass(frozen=True, kw_only=True)
class Killing:
    """What is tried."""

    data: Path
    rounds: int
    associations: int = 4
    seed: int = 1
    #: Of the services, killed before they receive: while they open, clear and reconcile.
    share_killed_early: float = 0.3
    #: Of the others, killed when it has answered something: on a busy machine the rest die before that.
    share_answering: float = 0.5


def kill_again_and_again(killing: Killing, ledger: Ledger, doors: Doors) -> int:
    """Begin and kill services at random moments; returns how many died before they received."""
    dice = random.Random(killing.seed)
    early = 0
    for _ in range(killing.rounds):
        process = doors.begin()
        if dice.random() < killing.share_killed_early:
            timer = threading.Timer(dice.uniform(0.0, 0.15), doors.kill, (process,))
            timer.start()
            if doors.port() is None:
                early += 1
            timer.join()
        else:
            port = doors.port()
            assert port is not None
            timer = threading.Timer(dice.uniform(0.02, LONGEST_LIFE_S), doors.kill, (process,))
            ledger.is_answered.clear()
            senders = ledger.send(port, killing.associations)
            if dice.random() < killing.share_answering:
                ledger.is_answered.wait(30)
            timer.start()
            for sender in senders:
                sender.join(60)
            timer.join()
        doors.wait()
    return early
