"""The best of several suitable series.

In: verdicts on the series of a study.  Out: their order, and in words why each stands where it does.
Never: a choice that depends on the order of arrival.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from wetread.domain.model import Eligibility
from wetread.match.suitable import SeriesVerdict

# Steps in which a difference in slice spacing counts: less shows no more of a nodule.
_SPACING_STEP_MM = 0.5
# A series that covers less than this part of the longest one shows only part of the organ.
_LEAST_SHARE = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """A suitable series in its place."""

    verdict: SeriesVerdict
    #: In words: why it was chosen, or why it stands behind the one before.
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Merit:
    """What decides, most important first; smaller is better."""

    is_part: bool
    spacing_steps: int
    kernel_place: int
    spacing_mm: float
    slices: int
    uid: str

    @property
    def key(self) -> tuple[bool, int, int, float, int, str]:
        return self.is_part, self.spacing_steps, self.kernel_place, self.spacing_mm, -self.slices, self.uid


def rank_series(verdicts: Sequence[SeriesVerdict], eligibility: Eligibility) -> tuple[Ranked, ...]:
    """Order suitable series, best first.

    Notes
    -----
    First those that cover (nearly) as much as the longest, then those whose slice spacing comes
    nearest the wanted one (in steps of 0.5 mm), then those with the most wanted kernel, then the
    thinner, then the longer; the UID settles what is equal.
    """
    if not verdicts:
        return ()
    longest = max(verdict.extent_mm for verdict in verdicts)
    merits = {
        verdict.series_instance_uid: _merit(verdict, eligibility, longest=longest) for verdict in verdicts
    }
    ordered = sorted(verdicts, key=lambda one: merits[one.series_instance_uid].key)
    first, others = ordered[0], ordered[1:]
    ranked = [Ranked(verdict=first, reason=_why_first(first, eligibility, alone=not others))]
    best = merits[first.series_instance_uid]
    for verdict in others:
        reason = f"Suitable, but {_why_behind(best, merits[verdict.series_instance_uid])}."
        ranked.append(Ranked(verdict=verdict, reason=reason))
    return tuple(ranked)


def _merit(verdict: SeriesVerdict, eligibility: Eligibility, *, longest: float) -> _Merit:
    off_mm = abs(verdict.spacing_mm - eligibility.preferred_slice_spacing_mm)
    kernel = verdict.kernel.casefold()
    wanted = eligibility.preferred_kernels
    return _Merit(
        is_part=verdict.extent_mm < _LEAST_SHARE * longest,
        spacing_steps=round(off_mm / _SPACING_STEP_MM),
        kernel_place=next((i for i, one in enumerate(wanted) if one.casefold() in kernel), len(wanted)),
        spacing_mm=round(verdict.spacing_mm, 3),
        slices=verdict.slice_count,
        uid=verdict.series_instance_uid,
    )


def _why_first(verdict: SeriesVerdict, eligibility: Eligibility, *, alone: bool) -> str:
    kernel = f", kernel {verdict.kernel}" if verdict.kernel else ""
    opening = "the only suitable series" if alone else "the best of the suitable series"
    return (
        f"{verdict.description}, {opening}: {verdict.slice_count} slices of {verdict.spacing_mm:.2f} mm"
        f" ({eligibility.preferred_slice_spacing_mm:g} mm wanted) over {verdict.extent_mm:.0f} mm{kernel}."
    )


def _why_behind(best: _Merit, other: _Merit) -> str:
    if other.is_part != best.is_part:
        return "it covers much less than the chosen one"
    if other.spacing_steps != best.spacing_steps:
        return f"its slice spacing of {other.spacing_mm:.2f} mm is further from the wanted one"
    if other.kernel_place != best.kernel_place:
        return "its kernel is less wanted"
    if other.spacing_mm != best.spacing_mm:
        return f"its slices of {other.spacing_mm:.2f} mm are thicker"
    if other.slices != best.slices:
        return f"it has fewer slices ({other.slices})"
    return "it equals the chosen one, which has the lower UID"
