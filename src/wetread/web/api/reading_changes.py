"""What readers changed in findings, in the words of the API.

In: findings, changes that stand.  Out: values of ``wetread.contract``.  Never: a mask; a reader's own words.
"""

from __future__ import annotations

from collections.abc import Sequence

from wetread.contract.readings import AddedSaid, ReaderSaid
from wetread.domain.change import Change, apply
from wetread.domain.finding import Finding
from wetread.telling import moment


def tell_changed(before: Finding, changes: Sequence[Change]) -> ReaderSaid | None:
    """Return a finding as readers have it; None where nobody changed it."""
    if not changes:
        return None
    after, last = apply(before, changes), changes[-1]
    return ReaderSaid(
        label=after.label,
        code=next((one.said.code for one in reversed(changes) if one.said.label is not None), before.code),
        laterality=after.laterality,
        texture=after.texture,
        measurements=dict(after.measurements),
        by=last.who,
        at=moment(last.at),
    )


def tell_added(name: str, one: Change) -> AddedSaid:
    """Return a finding that the model does not have."""
    said = one.said
    return AddedSaid(
        name=name,
        label=said.label or "",
        code=said.code,
        laterality=said.laterality,
        texture=said.texture,
        measurements=dict(said.measurements),
        by=one.who,
        at=moment(one.at),
        slice_number=said.place.number if said.place else 0,
    )
