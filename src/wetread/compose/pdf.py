"""The report with pictures as PDF, in an Encapsulated PDF object (PS3.3 A.45.1).

In: a draft with pictures.  Out: one document.  Never: mark-up from a name or a message, the present time.
"""

# reportlab has no types.
# mypy: disable-error-code="no-untyped-call,attr-defined"

from __future__ import annotations

import io
from typing import Any

from PIL import Image as PilImage
from pydicom.dataset import Dataset
from reportlab.lib.colors import HexColor
from reportlab.lib.units import mm
from reportlab.platypus import Flowable, Image, Spacer, Table, TableStyle

from wetread.compose import header
from wetread.compose.draft import Draft, Picture
from wetread.compose.pairs import draw_pairs
from wetread.compose.sheet import FAINT, LINE, WARNING, WIDTH, build_pdf, day_text, head, paragraph, style
from wetread.compose.text import report_sections
from wetread.compose.wording import NOT_FOR_CLINICAL_USE, measurement_text, place_text
from wetread.domain.code import Code
from wetread.domain.document import Document, DocumentKind
from wetread.domain.finding import Finding
from wetread.domain.reading import Priority

ENCAPSULATED_PDF_STORAGE = "1.2.840.10008.5.1.4.1.1.104.1"

_REPORT = Code(value="18748-4", scheme="LN", meaning="Diagnostic imaging study")
_PRIORITY_COLOURS = {
    Priority.STAT: HexColor("#b3261e"),
    Priority.URGENT: HexColor("#b86e00"),
    Priority.ROUTINE: HexColor("#2e7d4f"),
}
_MOST_PICTURES = 6
_GAP = 4
_PICTURE_PIXELS = 600


def compose_pdf(draft: Draft) -> tuple[Document, ...]:
    """Return the report as Encapsulated PDF."""
    pdf = render_pdf(draft)
    ds = header.new_dataset(draft, DocumentKind.PDF, 1, ENCAPSULATED_PDF_STORAGE)
    fill_pdf(ds, pdf, f"Wet read, {NOT_FOR_CLINICAL_USE}")
    shown = [draft.source.planes[one.plane] for one in draft.pictures if one.plane is not None]
    if shown:
        ds.SourceInstanceSequence = header.instance_items(shown)
    return (header.finish(ds, DocumentKind.PDF, "PDF report"),)


def fill_pdf(ds: Dataset, pdf: bytes, title: str) -> None:
    """Put a file of pages into an Encapsulated PDF object."""
    ds.ConversionType = "WSD"
    ds.BurnedInAnnotation = "YES"  # the patient's name is on the page
    ds.AcquisitionDateTime = None
    ds.DocumentTitle = title
    ds.ConceptNameCodeSequence = header.code_sequence(_REPORT)
    ds.MIMETypeOfEncapsulatedDocument = "application/pdf"
    ds.EncapsulatedDocumentLength = len(pdf)
    ds.EncapsulatedDocument = pdf + b"\0" * (len(pdf) % 2)


def render_pdf(draft: Draft) -> bytes:
    """Return the report as a PDF file of A4 pages."""
    story = [
        *head(draft.source, "Wet read", (NOT_FOR_CLINICAL_USE, WARNING)),
        *_impression(draft),
        *_findings_table(draft),
        *_changes(draft),
        *_pictures(draft),
        *_sections(draft),
    ]
    model = draft.reading.model
    foot = f"Wetread · {model.name} {model.version} · digest {model.digest[:12]}"
    return build_pdf(story, title="Wet read", foot=foot, note=NOT_FOR_CLINICAL_USE)


def _impression(draft: Draft) -> list[Flowable]:
    """Return the impression beside a bar in the colour of the priority."""
    title, lines = report_sections(draft)[0]
    heading = f"{title} · {draft.reading.triage.priority.value.upper()}"
    paragraphs = [
        paragraph(heading, style(11, bold=True)),
        *(paragraph(line, style(9.5)) for line in lines),
    ]
    bar = Table(
        [["", paragraph] for paragraph in paragraphs],  # a row each: it may go over a page
        colWidths=[2.5 * mm, WIDTH - 2.5 * mm],
        style=TableStyle(
            [
                ("BACKGROUND", (0, 0), (0, -1), _PRIORITY_COLOURS[draft.reading.triage.priority]),
                ("LEFTPADDING", (1, 0), (1, -1), 8),
                ("TOPPADDING", (0, 0), (-1, -1), 1),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 1),
            ]
        ),
    )
    return [bar, Spacer(1, 4 * mm)]


def _findings_table(draft: Draft) -> list[Flowable]:
    if not draft.reading.findings:
        return []
    titles = ["Finding", "Place", "Type", "Axes", "Volume", "Density", "Probability"]
    rows = [[paragraph(text, style(8, bold=True, colour=FAINT)) for text in titles]]
    rows += [
        [paragraph(text, style(8.5)) for text in _row(name, finding)]
        for name, finding in draft.named_findings
    ]
    widths = [0.17, 0.17, 0.13, 0.17, 0.12, 0.11, 0.13]
    table = Table(
        rows,
        colWidths=[WIDTH * width for width in widths],
        repeatRows=1,
        style=TableStyle(
            [
                ("LINEBELOW", (0, 0), (-1, -1), 0.4, LINE),
                ("LEFTPADDING", (0, 0), (-1, -1), 0),
                ("RIGHTPADDING", (0, 0), (-1, -1), 4),
                ("TOPPADDING", (0, 0), (-1, -1), 2),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 3),
                ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ]
        ),
    )
    return [table, Spacer(1, 4 * mm)]


def _row(name: str, finding: Finding) -> list[str]:
    numbers = finding.measurements

    def shown(*keys: str) -> str:
        return next((measurement_text(key, numbers[key]) for key in keys if key in numbers), "–")

    axes = "–"
    if "long_axis_mm" in numbers and "short_axis_mm" in numbers:
        axes = f"{numbers['long_axis_mm']:.1f} × {numbers['short_axis_mm']:.1f} mm"
    probability = "–" if finding.probability is None else f"{finding.probability:.2f}"
    texture = finding.texture.meaning.lower() if finding.texture else "–"
    return [
        name,
        place_text(finding) or "–",
        texture,
        axes,
        shown("volume_mm3", "volume_ml"),
        shown("mean_hu"),
        probability,
    ]


def _pictures(draft: Draft) -> list[Flowable]:
    """Return pictures, three in a row: findings first, then the overview."""
    chosen = [*draft.pictures[1:_MOST_PICTURES], *draft.pictures[:1]]
    if not chosen:
        return []
    size = (WIDTH - 3 * _GAP) / 3
    small = style(7.5, colour=FAINT)
    cells: list[Any] = [
        [Image(_jpeg(picture), width=size, height=size), paragraph(picture.title, small)]
        for picture in chosen
    ]
    rows = [
        cells[start : start + 3] + [""] * (3 - len(cells[start : start + 3]))
        for start in range(0, len(cells), 3)
    ]
    table = Table(
        rows,
        colWidths=[size + _GAP] * 3,
        hAlign="LEFT",
        style=TableStyle(
            [
                ("LEFTPADDING", (0, 0), (-1, -1), 0),
                ("RIGHTPADDING", (0, 0), (-1, -1), 4),
                ("TOPPADDING", (0, 0), (-1, -1), 0),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 4),
            ]
        ),
    )
    return [table, Spacer(1, 3 * mm)]


def _changes(draft: Draft) -> list[Flowable]:
    """Return what has changed, two pairs in a row: then beside now, each with its day."""
    pairs, comparison = draw_pairs(draft), draft.reading.comparison
    if not pairs or comparison is None:
        return []
    size, small = (WIDTH - 4 * _GAP) / 4, style(7.5, colour=FAINT)
    days = (comparison.studied_on or "day unknown", day_text(draft.source.text("StudyDate")))
    cells: list[Any] = []
    for pair in pairs:
        for image, word, day in ((pair.prior, "prior", days[0]), (pair.now, "now", days[1])):
            words = [paragraph(pair.title, small), paragraph(f"{word} {day}", small)]
            cells.append([Image(_png(image), width=size, height=size), *words])
    rows = [
        cells[start : start + 4] + [""] * (4 - len(cells[start : start + 4]))
        for start in range(0, len(cells), 4)
    ]
    padding = [("LEFTPADDING", (0, 0), (-1, -1), 0), ("RIGHTPADDING", (0, 0), (-1, -1), 4)]
    table = Table(rows, colWidths=[size + _GAP] * 4, hAlign="LEFT", style=TableStyle(padding))
    title = paragraph("Change since the prior study", style(10, bold=True, spaceBefore=5, keepWithNext=1))
    return [title, table, Spacer(1, 3 * mm)]


def _png(image: PilImage.Image) -> io.BytesIO:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=6)
    buffer.seek(0)
    return buffer


def _jpeg(picture: Picture) -> io.BytesIO:
    """Return the picture as JPEG, which PDF takes as it is: a tenth of the size, and of the time."""
    image = PilImage.frombytes("RGB", (picture.width, picture.height), picture.rgb)
    buffer = io.BytesIO()
    image.resize((_PICTURE_PIXELS, _PICTURE_PIXELS), PilImage.Resampling.BILINEAR).save(
        buffer, "JPEG", quality=88
    )
    buffer.seek(0)
    return buffer


def _sections(draft: Draft) -> list[Flowable]:
    flow: list[Flowable] = []
    for title, lines in report_sections(draft)[1:]:
        flow.append(paragraph(title, style(10, bold=True, spaceBefore=5, keepWithNext=1)))
        flow.extend(paragraph(line, style(9)) for line in lines)
    return flow
