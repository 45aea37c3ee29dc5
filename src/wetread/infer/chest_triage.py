"""How urgent a chest CT is, and why, in words.

In: a Reading, the model's parameters.  Out: ``Triage``.  Never: a threshold that is not a parameter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from wetread.domain import code
from wetread.domain.comparison import Status
from wetread.domain.finding import Finding
from wetread.domain.reading import Priority, Reading, Triage

_ORDER = (Priority.STAT, Priority.URGENT, Priority.ROUTINE)
_MOST_REASONS = 5
#: How much more a change counts within its priority than the size alone.
_CHANGE_SCORE = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    """What a change since the prior study does to a nodule's priority."""

    status: Status
    #: Parameters: mean diameter now, mm, from which it makes a study urgent; all but ground glass, and that.
    solid_limit: str
    glass_limit: str
    words: str


#: All changes that raise a priority; whatever is not here raises none.
_CHANGES = {
    one.status: one
    for one in (
        _Change(
            status=Status.GROWING,
            solid_limit="triage_urgent_growing_nodule_mm",
            glass_limit="triage_urgent_changed_glass_nodule_mm",
            words="grown since the prior study",
        ),
        _Change(
            status=Status.NEW,
            solid_limit="triage_urgent_new_nodule_mm",
            glass_limit="triage_urgent_changed_glass_nodule_mm",
            words="new since the prior study",
        ),
    )
}

_Judged = tuple[Priority, float, str]


def triage_chest(reading: Reading, parameters: Mapping[str, float]) -> Triage:
    """Rank by the most urgent finding; reasons in the order of urgency."""
    judged = [_judge(reading, finding, parameters) for finding in reading.findings]
    if not judged:
        return Triage()
    judged.sort(key=lambda one: (_ORDER.index(one[0]), -one[1]))
    priority, score, _ = judged[0]
    reasons = tuple(reason for kind, _, reason in judged if kind is priority or kind is not Priority.ROUTINE)
    return Triage(priority=priority, score=round(score, 4), reasons=reasons[:_MOST_REASONS])


def _judge(reading: Reading, finding: Finding, parameters: Mapping[str, float]) -> _Judged:
    if finding.code == code.PNEUMOTHORAX:
        return _judge_pneumothorax(finding, parameters)
    if finding.code == code.PLEURAL_EFFUSION:
        return _judge_effusion(finding, parameters)
    return _judge_nodule(finding, reading.status_of(finding), parameters)


def _judge_pneumothorax(finding: Finding, parameters: Mapping[str, float]) -> _Judged:
    volume_ml = finding.measurements["volume_ml"]
    stat = volume_ml >= parameters["triage_stat_pneumothorax_ml"]
    reason = f"Pneumothorax, {_side(finding)}, {volume_ml:.0f} ml"
    score = min(1.0, 0.5 + volume_ml / 2000.0)
    return (Priority.STAT if stat else Priority.URGENT), score, reason


def _judge_effusion(finding: Finding, parameters: Mapping[str, float]) -> _Judged:
    volume_ml = finding.measurements["volume_ml"]
    urgent = volume_ml >= parameters["triage_urgent_effusion_ml"]
    reason = f"Pleural effusion, {_side(finding)}, {volume_ml:.0f} ml"
    score = min(1.0, volume_ml / 2000.0)
    return (Priority.URGENT if urgent else Priority.ROUTINE), score, reason


def _judge_nodule(finding: Finding, status: Status | None, parameters: Mapping[str, float]) -> _Judged:
    diameter = finding.measurements["mean_diameter_mm"]
    solid = finding.texture != code.GROUND_GLASS
    limit = parameters["triage_urgent_nodule_mm" if solid else "triage_urgent_glass_nodule_mm"]
    texture = finding.texture.meaning.lower() if finding.texture else ""
    reason = f"Nodule, {_side(finding)}, {texture}, {diameter:.0f} mm"
    score = min(1.0, (finding.probability or 0.0) * diameter / 30.0)
    change = _CHANGES.get(status) if status else None
    if change is not None:
        limit = min(limit, parameters[change.solid_limit if solid else change.glass_limit])
        reason += f", {change.words}{_how_fast(finding)}"
        score = min(1.0, score + _CHANGE_SCORE)
    return (Priority.URGENT if diameter >= limit else Priority.ROUTINE), score, reason


def _how_fast(finding: Finding) -> str:
    prior = finding.prior
    if prior is None:
        return ""
    doubles = prior.doubling_time_days
    fast = f", doubling time {doubles:.0f} days" if doubles is not None else ""
    return f" (volume {prior.volume_change_percent:+.0f}%{fast})"


def _side(finding: Finding) -> str:
    return finding.laterality.meaning.lower() if finding.laterality else "side unknown"
