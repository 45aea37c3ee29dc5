"""The report with pictures as PDF, in an Encapsulated PDF object (PS3.3 A.45.1).

In: a draft with pictures.  Out: one document.  Never: mark-up from a name or a message, the present time.
"""

# reportlab has no types.
# mypy: disable-error-code="no-untyped-call,attr-defined"

from __future__ import annotations

import io
from functools import lru_cache
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from PIL import Image as PilImage
from reportlab import rl_config
from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Flowable, Image, Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

from wetread.compose import header
from wetread.compose.draft import Draft, Picture
from wetread.compose.pairs import draw_pairs
from wetread.compose.text import report_sections
from wetread.compose.wording import NOT_FOR_CLINICAL_USE, measurement_text, place_text
from wetread.domain.code import Code
from wetread.domain.document import Document, DocumentKind
from wetread.domain.finding import Finding
from wetread.domain.reading import Priority

ENCAPSULATED_PDF_STORAGE = "1.2.840.10008.5.1.4.1.1.104.1"

_REPORT = Code(value="18748-4", scheme="LN", meaning="Diagnostic imaging study")
_FONT, _BOLD, _WIDE = "WetreadVera", "WetreadVera-Bold", "WetreadWide"
# For Greek, Cyrillic and others, where the machine has it; else such letters are shown as "?".
_WIDE_FONT_PATHS = (
    Path("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"),
    Path("/usr/share/fonts/dejavu-sans-fonts/DejaVuSans.ttf"),
)
# Vera knows Latin letters; for the others the reader's own fonts, which PDF viewers have (PDF 32000 9.7.5.2).
_FONT_BY_SCRIPT = (
    (0x3040, 0x30FF, "HeiseiKakuGo-W5"),
    (0xAC00, 0xD7A3, "HYGothic-Medium"),
    (0x2E80, 0x9FFF, "STSong-Light"),
)
_INK, _FAINT, _LINE, _WARNING = (
    HexColor("#1b2530"),
    HexColor("#5f6b78"),
    HexColor("#d5dbe1"),
    HexColor("#b3261e"),
)
_PRIORITY_COLOURS = {
    Priority.STAT: HexColor("#b3261e"),
    Priority.URGENT: HexColor("#b86e00"),
    Priority.ROUTINE: HexColor("#2e7d4f"),
}
_MARGIN = 16 * mm
_FRAME_PADDING = 6  # points, which reportlab keeps clear within the margins
_WIDTH = A4[0] - 2 * _MARGIN
_MOST_PICTURES = 6
_GAP = 4
_PICTURE_PIXELS = 600


def compose_pdf(draft: Draft) -> tuple[Document, ...]:
    """Return the report as Encapsulated PDF."""
    pdf = render_pdf(draft)
    ds = header.new_dataset(draft, DocumentKind.PDF, 1, ENCAPSULATED_PDF_STORAGE)
    ds.ConversionType = "WSD"
    ds.BurnedInAnnotation = "YES"  # the patient's name is on the page
    ds.AcquisitionDateTime = None
    ds.DocumentTitle = f"Wet read, {NOT_FOR_CLINICAL_USE}"
    ds.ConceptNameCodeSequence = header.code_sequence(_REPORT)
    ds.MIMETypeOfEncapsulatedDocument = "application/pdf"
    shown = [draft.source.planes[one.plane] for one in draft.pictures if one.plane is not None]
    if shown:
        ds.SourceInstanceSequence = header.instance_items(shown)
    ds.EncapsulatedDocumentLength = len(pdf)
    ds.EncapsulatedDocument = pdf + b"\0" * (len(pdf) % 2)
    return (header.finish(ds, DocumentKind.PDF, "PDF report"),)


def render_pdf(draft: Draft) -> bytes:
    """Return the report as a PDF file of A4 pages."""
    _prepare()
    buffer = io.BytesIO()
    template = SimpleDocTemplate(
        buffer,
        pagesize=A4,
        leftMargin=_MARGIN - _FRAME_PADDING,
        rightMargin=_MARGIN - _FRAME_PADDING,
        topMargin=14 * mm,
        bottomMargin=18 * mm,
        title="Wet read",
        author="Wetread",
        invariant=1,  # no time stamp, no random id
    )
    story = [
        *_head(draft),
        *_impression(draft),
        *_findings_table(draft),
        *_changes(draft),
        *_pictures(draft),
        *_sections(draft),
    ]
    model = draft.reading.model
    foot = f"Wetread · {model.name} {model.version} · digest {model.digest[:12]}"

    def decorate(canvas: Canvas, _template: SimpleDocTemplate) -> None:
        _foot(canvas, foot)

    template.build(story, onFirstPage=decorate, onLaterPages=decorate)
    return buffer.getvalue()


@lru_cache(maxsize=1)
def _prepare() -> None:
    """Set reportlab up: fonts, and streams as bytes (as text they cost a quarter of the size and time)."""
    rl_config.useA85 = 0
    pdfmetrics.registerFont(TTFont(_FONT, "Vera.ttf"))
    pdfmetrics.registerFont(TTFont(_BOLD, "VeraBd.ttf"))
    pdfmetrics.registerFontFamily(_FONT, normal=_FONT, bold=_BOLD, italic=_FONT, boldItalic=_BOLD)
    for _, _, name in _FONT_BY_SCRIPT:
        pdfmetrics.registerFont(UnicodeCIDFont(name))
    for path in filter(Path.exists, _WIDE_FONT_PATHS):
        pdfmetrics.registerFont(TTFont(_WIDE, str(path)))
        break


def _style(size: float, *, bold: bool = False, colour: Any = _INK, **more: Any) -> ParagraphStyle:
    return ParagraphStyle(
        f"{size}-{bold}",
        fontName=_BOLD if bold else _FONT,
        fontSize=size,
        leading=size * 1.4,
        textColor=colour,
        **more,
    )


def _paragraph(text: str, style: ParagraphStyle) -> Paragraph:
    return Paragraph(_markup(text), style)


def _markup(text: str) -> str:
    """Return text as inert mark-up; runs of other scripts in a font that has them."""
    known = pdfmetrics.getFont(_FONT).face.charToGlyph
    parts: list[str] = []
    for character in text:
        font = "" if ord(character) in known else _find_script_font(ord(character))
        shown = escape(character) if font or ord(character) in known else "?"
        parts.append(f'<font name="{font}">{shown}</font>' if font else shown)
    return "".join(parts)


def _find_script_font(point: int) -> str:
    for first, last, name in _FONT_BY_SCRIPT:
        if first <= point <= last:
            return name
    has_wide = _WIDE in pdfmetrics.getRegisteredFontNames()
    return _WIDE if has_wide and point in pdfmetrics.getFont(_WIDE).face.charToGlyph else ""


def _head(draft: Draft) -> list[Flowable]:
    source = draft.source
    name = source.text("PatientName").replace("^", " ").replace("=", "  ").strip()
    birth, sex = _day(source.text("PatientBirthDate")), source.text("PatientSex") or "unknown"
    patient = f"ID {source.text('PatientID') or 'unknown'} · born {birth} · sex {sex}"
    visit = f"{_day(source.text('StudyDate'))} · accession {source.text('AccessionNumber') or 'unknown'}"
    identity = [(name or "No name", _style(11, bold=True)), (patient, _style(8, colour=_FAINT))]
    study = [
        (source.text("StudyDescription") or "Study", _style(11, bold=True)),
        (visit, _style(8, colour=_FAINT)),
    ]
    title = Table(
        [
            [
                _paragraph("Wet read", _style(20, bold=True)),
                _paragraph(NOT_FOR_CLINICAL_USE, _style(10, bold=True, colour=_WARNING, alignment=2)),
            ]
        ],
        colWidths=[_WIDTH / 2] * 2,
        style=TableStyle(
            [
                ("VALIGN", (0, 0), (-1, -1), "BOTTOM"),
                ("LEFTPADDING", (0, 0), (0, 0), 0),
                ("RIGHTPADDING", (-1, 0), (-1, 0), 0),
            ]
        ),
    )
    box = Table(
        [[[_paragraph(*line) for line in identity], [_paragraph(*line) for line in study]]],
        colWidths=[_WIDTH / 2] * 2,
        style=TableStyle(
            [
                ("LINEABOVE", (0, 0), (-1, 0), 0.7, _LINE),
                ("LINEBELOW", (0, 0), (-1, 0), 0.7, _LINE),
                ("VALIGN", (0, 0), (-1, -1), "TOP"),
                ("LEFTPADDING", (0, 0), (-1, -1), 0),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 6),
            ]
        ),
    )
    return [title, Spacer(1, 4 * mm), box, Spacer(1, 4 * mm)]


def _day(text: str) -> str:
    """Return a DICOM date as people write it."""
    return f"{text[:4]}-{text[4:6]}-{text[6:]}" if len(text) == 8 else text or "unknown"


def _impression(draft: Draft) -> list[Flowable]:
    """Return the impression beside a bar in the colour of the priority."""
    title, lines = report_sections(draft)[0]
    heading = f"{title} · {draft.reading.triage.priority.value.upper()}"
    paragraphs = [
        _paragraph(heading, _style(11, bold=True)),
        *(_paragraph(line, _style(9.5)) for line in lines),
    ]
    bar = Table(
        [["", paragraph] for paragraph in paragraphs],  # a row each: it may go over a page
        colWidths=[2.5 * mm, _WIDTH - 2.5 * mm],
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
    head = ["Finding", "Place", "Type", "Axes", "Volume", "Density", "Probability"]
    rows = [[_paragraph(text, _style(8, bold=True, colour=_FAINT)) for text in head]]
    rows += [
        [_paragraph(text, _style(8.5)) for text in _row(name, finding)]
        for name, finding in draft.named_findings
    ]
    widths = [0.17, 0.17, 0.13, 0.17, 0.12, 0.11, 0.13]
    table = Table(
        rows,
        colWidths=[_WIDTH * width for width in widths],
        repeatRows=1,
        style=TableStyle(
            [
                ("LINEBELOW", (0, 0), (-1, -1), 0.4, _LINE),
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
    size = (_WIDTH - 3 * _GAP) / 3
    style = _style(7.5, colour=_FAINT)
    cells: list[Any] = [
        [Image(_jpeg(picture), width=size, height=size), _paragraph(picture.title, style)]
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
    size, style = (_WIDTH - 4 * _GAP) / 4, _style(7.5, colour=_FAINT)
    days = (comparison.studied_on or "day unknown", _day(draft.source.text("StudyDate")))
    cells: list[Any] = []
    for pair in pairs:
        for image, word, day in ((pair.prior, "prior", days[0]), (pair.now, "now", days[1])):
            words = [_paragraph(pair.title, style), _paragraph(f"{word} {day}", style)]
            cells.append([Image(_png(image), width=size, height=size), *words])
    rows = [
        cells[start : start + 4] + [""] * (4 - len(cells[start : start + 4]))
        for start in range(0, len(cells), 4)
    ]
    padding = [("LEFTPADDING", (0, 0), (-1, -1), 0), ("RIGHTPADDING", (0, 0), (-1, -1), 4)]
    table = Table(rows, colWidths=[size + _GAP] * 4, hAlign="LEFT", style=TableStyle(padding))
    title = _paragraph("Change since the prior study", _style(10, bold=True, spaceBefore=5, keepWithNext=1))
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
        flow.append(_paragraph(title, _style(10, bold=True, spaceBefore=5, keepWithNext=1)))
        flow.extend(_paragraph(line, _style(9)) for line in lines)
    return flow


def _foot(canvas: Canvas, text: str) -> None:
    canvas.setFont(_FONT, 7)
    canvas.setFillColor(_FAINT)
    canvas.drawString(_MARGIN, 10 * mm, text)
    canvas.drawRightString(
        A4[0] - _MARGIN, 10 * mm, f"{NOT_FOR_CLINICAL_USE} · page {canvas.getPageNumber()}"
    )
