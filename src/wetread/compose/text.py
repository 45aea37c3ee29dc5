"""The structured report as plain text.

In: a draft.  Out: UTF-8 text, lines of ``report_lines``.  Never: a finding that is not in the Reading.
"""

from __future__ import annotations

from wetread.compose.draft import Draft
from wetread.compose.wording import (
    NOT_FOR_CLINICAL_USE,
    NOTHING_FOUND,
    comparison_lines,
    finding_line,
    impression_lines,
    limit_lines,
    measurement_lines,
    model_line,
    region_line,
)
from wetread.domain.document import Document, DocumentKind
from wetread.domain.reading import Outcome

Section = tuple[str, tuple[str, ...]]


def compose_text(draft: Draft) -> tuple[Document, ...]:
    """Return the text report."""
    data = ("\n".join(report_lines(draft)) + "\n").encode()
    return (draft.plain_document(DocumentKind.TEXT, 1, "Text report", data),)


def report_lines(draft: Draft) -> tuple[str, ...]:
    """Return the report, a line each; sections are divided by an empty line."""
    lines = ["WET READ", NOT_FOR_CLINICAL_USE]
    for title, content in report_sections(draft):
        lines += ["", title.upper(), *content]
    return tuple(lines)


def report_sections(draft: Draft) -> tuple[Section, ...]:
    """Return the sections that have something to say: title and lines."""
    sections: list[Section] = [("Impression", impression_lines(draft)), ("Examination", _examination(draft))]
    if draft.reading.outcome is Outcome.READ:
        sections += [
            ("Findings", _findings(draft)),
            ("Organs" if draft.reading.sources else "Lungs", _parts(draft)),
            ("Comparison", comparison_lines(draft)),
            ("Limits", limit_lines(draft)),
        ]
    sections.append(("Read by", (model_line(draft), "An automatic reading; no physician has checked it.")))
    return tuple((title, lines) for title, lines in sections if lines)


def _examination(draft: Draft) -> tuple[str, ...]:
    source, grid = draft.source, draft.reading.grid
    words = [
        source.text("StudyDescription"),
        source.text("SeriesDescription"),
        source.text("BodyPartExamined"),
    ]
    lines = [", ".join(word for word in (source.text("Modality"), *words) if word) or "Not described."]
    if grid is not None:
        planes, rows, columns = grid.shape
        lines.append(
            f"{planes} planes of {rows} × {columns}, {grid.spacing_mm[0]:.2f} mm apart, "
            f"pixels {grid.spacing_mm[1]:.2f} × {grid.spacing_mm[2]:.2f} mm."
        )
    return tuple(" ".join(line.split()) for line in lines)


def _findings(draft: Draft) -> tuple[str, ...]:
    lines = tuple(finding_line(name, finding) for name, finding in draft.named_findings)
    return lines or (NOTHING_FOUND,)


def _parts(draft: Draft) -> tuple[str, ...]:
    lines = [region_line(region) for region in draft.reading.regions if region.measurements]
    whole = measurement_lines(draft.reading.measurements)
    if whole:
        lines.append("Together: " + ", ".join(whole) + ".")
    return tuple(lines)
