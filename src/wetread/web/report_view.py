"""What readers said and wrote, as it is shown.

In: remarks, versions of a report.  Out: views.  Never: a draft shown as signed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from wetread.compose.linked import Followed, Proposal, follow
from wetread.compose.prefill import find_named
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
    #: Row number of its PDF; 0: there is none, as an earlier version signed it.
    pdf_id: int = 0


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
    #: Findings whose sentence was renewed since the draft was saved.
    renewed: tuple[str, ...] = ()
    #: What findings say now, and the text does not.
    differing: tuple[str, ...] = ()


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
    proposal: Proposal,
    rejected: Collection[str],
    written: Report | None = None,
    pdfs: Mapping[int, int] | None = None,
) -> ReportView:
    """Return the report as it is, or what a reader begins with.

    Parameters
    ----------
    proposal
        What models say, as readers have it.
    rejected
        Names of findings that a reader rejected.
    written
        What somebody wrote and could not save.
    pdfs
        Row number of the PDF of each signed version, by the version's.
    """
    newest = versions[-1] if versions else None
    followed = Followed(sections=proposal.sections)
    if written is not None:
        followed = Followed(sections=written.sections)
    elif newest is not None and not newest.is_signed:
        followed = follow(newest.sections, newest.proposed, proposal.sentences)
    said = followed.sections
    lines = [line for text in said.values() for line in text.splitlines()]
    return ReportView(
        seen=newest.id if newest else 0,
        revision=row.revision,
        signed=tuple(_signed(one, (pdfs or {}).get(one.id, 0)) for one in versions if one.is_signed),
        sections=tuple(SectionView(name=one.value, text=said.get(one, "")) for one in Section),
        draft_by=newest.who if newest and not newest.is_signed else "",
        draft_at=words.format_time(newest.at) if newest and not newest.is_signed else "",
        rejected=tuple(find_named(lines, rejected)),
        renewed=followed.renewed,
        differing=followed.differing,
    )


def _signed(one: Report, pdf_id: int) -> SignedView:
    return SignedView(
        title="Addendum" if one.state is ReportState.ADDENDUM else "Report",
        sections=tuple(
            SectionView(name=section.value, text=one.sections[section])
            for section in Section
            if section in one.sections
        ),
        signed_by=one.signed_by,
        at=words.format_time(one.at),
        pdf_id=pdf_id,
    )
