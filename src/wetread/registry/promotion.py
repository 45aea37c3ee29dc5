"""Decide about a version: promote it, step back, retire it, roll back, restore it.

In: a lineup, a version, who decides and why.  Out: what was kept, one transaction with its audit entries.
Never: two live versions of one model; a step without a reason; a report taken at its word.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from wetread.domain.audit import Actor
from wetread.domain.lifecycle import Cause, ModelState, find_objection
from wetread.domain.model import Model
from wetread.errors import StateRefused, UnknownModel
from wetread.registry.lineup import Entry, Lineup, find_entry, stand, starting_state
from wetread.registry.report import Report, check_report
from wetread.store.model_states import LONGEST_WHY, ModelChange

_UP = (ModelState.VALIDATED, ModelState.SHADOW, ModelState.LIVE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Who decides, when and why."""

    actor: Actor
    at: datetime
    why: str

    def __post_init__(self) -> None:
        """Refuse a decision that nobody could follow later.

        Raises
        ------
        StateRefused
            If there is no reason, or a very long one.
        """
        if not 3 <= len(self.why.strip()) <= LONGEST_WHY:
            raise StateRefused(f"Say why, without names, in 3 to {LONGEST_WHY} characters.")


def promote(
    lineup: Lineup,
    name: str,
    to: ModelState,
    decision: Decision,
    *,
    version: str = "",
    report: Report | None = None,
) -> ModelChange:
    """Bring a version into a state; a version that becomes live takes the place of the one that is.

    Parameters
    ----------
    version
        Needed where several are registered that are not retired.
    report
        Of ``wetread lab validate`` on this very package.

    Raises
    ------
    StateRefused
        If the step may not be taken; ``NoGate``, ``GateNotPassed``, ``WrongReport`` where the report does
        not speak for it.
    UnknownModel
        If no such version is registered.
    """
    named = find_entry(lineup.entries(), name, version).model
    if report is not None:
        check_report(named, report)

    def decide(changes: Sequence[ModelChange]) -> list[ModelChange]:
        entry = _again(lineup, changes, named)
        _object(entry, to, changes, report)
        replaced = _step_down(lineup, changes, entry, Cause.REPLACED, decision) if to is _LIVE else []
        is_up = _UP.index(to) > _UP.index(entry.state) if entry.state in _UP and to in _UP else to in _UP
        cause = Cause.RETIRED if to is ModelState.RETIRED else _STEP[is_up]
        return [*replaced, _row(entry, to, cause, decision, report)]

    return lineup.states.change(decision.actor, decide)[-1]


def retire(lineup: Lineup, name: str, decision: Decision, *, version: str = "") -> ModelChange:
    """Take a version out of use for good, short of a new report; raises like ``promote``."""
    return promote(lineup, name, ModelState.RETIRED, decision, version=version)


def roll_back(lineup: Lineup, name: str, decision: Decision) -> ModelChange:
    """Make the version live again that was live before; returns how it stands.

    Raises
    ------
    StateRefused
        If there is none, it was retired since, or it is out of service.
    UnknownModel
        If no such model is registered, or the version that was live before is not any more.
    """

    def decide(changes: Sequence[ModelChange]) -> list[ModelChange]:
        entries = [one for one in stand(lineup.packages, changes) if one.model.identity.name == name]
        if not entries:
            raise UnknownModel(model=name)
        digest = find_previous(lineup.packages, changes, name)
        if not digest:
            raise StateRefused("No version of it was live before that could be again.", model=name)
        target = next((one for one in entries if one.model.identity.digest == digest), None)
        if target is None:
            before = next(one for one in reversed(changes) if one.digest == digest)
            raise UnknownModel(
                "The version that was live before is not registered here any more: put its folder back.",
                model=before.title,
            )
        objection = find_objection(target.state, _LIVE, is_way_back=True)
        if objection or not target.in_service:
            raise StateRefused(objection or target.model.withheld)
        withdrawn = _step_down(lineup, changes, target, Cause.WITHDRAWN, decision)
        return [*withdrawn, _row(target, _LIVE, Cause.ROLLED_BACK, decision)]

    return lineup.states.change(decision.actor, decide)[-1]


def restore(lineup: Lineup, name: str, decision: Decision, *, version: str = "") -> ModelChange:
    """Put a version back into service.

    Raises
    ------
    StateRefused
        If it is in service.
    UnknownModel
        If no such version is registered.
    """

    def decide(changes: Sequence[ModelChange]) -> list[ModelChange]:
        entries = stand(lineup.packages, changes)
        out = [one for one in entries if one.model.identity.name == name and not one.in_service]
        entry = out[0] if len(out) == 1 and not version else find_entry(entries, name, version)
        if entry.in_service:
            raise StateRefused("It is in service.", model=name)
        return [_row(entry, entry.state, Cause.RESTORED, decision)]

    return lineup.states.change(decision.actor, decide)[-1]


def find_previous(packages: Iterable[Model], changes: Sequence[ModelChange], name: str) -> str:
    """Return the digest of the version of a model that was live before; ``""``: there is none.

    Going back twice leads back twice: what was rolled back is not gone back to.
    """
    mine = [one for one in changes if one.name == name]
    begun = [one.identity.digest for one in packages if one.identity.name == name and _starts_live(one)]
    # One that came along after something was decided has never been live.
    lived = [digest for digest in begun if not mine or any(one.digest == digest for one in mine)]
    for change in mine:
        if change.cause is Cause.REPLACED and change.digest not in lived:
            lived.append(change.digest)
        elif change.state is _LIVE and change.cause is Cause.PROMOTED:
            lived = [one for one in lived if one != change.digest] + [change.digest]
        elif change.cause is Cause.ROLLED_BACK and change.digest in lived:
            lived = lived[: lived.index(change.digest) + 1]
        elif change.state is ModelState.RETIRED:
            lived = [one for one in lived if one != change.digest]
    newest = {one.digest: one for one in mine}
    is_live = bool(lived) and (lived[-1] not in newest or newest[lived[-1]].state is _LIVE)
    return "" if len(lived) < (2 if is_live else 1) else lived[-2 if is_live else -1]


_LIVE = ModelState.LIVE
_STEP = {True: Cause.PROMOTED, False: Cause.STEPPED_BACK}


def _starts_live(model: Model) -> bool:
    return starting_state(model, is_decided=False) is _LIVE


def _again(lineup: Lineup, changes: Sequence[ModelChange], model: Model) -> Entry:
    """Return how a version stands now that nobody else decides."""
    entries = stand(lineup.packages, changes)
    return next(one for one in entries if one.model.identity == model.identity)


def _object(entry: Entry, to: ModelState, changes: Sequence[ModelChange], report: Report | None) -> None:
    mine = [one for one in changes if one.digest == entry.model.identity.digest]
    retired_at = max((one.id for one in mine if one.state is ModelState.RETIRED), default=0)
    known = {one.report_digest for one in mine} - {""}
    objection = find_objection(
        entry.state,
        to,
        has_report=report is not None or any(one.report_digest for one in mine if one.id > retired_at),
        has_new_report=report is not None and report.digest not in known,
    )
    if not objection and not entry.in_service and to in _UP[1:]:
        objection = entry.model.withheld
    if objection:
        raise StateRefused(objection)


def _step_down(
    lineup: Lineup, changes: Sequence[ModelChange], other: Entry, cause: Cause, decision: Decision
) -> list[ModelChange]:
    """Return what becomes of the versions that are live beside another, also such as are not here."""
    one, digest = other.model.identity, other.model.identity.digest
    live = [
        _row(entry, ModelState.VALIDATED, cause, decision)
        for entry in stand(lineup.packages, changes)
        if entry.state is _LIVE and entry.model.identity.name == one.name
    ]
    newest = {change.digest: change for change in changes if change.name == one.name}
    here = {row.digest for row in live}
    live += [
        ModelChange(
            name=change.name,
            version=change.version,
            digest=change.digest,
            state=ModelState.VALIDATED,
            cause=cause,
            in_service=change.in_service,
            at=decision.at.timestamp(),
            who=decision.actor.user_id,
            why=decision.why,
        )
        for change in newest.values()
        if change.state is _LIVE and change.digest not in here
    ]
    return [row for row in live if row.digest != digest]


def _row(
    entry: Entry, state: ModelState, cause: Cause, decision: Decision, report: Report | None = None
) -> ModelChange:
    one = entry.model.identity
    return ModelChange(
        name=one.name,
        version=one.version,
        digest=one.digest,
        state=state,
        cause=cause,
        in_service=entry.in_service or cause is Cause.RESTORED,
        at=decision.at.timestamp(),
        who=decision.actor.user_id,
        why=decision.why.strip(),
        report_digest=report.digest if report else "",
    )
