"""A signed report for people, as Encapsulated PDF (PS3.3 A.45.1).

In: a draft of the Reading that it was written from, the report.  Out: one document, the same bytes always.
Never: a word that the signer did not see; a picture of a model.
"""

# reportlab has no types.
# mypy: disable-error-code="no-untyped-call,attr-defined"

from __future__ import annotations

from reportlab.lib.units import mm
from reportlab.platypus import Flowable, Spacer

from wetread.compose import header
from wetread.compose.draft import Draft
from wetread.compose.pdf import ENCAPSULATED_PDF_STORAGE, fill_pdf
from wetread.compose.sheet import FAINT, INK, build_pdf, head, paragraph, style
from wetread.domain.document import Document, DocumentKind
from wetread.domain.reading import NO_MODEL
from wetread.domain.report import Report, ReportState, Section


def compose_report_pdf(draft: Draft, report: Report) -> Document:
    """Return a signed report as Encapsulated PDF; ``draft.reading.made_at`` is when it was signed."""
    title = "Addendum" if report.state is ReportState.ADDENDUM else "Radiology report"
    signed = f"Signed by {report.signed_by}, {header.local_time(draft):%Y-%m-%d %H:%M}"
    story = [
        *head(draft.source, title, ("Final", INK)),
        *_sections(report),
        Spacer(1, 5 * mm),
        paragraph(signed, style(9, bold=True)),
        paragraph(
            "Words of models may stand in it; who signed has checked them."
            if is_of_model(draft)
            else "No model read this study.",
            style(8, colour=FAINT),
        ),
    ]
    pdf = build_pdf(story, title=title, foot=f"Wetread · digest {report.digest[:12]}", note=signed)
    ds = header.new_dataset(draft, DocumentKind.REPORT_PDF, report.id, ENCAPSULATED_PDF_STORAGE)
    ds.SeriesDescription = "Radiology report (PDF)"
    ds.ContributingEquipmentSequence[0].ContributionDescription = contribution(draft)
    fill_pdf(ds, pdf, title)
    return header.finish(ds, DocumentKind.REPORT_PDF, f"{title} (PDF)")


def is_of_model(draft: Draft) -> bool:
    """Tell whether a model read the study before it was reported."""
    return draft.reading.model != NO_MODEL


def contribution(draft: Draft) -> str:
    """Return what Wetread did for a signed report."""
    if is_of_model(draft):
        return "Proposed the text; a person verified it"
    return "Took down the text of a person, who verified it"


def _sections(report: Report) -> list[Flowable]:
    flow: list[Flowable] = []
    for section in Section:
        lines = report.sections.get(section, "").splitlines()
        if lines:
            titles = style(11, bold=True, spaceBefore=7, keepWithNext=1)
            flow.append(paragraph(section.value.capitalize(), titles))
            flow.extend(paragraph(line or " ", style(9.5)) for line in lines)
    return flow
