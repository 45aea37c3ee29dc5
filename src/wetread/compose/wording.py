"""What documents say in words, so that all say the same.

In: a draft.  Out: lines of text.  Never: a claim that is not in the Reading.
"""

from __future__ import annotations

from collections.abc import Mapping

from wetread.compose.draft import Draft
from wetread.domain.finding import Finding, PriorComparison, Region
from wetread.domain.measurement import MEASUREMENTS
from wetread.domain.reading import Outcome

NOT_FOR_CLINICAL_USE = "NOT FOR CLINICAL USE"
NOTHING_FOUND = "Read, nothing found."

_MOST_IN_IMPRESSION = 10
_UNIT_SIGNS = {"mm3": "mm³", "mm2": "mm²", "[hnsf'U]": "HU", "1": "", "d": "days"}


def measurement_text(name: str, value: float) -> str:
    """Return e.g. ``"8.2 mm"``."""
    quantity = MEASUREMENTS[name]
    unit = _UNIT_SIGNS.get(quantity.unit.value, quantity.unit.value)
    number = f"{value + 0.0:.{quantity.decimals}f}"
    space = "" if unit in ("%", "") else " "
    return f"{number}{space}{unit}"


def measurement_lines(measurements: Mapping[str, float]) -> tuple[str, ...]:
    """Return e.g. ``("volume 268 mm³", ...)`` in the order of the vocabulary."""
    return tuple(
        f"{MEASUREMENTS[name].title} {measurement_text(name, measurements[name])}"
        for name in MEASUREMENTS
        if name in measurements
    )


def size_text(finding: Finding) -> str:
    """Return the one size that names a finding, ``""`` where none was measured."""
    for name in ("mean_diameter_mm", "long_axis_mm", "volume_ml", "volume_mm3"):
        if name in finding.measurements:
            return measurement_text(name, finding.measurements[name])
    return ""


def place_text(finding: Finding) -> str:
    """Return e.g. ``"right lung"``."""
    words = [code.meaning.lower() for code in (finding.laterality, finding.site) if code is not None]
    return " ".join(words)


def label_text(name: str, finding: Finding) -> str:
    """Return the short label beside a finding, e.g. ``"Nodule 1, 8.2 mm"``."""
    return ", ".join(part for part in (name, size_text(finding)) if part)


def finding_line(name: str, finding: Finding) -> str:
    """Return one line on a finding: name, kind, place, size, density, probability."""
    texture = finding.texture.meaning.lower() if finding.texture else ""
    kind = " ".join(part for part in (texture, finding.label) if part)
    parts = [kind, place_text(finding), *_shown_sizes(finding)]
    if finding.probability is not None:
        parts.append(f"probability {finding.probability:.2f}")
    return f"{name}: " + ", ".join(part for part in parts if part) + "."


def _shown_sizes(finding: Finding) -> list[str]:
    numbers = finding.measurements
    parts = []
    if "long_axis_mm" in numbers and "short_axis_mm" in numbers:
        parts.append(f"{numbers['long_axis_mm']:.1f} × {numbers['short_axis_mm']:.1f} mm")
    shown = ("mean_diameter_mm", "volume_mm3", "volume_ml", "mean_hu", "distance_to_pleura_mm")
    parts.extend(measurement_lines({name: numbers[name] for name in shown if name in numbers}))
    return parts


def prior_line(prior: PriorComparison) -> str:
    """Return one line on how a finding has changed."""
    low, high = prior.volume_change_ci95
    text = f"volume {prior.volume_change_percent:+.0f}% since the prior study"
    text += f" (95% CI {low:+.0f} to {high:+.0f}%)"
    if prior.doubling_time_days is not None:
        text += f", doubling time {prior.doubling_time_days:.0f} days"
    return text + "."


def region_line(region: Region) -> str:
    """Return one line on a region that was measured."""
    return f"{region.label.capitalize()}: " + ", ".join(measurement_lines(region.measurements)) + "."


def impression_lines(draft: Draft) -> tuple[str, ...]:
    """Return the impression: what was found, how urgent, why; or that nothing was, or why not read."""
    reading = draft.reading
    if reading.outcome is Outcome.NOT_READ:
        return ("Not read.", *(f"Because: {problem.message}" for problem in reading.problems))
    named = draft.named_findings
    lines = [
        label_text(name, finding) + _side(finding) + "." for name, finding in named[:_MOST_IN_IMPRESSION]
    ]
    lines = lines or [NOTHING_FOUND]
    if len(named) > _MOST_IN_IMPRESSION:
        lines.append(f"{len(named) - _MOST_IN_IMPRESSION} more findings are listed below.")
    # The findings stand above: the first reason is enough.
    because = "".join(f" because of: {reason}" for reason in reading.triage.reasons[:1])
    lines.append(_sentence(f"Triage: {reading.triage.priority.value}{because}"))
    return tuple(lines)


def limit_lines(draft: Draft) -> tuple[str, ...]:
    """Return what limits the reading."""
    return tuple(problem.message for problem in draft.reading.problems)


def model_line(draft: Draft) -> str:
    """Return which model read, and when."""
    model, reading = draft.reading.model, draft.reading
    return (
        f"{model.name} {model.version} (digest {model.digest[:12]}), "
        f"operating point {reading.operating_point}, revision {reading.revision}, "
        f"{reading.made_at.isoformat(timespec='seconds')}"
    )


def _side(finding: Finding) -> str:
    place = place_text(finding)
    return f", {place}" if place else ""


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
