"""What readers said and wrote, as it is shown.

In: remarks, versions of a report.  Out: views.  Never: a draft shown as signed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from wetread.compose.prefill import find_named, prefill
from wetread.domain.report import Report, ReportState, Section
from wetread.domain.review import Remark
from wetread.store.studies import StudyRow
from wetread.web import words


@dataclass(frozen=True, slots=True, kw_only=True)
class RemarkView:
    """What a reader said of a finding, or of the whole Reading."""

    #: 0: nobody has said anything.
    id: int = 0
    #: ``domain.review.Verdict``.
    verdict: str = "open"
    words: str = ""
    text: str = ""
    who: str = ""
    at: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SectionView:
    """One part of a report."""

    #: ``domain.report.Section``.
    name: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedView:
    """A report or an addendum that somebody signed."""

    title: str
    sections: tuple[SectionView, ...]
    signed_by: str
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportView:
    """The report: what was signed, and what is being written."""

    #: Number of the newest version; 0: none.
    seen: int
    #: Of the study.
    revision: int
    #: Oldest first.
    signed: tuple[SignedView, ...]
    #: All of them, empty ones too.
    sections: tuple[SectionView, ...]
    #: Who saved the draft, and when; ``""``: nobody yet.
    draft_by: str
    draft_at: str
    #: Findings that were rejected and still stand in the text.
    rejected: tuple[str, ...]
    #: Those that were changed or added after the draft was saved.
    changed: tuple[str, ...]


def view_remark(one: Remark) -> RemarkView:
    """Return a remark as it is shown."""
    return RemarkView(
        id=one.id,
        verdict=one.verdict.value,
        words=one.words,
        text=one.text,
        who=one.who,
        at=words.format_time(one.at),
    )


def view_report(
    row: StudyRow,
    versions: Sequence[Report],
    texts: Iterable[str],
    rejected: Collection[str],
    changed: Mapping[str, float],
    written: Report | None = None,
) -> ReportView:
    """Return the report as it is, or what a reader begins with.

    Parameters
    ----------
    texts
        What models said.
    rejected
        Names of findings that a reader rejected.
    changed
        When readers changed or added findings last, by their names; seconds since 1970.
    written
        What somebody wrote and could not save.
    """
    newest = versions[-1] if versions else None
    if written is not None:
        said = written.sections
    elif newest is not None and not newest.is_signed:
        said = newest.sections
    else:
        said = prefill(texts, rejected)
    lines = [line for text in said.values() for line in text.splitlines()]
    return ReportView(
        seen=newest.id if newest else 0,
        revision=row.revision,
        signed=tuple(_signed(one) for one in versions if one.is_signed),
        sections=tuple(SectionView(name=one.value, text=said.get(one, "")) for one in Section),
        draft_by=newest.who if newest and not newest.is_signed else "",
        draft_at=words.format_time(newest.at) if newest and not newest.is_signed else "",
        rejected=tuple(find_named(lines, rejected)),
        changed=_changed_since(newest, changed),
    )


def _changed_since(draft: Report | None, changed: Mapping[str, float]) -> tuple[str, ...]:
    if draft is None or draft.is_signed:
        # What a reader begins with has it all; what was signed stands.
        return ()
    return tuple(sorted(name for name, at in changed.items() if at > draft.at))


def _signed(one: Report) -> SignedView:
    return SignedView(
        title="Addendum" if one.state is ReportState.ADDENDUM else "Report",
        sections=tuple(
            SectionView(name=section.value, text=one.sections[section])
            for section in Section
            if section in one.sections
        ),
        signed_by=one.signed_by,
        at=words.format_time(one.at),
    )
