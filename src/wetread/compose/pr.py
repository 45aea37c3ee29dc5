"""Outlines and labels on the images as a Grayscale Softcopy Presentation State (PS3.3 A.33.1).

In: a draft with findings.  Out: one presentation state that refers to the marked images only.  Never: pixels.
"""

from __future__ import annotations

from collections.abc import Iterator

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from wetread.compose import header
from wetread.compose.draft import LUNG_WINDOW, Draft
from wetread.compose.outline import Outline, outline_box, outline_plane
from wetread.compose.wording import NOT_FOR_CLINICAL_USE, label_text
from wetread.domain.document import Document, DocumentKind
from wetread.domain.finding import Finding

GRAYSCALE_PRESENTATION_STATE_STORAGE = "1.2.840.10008.5.1.4.1.1.11.1"

#: Window of the lung, HU.
LUNG_WINDOW_CENTER, LUNG_WINDOW_WIDTH = LUNG_WINDOW

_LAYER = "WETREAD"
_LABEL_GAP_PIXELS = 6.0


def compose_pr(draft: Draft) -> tuple[Document, ...]:
    """Return the presentation state, or nothing where nothing is to be drawn."""
    marks = _marks_by_plane(draft)
    if not marks:
        return ()
    ds = header.new_dataset(draft, DocumentKind.PR, 1, GRAYSCALE_PRESENTATION_STATE_STORAGE)
    header.add_body_part(ds, draft)
    ds.ContentLabel = "WETREAD"
    ds.ContentDescription = f"Findings of the wet read, {NOT_FOR_CLINICAL_USE}"[:64]
    ds.PresentationCreationDate, ds.PresentationCreationTime = ds.ContentDate, ds.ContentTime
    del ds.ContentDate, ds.ContentTime  # not in this IOD
    ds.ContentCreatorName = None
    ds.ReferencedSeriesSequence = Sequence([_series_item(draft, list(marks))])
    _add_display(ds, draft)
    layer = Dataset()
    layer.GraphicLayer = _LAYER
    layer.GraphicLayerOrder = 1
    layer.GraphicLayerRecommendedDisplayCIELabValue = [54000, 34000, 51000]
    layer.GraphicLayerDescription = "Findings of the wet read"
    ds.GraphicLayerSequence = Sequence([layer])
    ds.GraphicAnnotationSequence = Sequence([_annotation(draft, plane, marks[plane]) for plane in marks])
    return (header.finish(ds, DocumentKind.PR, "Marks on the images"),)


def _marks_by_plane(draft: Draft) -> dict[int, list[tuple[str, Outline]]]:
    """Return plane -> (text, outline); text only where it belongs."""
    marks: dict[int, list[tuple[str, Outline]]] = {}
    for name, finding in draft.named_findings:
        outlines = tuple(_outlines(draft, finding))
        labelled = _label_outline(finding, outlines)
        for outline in outlines:
            text = label_text(name, finding) if outline is labelled else ""
            marks.setdefault(outline.plane, []).append((text, outline))
    return dict(sorted(marks.items()))


def _outlines(draft: Draft, finding: Finding) -> Iterator[Outline]:
    if finding.segment_number is None:
        yield outline_box(finding.box_lps_mm, finding.key_plane, draft.grid)
        return
    mask = draft.reading.get_segment(finding.segment_number).mask
    for plane in range(mask.offset[0], mask.offset[0] + mask.voxels.shape[0]):
        yield from outline_plane(mask, plane, draft.grid)


def _label_outline(finding: Finding, outlines: tuple[Outline, ...]) -> Outline | None:
    """Return the outline that carries the text: the largest on the key plane."""
    on_key_plane = [outline for outline in outlines if outline.plane == finding.key_plane]
    return max(on_key_plane or outlines, key=lambda one: one.area_mm2, default=None)


def _series_item(draft: Draft, planes: list[int]) -> Dataset:
    item = Dataset()
    item.SeriesInstanceUID = draft.source.series_instance_uid
    item.ReferencedImageSequence = header.instance_items(draft.source.planes[plane] for plane in planes)
    return item


def _add_display(ds: Dataset, draft: Draft) -> None:
    """Show whole images in the window of the Reading; values become HU as in the images."""
    grid = draft.grid
    area = Dataset()
    area.DisplayedAreaTopLeftHandCorner = [1, 1]
    area.DisplayedAreaBottomRightHandCorner = [grid.shape[2], grid.shape[1]]
    area.PresentationSizeMode = "SCALE TO FIT"
    area.PresentationPixelSpacing = [header.decimal(grid.spacing_mm[1]), header.decimal(grid.spacing_mm[2])]
    ds.DisplayedAreaSelectionSequence = Sequence([area])
    ds.RescaleIntercept = draft.source.text("RescaleIntercept") or "0"
    ds.RescaleSlope = draft.source.text("RescaleSlope") or "1"
    ds.RescaleType = "HU"
    window = Dataset()
    window.WindowCenter, window.WindowWidth = draft.window
    window.WindowCenterWidthExplanation = "Lung" if draft.window == LUNG_WINDOW else "Soft tissue"
    ds.SoftcopyVOILUTSequence = Sequence([window])
    inverted = draft.source.text("PhotometricInterpretation") == "MONOCHROME1"
    ds.PresentationLUTShape = "INVERSE" if inverted else "IDENTITY"


def _annotation(draft: Draft, plane: int, marks: list[tuple[str, Outline]]) -> Dataset:
    item = Dataset()
    item.ReferencedImageSequence = Sequence([header.plane_item(draft.source.planes[plane])])
    item.GraphicLayer = _LAYER
    columns = draft.grid.shape[2]
    texts = [_text_item(text, outline, columns) for text, outline in marks if text]
    if texts:
        item.TextObjectSequence = Sequence(texts)
    item.GraphicObjectSequence = Sequence([_graphic_item(outline) for _, outline in marks])
    return item


def _graphic_item(outline: Outline) -> Dataset:
    item = Dataset()
    item.GraphicAnnotationUnits = "PIXEL"
    item.GraphicDimensions = 2
    item.NumberOfGraphicPoints = len(outline.points)
    item.GraphicData = outline.points.ravel().tolist()
    item.GraphicType = "POLYLINE"
    item.GraphicFilled = "N"
    return item


def _text_item(text: str, outline: Outline, columns: int) -> Dataset:
    item = Dataset()
    item.AnchorPointAnnotationUnits = "PIXEL"
    item.UnformattedTextValue = header.long_string(text, 1024)
    right, top = outline.points[:, 0].max(), outline.points[:, 1].min()
    item.AnchorPoint = [float(min(right + _LABEL_GAP_PIXELS, columns)), float(top)]
    item.AnchorPointVisibility = "N"
    return item
