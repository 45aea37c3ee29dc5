"""Which slice the address of a study's page asks for: what works without a script.

In: parameters of an address, stacks.  Out: ``Seat``: the picture that a page begins with.
Never: an error for an address that names what is not there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from wetread.web.spots import FindingCard
from wetread.web.stacks import Stack


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """One slice of one stack, in one window."""

    stack: Stack
    #: From 1.
    number: int
    window: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What an address says, as it says it."""

    stack: str = ""
    number: str = ""
    window: str = ""

    def sit(self, stacks: Sequence[Stack], cards: Sequence[FindingCard]) -> Seat | None:
        """Return what is asked for, else the first finding, else the middle; None: no images."""
        if not stacks:
            return None
        spot = next((card.spot for card in cards if card.spot), None)
        wanted = self.stack or (spot.stack if spot else "")
        stack = next((one for one in stacks if one.key == wanted), stacks[0])
        number = (len(stack.slices) + 1) // 2
        if self.number.isascii() and self.number.isdecimal() and len(self.number) < 6:
            number = min(max(1, int(self.number)), len(stack.slices))
        elif spot and spot.stack == stack.key:
            number = spot.number
        window = self.window if self.window in stack.windows else stack.first_window
        return Seat(stack=stack, number=number, window=window)


NOTHING_ASKED = Asked()


def read_asked(parameters: Mapping[str, str]) -> Asked:
    """Return what an address asks for."""
    named = {name: parameters.get(name, "") for name in ("stack", "window")}
    return Asked(number=parameters.get("slice", ""), **named)
