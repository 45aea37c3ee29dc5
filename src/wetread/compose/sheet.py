"""Sheets of A4 for people: letters, head, foot.

In: what stands on them.  Out: the bytes of a PDF file, the same every time.
Never: mark-up from a name or a message, the present time.
"""

# reportlab has no types.
# mypy: disable-error-code="no-untyped-call,attr-defined"

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from reportlab import rl_config
from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Flowable, Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

from wetread.compose.source import Source

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
INK, FAINT, LINE, WARNING = (
    HexColor("#1b2530"),
    HexColor("#5f6b78"),
    HexColor("#d5dbe1"),
    HexColor("#b3261e"),
)
_MARGIN = 16 * mm
_FRAME_PADDING = 6  # points, which reportlab keeps clear within the margins
WIDTH = A4[0] - 2 * _MARGIN


def build_pdf(story: Sequence[Flowable], *, title: str, foot: str, note: str) -> bytes:
    """Return a PDF file of A4 pages.

    Parameters
    ----------
    foot, note
        What stands at the end of each page, left and right.
    """
    _prepare()
    buffer = io.BytesIO()
    template = SimpleDocTemplate(
        buffer,
        pagesize=A4,
        leftMargin=_MARGIN - _FRAME_PADDING,
        rightMargin=_MARGIN - _FRAME_PADDING,
        topMargin=14 * mm,
        bottomMargin=18 * mm,
        title=title,
        author="Wetread",
        invariant=1,  # no time stamp, no random id
    )

    def decorate(canvas: Canvas, _template: SimpleDocTemplate) -> None:
        canvas.setFont(_FONT, 7)
        canvas.setFillColor(FAINT)
        canvas.drawString(_MARGIN, 10 * mm, foot)
        canvas.drawRightString(A4[0] - _MARGIN, 10 * mm, f"{note} · page {canvas.getPageNumber()}")

    template.build(list(story), onFirstPage=decorate, onLaterPages=decorate)
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


def style(size: float, *, bold: bool = False, colour: Any = INK, **more: Any) -> ParagraphStyle:
    """Return how letters look; ``size`` in points."""
    return ParagraphStyle(
        f"{size}-{bold}",
        fontName=_BOLD if bold else _FONT,
        fontSize=size,
        leading=size * 1.4,
        textColor=colour,
        **more,
    )


def paragraph(text: str, look: ParagraphStyle) -> Paragraph:
    """Return text as it is, whatever is in it."""
    return Paragraph(_markup(text), look)


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


def head(source: Source, title: str, note: tuple[str, Any]) -> list[Flowable]:
    """Return who and what it is about.

    Parameters
    ----------
    note
        What stands beside the title, and its colour.
    """
    _prepare()
    name = source.text("PatientName").replace("^", " ").replace("=", "  ").strip()
    birth, sex = day_text(source.text("PatientBirthDate")), source.text("PatientSex") or "unknown"
    patient = f"ID {source.text('PatientID') or 'unknown'} · born {birth} · sex {sex}"
    visit = f"{day_text(source.text('StudyDate'))} · accession {source.text('AccessionNumber') or 'unknown'}"
    identity = [(name or "No name", style(11, bold=True)), (patient, style(8, colour=FAINT))]
    study = [
        (source.text("StudyDescription") or "Study", style(11, bold=True)),
        (visit, style(8, colour=FAINT)),
    ]
    top = Table(
        [
            [
                paragraph(title, style(20, bold=True)),
                paragraph(note[0], style(10, bold=True, colour=note[1], alignment=2)),
            ]
        ],
        colWidths=[WIDTH / 2] * 2,
        style=TableStyle(
            [
                ("VALIGN", (0, 0), (-1, -1), "BOTTOM"),
                ("LEFTPADDING", (0, 0), (0, 0), 0),
                ("RIGHTPADDING", (-1, 0), (-1, 0), 0),
            ]
        ),
    )
    box = Table(
        [[[paragraph(*line) for line in identity], [paragraph(*line) for line in study]]],
        colWidths=[WIDTH / 2] * 2,
        style=TableStyle(
            [
                ("LINEABOVE", (0, 0), (-1, 0), 0.7, LINE),
                ("LINEBELOW", (0, 0), (-1, 0), 0.7, LINE),
                ("VALIGN", (0, 0), (-1, -1), "TOP"),
                ("LEFTPADDING", (0, 0), (-1, -1), 0),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 6),
            ]
        ),
    )
    return [top, Spacer(1, 4 * mm), box, Spacer(1, 4 * mm)]


def day_text(text: str) -> str:
    """Return a DICOM date as people write it."""
    return f"{text[:4]}-{text[4:6]}-{text[6:]}" if len(text) == 8 else text or "unknown"
