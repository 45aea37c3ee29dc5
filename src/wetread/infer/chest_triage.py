"""How urgent a chest CT is, and why, in words.

In: findings, the model's parameters.  Out: ``Triage``.  Never: a threshold that is not a parameter.
"""

from __future__ import annotations

from collections.abc import Mapping

from wetread.domain import code
from wetread.domain.finding import Finding
from wetread.domain.reading import Priority, Triage

_ORDER = (Priority.STAT, Priority.URGENT, Priority.ROUTINE)


def triage_chest(findings: tuple[Finding, ...], parameters: Mapping[str, float]) -> Triage:
    """Rank by the most urgent finding; reasons in the order of urgency."""
    judged = [_judge(finding, parameters) for finding in findings]
    if not judged:
        return Triage()
    judged.sort(key=lambda one: (_ORDER.index(one[0]), -one[1]))
    priority, score, _ = judged[0]
    reasons = tuple(reason for kind, _, reason in judged if kind is priority or kind is not Priority.ROUTINE)
    return Triage(priority=priority, score=round(score, 4), reasons=reasons[:5])


def _judge(finding: Finding, parameters: Mapping[str, float]) -> tuple[Priority, float, str]:
    if finding.code == code.PNEUMOTHORAX:
        return _judge_pneumothorax(finding, parameters)
    return _judge_nodule(finding, parameters)


def _judge_pneumothorax(finding: Finding, parameters: Mapping[str, float]) -> tuple[Priority, float, str]:
    volume_ml = finding.measurements["volume_ml"]
    stat = volume_ml >= parameters["triage_stat_pneumothorax_ml"]
    reason = f"Pneumothorax, {_side(finding)}, {volume_ml:.0f} ml"
    score = min(1.0, 0.5 + volume_ml / 2000.0)
    return (Priority.STAT if stat else Priority.URGENT), score, reason


def _judge_nodule(finding: Finding, parameters: Mapping[str, float]) -> tuple[Priority, float, str]:
    diameter = finding.measurements["mean_diameter_mm"]
    solid = finding.texture != code.GROUND_GLASS
    limit = parameters["triage_urgent_nodule_mm" if solid else "triage_urgent_glass_nodule_mm"]
    texture = finding.texture.meaning.lower() if finding.texture else ""
    reason = f"Nodule, {_side(finding)}, {texture}, {diameter:.0f} mm"
    score = min(1.0, (finding.probability or 0.0) * diameter / 30.0)
    return (Priority.URGENT if diameter >= limit else Priority.ROUTINE), score, reason


def _side(finding: Finding) -> str:
    return finding.laterality.meaning.lower() if finding.laterality else "side unknown"
