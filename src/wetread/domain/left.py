"""A Reading as readers left it: the changes that stand, the findings that they rejected.

In: changes and remarks, oldest first.  Out: both of one Reading, and a name for exactly that.
Never: a change that was taken back; a rejection that was.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from wetread.domain.change import Change, standing
from wetread.domain.review import Remark, Verdict, newest_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """What readers say of one Reading, all in all."""

    #: Those that stand, by tracking UID.
    changes: Mapping[str, tuple[Change, ...]] = field(default_factory=dict)
    #: Tracking UIDs.
    rejected: frozenset[str] = frozenset()

    @property
    def state(self) -> str:
        """sha256 of what stands; ``""``: it is as the model left it."""
        if not self.changes and not self.rejected:
            return ""
        numbers = sorted(one.id for stack in self.changes.values() for one in stack)
        return hashlib.sha256(f"{numbers} {sorted(self.rejected)}".encode()).hexdigest()


def leave(changes: Iterable[Change], remarks: Iterable[Remark], reading_digest: str) -> Left:
    """Return what readers left of a Reading.

    Parameters
    ----------
    changes, remarks
        Of its study, oldest first.
    """
    counted = newest_of(remarks, reading_digest)
    return Left(
        changes=standing(changes, reading_digest),
        rejected=frozenset(uid for uid, one in counted.items() if one.verdict is Verdict.REJECTED),
    )
