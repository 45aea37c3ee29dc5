"""Which earlier study a study is compared with.

In: studies of whoever, by their headers.  Out: one prior and what limits it, or why there is none.
Never: a prior of another patient; a later study; pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from wetread.domain.problem import Problem, ProblemCode
from wetread.domain.study import Header, Series, Study, header_text

#: What cannot change between two studies of one patient; sex O is no answer (PS3.3 C.7.1.1).
_LASTING = (("PatientBirthDate", "birth date", ()), ("PatientSex", "sex", ("O",)))
#: Beyond this factor slices are of another thickness.
_THICKNESS_FACTOR = 1.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """A study with the series that was chosen of it."""

    study: Study
    series: Series

    @property
    def header(self) -> Header:
        """Header of the series."""
        return self.series.header


@dataclass(frozen=True, slots=True, kw_only=True)
class Prior:
    """The visit that is compared with."""

    visit: Visit
    #: ISO 8601, e.g. ``2026-01-12``.
    studied_on: str
    interval_days: int
    #: What limits the comparison.
    problems: tuple[Problem, ...] = ()


def studied_at(study: Study) -> datetime | None:
    """Return Study Date and Time (0008,0020, 0008,0030), without time zone; None where the date is none."""
    day = header_text(study.header, "StudyDate").strip()
    time = header_text(study.header, "StudyTime").strip().split(".")[0].ljust(6, "0")
    for text, pattern in ((day + time, "%Y%m%d%H%M%S"), (day, "%Y%m%d")):
        try:
            return datetime.strptime(text, pattern)  # noqa: DTZ007 - DICOM names the wall clock of its site
        except ValueError:
            continue
    return None


def order_visits(studies: Sequence[Study]) -> list[Study]:
    """Return studies oldest first; those without a date come last, by UID."""
    return sorted(
        studies,
        key=lambda one: (studied_at(one) or datetime.max, one.study_instance_uid),  # noqa: DTZ901
    )


def choose_prior(visit: Visit, others: Sequence[Visit]) -> tuple[Prior | None, tuple[Problem, ...]]:
    """Choose the newest study of an earlier day of the same patient.

    Where there is none, an earlier one of the same day is taken: nothing grows in a day, but what both
    show is known to be the same.

    Parameters
    ----------
    others
        Other studies, in any order; those of other patients are passed over.

    Returns
    -------
    tuple
        The prior; and what is to be said where a study that looks like a prior is none.
    """
    alike = [one for one in others if _is_same_id(visit.header, one.header)]
    refused = [problem for one in alike if (problem := _contradiction(visit.header, one.header)) is not None]
    mine = studied_at(visit.study)
    same = [one for one in alike if _contradiction(visit.header, one.header) is None]
    undated = [one for one in same if studied_at(one.study) is None]
    if mine is None and same:
        return None, (*refused, _undated("This study has no date"))
    if undated:
        refused.append(_undated("An earlier study has no date"))
    dated = [(day, one) for one in same if (day := studied_at(one.study)) is not None]
    earlier = [(day, one) for day, one in dated if mine and _key(day, one) < _key(mine, visit)]
    if not earlier or mine is None:
        return None, tuple(refused)
    before_today = [one for one in earlier if one[0].date() < mine.date()]
    day, chosen = max(before_today or earlier, key=lambda one: _key(*one))
    return _describe(visit, chosen, (mine.date(), day.date())), tuple(refused)


def _key(day: datetime, visit: Visit) -> tuple[datetime, str]:
    return day, visit.study.study_instance_uid


def _is_same_id(one: Header, other: Header) -> bool:
    mine, theirs = (header_text(header, "PatientID").strip() for header in (one, other))
    issuers = {header_text(header, "IssuerOfPatientID").strip() for header in (one, other)} - {""}
    return bool(mine) and mine == theirs and len(issuers) < 2


def _contradiction(one: Header, other: Header) -> Problem | None:
    """Return why two studies under one Patient ID are not of one patient; None where nothing says so."""
    differing = [
        title
        for keyword, title, silent in _LASTING
        if len({header_text(header, keyword).strip() for header in (one, other)} - {"", *silent}) > 1
    ]
    if not differing:
        return None
    message = (
        f"Another study bears the same Patient ID, but {' and '.join(differing)} differ: it is not compared"
        " with. Find out whose it is, and correct the ID of one."
    )
    return Problem(code=ProblemCode.PRIOR_OTHER_PATIENT, message=message, refuses=False)


def _undated(what: str) -> Problem:
    message = (
        f"{what} (Study Date): which of the two is the earlier one is not known, so they are not compared."
    )
    return Problem(code=ProblemCode.PRIOR_UNDATED, message=message, refuses=False)


def _describe(visit: Visit, prior: Visit, days: tuple[date, date]) -> Prior:
    now, before = days
    differences = [*_thickness(visit.header, prior.header), *_contrast(visit.header, prior.header)]
    if now == before:
        differences.append("both were made on the same day, so that there is no growth rate")
    problems = [
        Problem(
            code=ProblemCode.PRIOR_DIFFERS,
            message=f"Compared with the study of {before.isoformat()}, but {one}.",
            refuses=False,
        )
        for one in differences
    ]
    return Prior(
        visit=prior,
        studied_on=before.isoformat(),
        interval_days=(now - before).days,
        problems=tuple(problems),
    )


def _thickness(one: Header, other: Header) -> list[str]:
    try:
        now, before = (float(header_text(header, "SliceThickness")) for header in (one, other))
    except ValueError:
        return []
    if min(now, before) <= 0 or max(now, before) <= _THICKNESS_FACTOR * min(now, before):
        return []
    return [
        f"its slices are {before:g} mm thick and these {now:g} mm: intervals are wider,"
        " and diameters to be taken with care"
    ]


def _contrast(one: Header, other: Header) -> list[str]:
    now, before = (bool(header_text(header, "ContrastBolusAgent").strip()) for header in (one, other))
    if now == before:
        return []
    with_agent, without = ("this one", "that one") if now else ("that one", "this one")
    return [
        f"{with_agent} was made with contrast agent and {without} without: density and mass are not"
        " comparable, volumes are"
    ]
