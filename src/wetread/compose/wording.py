"""What documents say in words, so that all say the same.

In: a draft.  Out: lines of text.  Never: a claim that is not in the Reading.
"""

from __future__ import annotations

from collections.abc import Mapping

from wetread.compose.draft import Addition, Draft
from wetread.domain.comparison import Comparison, GoneFinding, PriorComparison, Status
from wetread.domain.finding import Finding, Region
from wetread.domain.measurement import MEASUREMENTS
from wetread.domain.reading import Outcome, Reading

NOT_FOR_CLINICAL_USE = "NOT FOR CLINICAL USE"
NOTHING_FOUND = "Read, nothing found."

_MOST_IN_IMPRESSION = 10
_VERDICTS = {
    Status.GROWING: "grown",
    Status.STABLE: "no change",
    Status.DECREASED: "smaller",
}
_PARTS = {"split": "one of several parts of what was one", "merged": "grown together of several"}
_APPEARED = {
    Status.NEW: "new, not there in the prior study",
    Status.NOT_SCANNED: "its place is not shown in the prior study",
}
_GONE = {
    Status.RESOLVED: "not there any more",
    Status.NOT_SCANNED: "its place is not shown in this study",
}
#: What is counted as a change, the most important first.
_COUNTED = (
    (Status.NEW, "new"),
    (Status.GROWING, "grown"),
    (Status.DECREASED, "smaller"),
    (Status.RESOLVED, "gone"),
    (Status.NOT_SCANNED, "not comparable"),
)
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


def zone_text(finding: Finding) -> str:
    """Return in which third of the lung's height it lies, ``""`` where that is not known."""
    height = finding.measurements.get("lung_height_percent")
    if height is None:
        return ""
    third = "upper" if height > 200 / 3 else "lower" if height < 100 / 3 else "middle"
    return f"{third} third"


def label_text(name: str, finding: Finding) -> str:
    """Return the short label beside a finding, e.g. ``"Nodule 1, 8.2 mm"``."""
    return ", ".join(part for part in (name, size_text(finding)) if part)


def finding_line(name: str, finding: Finding) -> str:
    """Return one line on a finding: name, kind, place, size, density, probability."""
    texture = finding.texture.meaning.lower() if finding.texture else ""
    kind = " ".join(part for part in (texture, finding.label) if part)
    parts = [kind, place_text(finding), zone_text(finding), *_shown_sizes(finding)]
    if finding.probability is not None:
        parts.append(f"probability {finding.probability:.2f}")
    return f"{name}: " + ", ".join(part for part in parts if part) + "."


def _shown_sizes(finding: Finding) -> list[str]:
    numbers = finding.measurements
    parts = []
    if "long_axis_mm" in numbers and "short_axis_mm" in numbers:
        parts.append(f"{numbers['long_axis_mm']:.1f} × {numbers['short_axis_mm']:.1f} mm")
    shown = (
        *("mean_diameter_mm", "volume_mm3", "solid_mean_diameter_mm"),
        *("volume_ml", "mean_hu", "distance_to_pleura_mm"),
    )
    parts.extend(measurement_lines({name: numbers[name] for name in shown if name in numbers}))
    return parts


def verdict_text(prior: PriorComparison) -> str:
    """Return e.g. ``"no change"``; ``""`` where nothing was judged."""
    return _VERDICTS[prior.status] if prior.status else ""


def prior_line(prior: PriorComparison) -> str:
    """Return one line on how a finding has changed: the verdict first, then the numbers."""
    low, high = prior.volume_change_ci95
    since = f" of {prior.studied_on}" if prior.studied_on else ""
    verdict = f"{verdict_text(prior)}: " if prior.status else ""
    text = f"{verdict}volume {prior.volume_change_percent:+.0f}% since the prior study{since}"
    text += f" (95% CI {low:+.0f} to {high:+.0f}%)"
    if prior.volume_mm3 is not None:
        text += f", {measurement_text('volume_mm3', prior.volume_mm3)} then"
    if prior.mean_diameter_change_mm is not None:
        text += f", mean diameter {prior.mean_diameter_change_mm:+.1f} mm"
    if prior.doubling_time_days is not None:
        text += f", doubling time {prior.doubling_time_days:.0f} days"
    if prior.match in _PARTS:
        text += f", {_PARTS[prior.match]}"
    return text + "."


def comparison_lines(draft: Draft) -> tuple[str, ...]:
    """Return what became of everything since the prior study, the changes first."""
    named = [(name, finding) for name, finding in draft.named_findings if finding.prior is not None]
    changed = [one for one in named if not _is_stable(one[1])]
    stable = [one for one in named if _is_stable(one[1])]
    lines = [sum_up(draft.reading)] if draft.reading.comparison else []
    lines += [f"{name}: {prior_line(finding.prior)}" for name, finding in changed if finding.prior]
    lines += _appeared(draft)
    lines += [f"{name}: {prior_line(finding.prior)}" for name, finding in stable if finding.prior]
    return tuple(lines)


def change_text(draft: Draft) -> str:
    """Return one sentence on all changes, ``""`` where nothing was compared; "no change" is one as well."""
    comparison = draft.reading.comparison
    if comparison is None:
        return ""
    return _sum_up(draft.reading, comparison, "")


def sum_up(reading: Reading) -> str:
    """Return one sentence on all changes, with the days between; ``""`` where nothing was compared."""
    comparison = reading.comparison
    if comparison is None:
        return ""
    days = comparison.interval_days
    return _sum_up(reading, comparison, f", {days} days before" if days is not None else "")


def appeared_text(status: Status | None) -> str:
    """Return what is said of a finding that the prior study does not have, ``""`` of others."""
    text = _APPEARED.get(status, "") if status else ""
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def gone_line(gone: GoneFinding) -> str:
    """Return one line on a finding that this study does not have."""
    size = measurement_text("mean_diameter_mm", gone.mean_diameter_mm)
    return f"A {gone.label} of {size} then: {_GONE[gone.status]}."


def _sum_up(reading: Reading, comparison: Comparison, before: str) -> str:
    statuses = [reading.status_of(one) for one in reading.findings]
    statuses += [one.status for one in comparison.gone]
    counts = [(statuses.count(status), word) for status, word in _COUNTED]
    # Compared, but the two scans show it so differently that neither growth nor its absence is known.
    unjudged = sum(one.prior is not None and one.prior.status is None for one in reading.findings)
    told = [f"{count} {word}" for count, word in [*counts, (unjudged, "not judged")] if count]
    since = f" of {comparison.studied_on}" if comparison.studied_on else ""
    stable = statuses.count(Status.STABLE)
    if not told:
        kept = f" ({stable} stable)" if stable else ""
        return f"No change since the prior study{since}{before}{kept}."
    told += [f"{stable} stable"] if stable else []
    return f"Since the prior study{since}{before}: {', '.join(told)}."


def _appeared(draft: Draft) -> list[str]:
    comparison = draft.reading.comparison
    if comparison is None:
        return []
    lines = []
    for name, finding in draft.named_findings:
        status = comparison.status_of(finding.tracking_uid)
        if status is not None:
            lines.append(f"{name}: {_APPEARED[status]}.")
    return [*lines, *map(gone_line, comparison.gone)]


def _is_stable(finding: Finding) -> bool:
    return finding.prior is not None and finding.prior.status is Status.STABLE


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
    readers = draft.by_readers
    lines += [addition_line(one) for one in readers.added] if readers else []
    lines = lines or [NOTHING_FOUND]
    if len(named) > _MOST_IN_IMPRESSION:
        lines.append(f"{len(named) - _MOST_IN_IMPRESSION} more findings are listed below.")
    if change_text(draft):
        lines.append(change_text(draft))
    if readers is not None:
        # How urgent a model took it for, and why, is over: a reader has seen it.
        return tuple(lines)
    # The findings stand above: the first reason is enough.
    because = "".join(f" because of: {reason}" for reason in reading.triage.reasons[:1])
    lines.append(_sentence(f"Triage: {reading.triage.priority.value}{because}"))
    return tuple(lines)


def addition_line(one: Addition) -> str:
    """Return one line on a finding that a reader added."""
    side = one.said.laterality.meaning.lower() if one.said.laterality else ""
    sizes = [one.said.measurements.get(name) for name in ("long_axis_mm", "short_axis_mm")]
    size = " × ".join(f"{size_mm:.1f}" for size_mm in sizes if size_mm is not None)
    parts = [one.name, one.said.label or "", side, f"{size} mm" if size else ""]
    return f"{', '.join(part for part in parts if part)}."


def limit_lines(draft: Draft) -> tuple[str, ...]:
    """Return what limits the reading."""
    return tuple(problem.message for problem in draft.reading.problems)


def model_line(draft: Draft) -> str:
    """Return which model read, and when."""
    model, reading = draft.reading.model, draft.reading
    device = reading.answer.device if reading.answer else ""
    return (
        f"{model.name} {model.version} (digest {model.digest[:12]}), "
        f"operating point {reading.operating_point}, revision {reading.revision}, "
        f"{reading.made_at.isoformat(timespec='seconds')}" + (f", answer of {device}" if device else "")
    )


def _side(finding: Finding) -> str:
    place = place_text(finding)
    return f", {place}" if place else ""


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
