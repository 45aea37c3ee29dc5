"""The states of a model version, and which may follow which.

In: two states and what speaks for the step.  Out: nothing, or why it may not be taken.
Never: an index, a clock, a package.

    draft > validated > shadow > live > retired
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class ModelState(StrEnum):
    """How far a model version has come; lowest first."""

    DRAFT = "draft"
    VALIDATED = "validated"
    SHADOW = "shadow"
    LIVE = "live"
    RETIRED = "retired"


class Cause(StrEnum):
    """Why a row of a version's history is there."""

    PROMOTED = "promoted"
    #: A step back, taken by hand.
    STEPPED_BACK = "stepped back"
    #: Another version became live.
    REPLACED = "replaced"
    RETIRED = "retired"
    #: The version that was live before is live again ...
    ROLLED_BACK = "rolled back"
    #: ... and this is the one that it took over from.
    WITHDRAWN = "withdrawn"
    #: Too many readings in a row failed.
    FAILED = "failed"
    RESTORED = "restored"


class Need(StrEnum):
    """What a step asks for."""

    NOTHING = "nothing"
    #: A report that passed the package's gate: given now, or noted when it was validated.
    REPORT = "report"
    #: One that was not noted for this version before.
    NEW_REPORT = "new report"


_S = ModelState
#: Every step that may be taken; who is live goes back to ``validated`` when another takes its place.
STEPS: Mapping[tuple[ModelState, ModelState], Need] = {
    (_S.DRAFT, _S.VALIDATED): Need.REPORT,
    (_S.VALIDATED, _S.SHADOW): Need.REPORT,
    (_S.SHADOW, _S.LIVE): Need.REPORT,
    (_S.LIVE, _S.SHADOW): Need.NOTHING,
    (_S.SHADOW, _S.VALIDATED): Need.NOTHING,
    (_S.LIVE, _S.VALIDATED): Need.NOTHING,
    (_S.DRAFT, _S.RETIRED): Need.NOTHING,
    (_S.VALIDATED, _S.RETIRED): Need.NOTHING,
    (_S.SHADOW, _S.RETIRED): Need.NOTHING,
    (_S.LIVE, _S.RETIRED): Need.NOTHING,
    (_S.RETIRED, _S.VALIDATED): Need.NEW_REPORT,
}
#: From where a version that was live before may become it again at once: the way back in a hurry.
WAY_BACK = frozenset({_S.VALIDATED, _S.SHADOW})


def find_objection(
    now: ModelState,
    to: ModelState,
    *,
    has_report: bool = False,
    has_new_report: bool = False,
    is_way_back: bool = False,
) -> str:
    """Return why a version may not go from one state into another; ``""`` where it may.

    Parameters
    ----------
    has_report
        A report that passed the gate is there, from now or from before.
    has_new_report
        One is given now that this version did not have before.
    is_way_back
        It is a roll-back to a version that was live.
    """
    if now is to:
        return f"It is {now.value} already."
    if is_way_back and now in WAY_BACK and to is ModelState.LIVE:
        return ""
    need = STEPS.get((now, to))
    if need is None:
        nexts = [word.value for start, word in STEPS if start is now]
        return f"From {now.value} it can only become {' or '.join(nexts)}."
    if need is Need.REPORT and not (has_report or has_new_report):
        return "It has no validation report that passed its gate: give one with --report."
    if need is Need.NEW_REPORT and not has_new_report:
        return "It was retired: it needs a new validation report, give it with --report."
    return ""
