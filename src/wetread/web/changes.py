"""What became of each finding since the prior study, as it is shown: both images, the curve, the words.

In: a Reading that compares.  Out: ``ChangesView``.  Never: a prior study that is not theirs who look.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from wetread.compose.wording import appeared_text, gone_line, prior_line, sum_up
from wetread.domain.comparison import Comparison, Status
from wetread.domain.finding import Finding
from wetread.domain.reading import Reading
from wetread.web.curve import CurveView, draw_curve, list_visits

#: All as short, so that what has not changed is seen as fast as what has.
_WORDS = {
    Status.NEW: "new",
    Status.GROWING: "grown",
    Status.STABLE: "no change",
    Status.DECREASED: "smaller",
    Status.RESOLVED: "gone",
    Status.NOT_SCANNED: "not comparable",
}
_UNJUDGED = "not judged"
#: What matters most comes first.
_ORDER = (
    *(Status.NEW, Status.GROWING, None),
    *(Status.DECREASED, Status.RESOLVED, Status.STABLE, Status.NOT_SCANNED),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeView:
    """One finding on both visits."""

    name: str
    #: ``domain.comparison.Status``, or ``unjudged``.
    status: str
    words: str
    line: str
    #: Number in the addresses of its pictures: findings of this study first, then what is gone.
    number: int
    #: Whether this study, and the prior one, show its place.
    has_now: bool
    has_prior: bool
    curve: CurveView | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangesView:
    """How a study compares with the prior one."""

    reading_id: int
    #: ``2026-01-12``; of roles without names only the year; ``""`` where none is known.
    day: str
    prior_day: str
    #: Names the prior study in addresses; ``""``: its images are not here for who looks.
    prior_key: str
    summary: str
    items: tuple[ChangeView, ...]

    def without_days(self) -> ChangesView:
        """Return it with years in place of days."""
        items = [replace(one, curve=one.curve.without_days() if one.curve else None) for one in self.items]
        return replace(self, day=self.day[:4], prior_day=self.prior_day[:4], items=tuple(items))


def view_changes(
    reading: Reading, names: Sequence[str], *, reading_id: int, day: str, prior_key: str
) -> ChangesView | None:
    """Return what has changed, what matters most first; None where nothing was compared.

    Parameters
    ----------
    names
        Of each finding: ``Reading.finding_names``.
    day
        Of this study.
    prior_key
        ``""`` where who looks may not see the prior study, or it is not held.
    """
    comparison = reading.comparison
    if comparison is None:
        return None
    items = [
        (reading.status_of(finding), _finding(reading, name, finding, number))
        for number, (name, finding) in enumerate(zip(names, reading.findings, strict=True))
        if finding.prior is not None or comparison.status_of(finding.tracking_uid) is not None
    ]
    items += _gone(comparison, len(reading.findings))
    items.sort(key=lambda one: _ORDER.index(one[0]))
    return ChangesView(
        reading_id=reading_id,
        day=day,
        prior_day=comparison.studied_on,
        prior_key=prior_key,
        summary=sum_up(reading),
        items=tuple(item for _, item in items),
    )


def _finding(reading: Reading, name: str, finding: Finding, number: int) -> ChangeView:
    status, prior = reading.status_of(finding), finding.prior
    volume = finding.measurements.get("volume_mm3")
    curve = None
    if prior is not None and volume is not None:
        days = prior.overall_doubling_time_days or prior.doubling_time_days
        curve = draw_curve(list_visits(prior, volume), days)
    return ChangeView(
        name=name,
        status=status.value if status else "unjudged",
        words=_WORDS[status] if status else _UNJUDGED,
        line=prior_line(prior) if prior else appeared_text(status),
        number=number,
        has_now=True,
        has_prior=status is not Status.NOT_SCANNED and _is_placed(reading, finding),
        curve=curve,
    )


def _is_placed(reading: Reading, finding: Finding) -> bool:
    """Tell whether it was kept where a finding lies in the prior study."""
    comparison = reading.comparison
    if comparison is None or comparison.images is None:
        return False
    is_matched = finding.prior is not None and finding.prior.place is not None
    return is_matched or comparison.alignment is not None


def _gone(comparison: Comparison, first: int) -> list[tuple[Status | None, ChangeView]]:
    return [
        (
            one.status,
            ChangeView(
                name=one.label.capitalize(),
                status=one.status.value,
                words=_WORDS[one.status],
                line=gone_line(one),
                number=number,
                has_now=one.status is not Status.NOT_SCANNED,
                has_prior=one.place is not None and comparison.images is not None,
            ),
        )
        for number, one in enumerate(comparison.gone, first)
    ]
