"""The presentation state draws every finding where it is, on the images that show it."""

from __future__ import annotations

import io

import numpy as np
import pydicom

from tests.compose.conftest import Composed
from wetread.domain.document import DocumentKind


def _pr(composed: Composed) -> pydicom.Dataset:
    return pydicom.dcmread(io.BytesIO(composed.of(DocumentKind.PR)[0].data))


def test_every_plane_of_a_finding_has_its_outline(composed: Composed) -> None:
    ds, grid = _pr(composed), composed.reading.grid
    drawn: dict[int, list[np.ndarray]] = {}
    for annotation in ds.GraphicAnnotationSequence:
        plane = grid.sop_instance_uids.index(annotation.ReferencedImageSequence[0].ReferencedSOPInstanceUID)
        drawn[plane] = [
            np.array(graphic.GraphicData).reshape(-1, 2) for graphic in annotation.GraphicObjectSequence
        ]
    masks = [composed.reading.get_segment(number).mask for number in (3, 4, 5)]
    wanted = {plane for mask in masks for plane in range(grid.shape[0]) if mask.plane(plane).any()}
    assert set(drawn) == wanted
    for mask in masks:
        plane = mask.largest_plane
        center = np.argwhere(mask.plane(plane)).mean(axis=0)[::-1] + 0.5
        assert min(np.linalg.norm(points[:-1].mean(axis=0) - center) for points in drawn[plane]) < 0.6
    listed = {one.ReferencedSOPInstanceUID for one in ds.ReferencedSeriesSequence[0].ReferencedImageSequence}
    assert listed == {grid.sop_instance_uids[plane] for plane in wanted}


def test_each_finding_is_named_once_on_its_key_plane(composed: Composed) -> None:
    texts = {
        text.UnformattedTextValue: annotation.ReferencedImageSequence[0].ReferencedSOPInstanceUID
        for annotation in _pr(composed).GraphicAnnotationSequence
        for text in annotation.get("TextObjectSequence", ())
    }
    uids = composed.reading.grid.sop_instance_uids
    assert texts["Nodule 1, 16.0 mm"] == uids[composed.reading.findings[1].key_plane]
    assert len(texts) == 3
    assert any(text.startswith("Right pneumothorax") for text in texts)


def test_it_shows_whole_images_in_the_lung_window(composed: Composed) -> None:
    ds = _pr(composed)
    window = ds.SoftcopyVOILUTSequence[0]
    assert (window.WindowCenter, window.WindowWidth) == (-600, 1500)
    area = ds.DisplayedAreaSelectionSequence[0]
    assert list(area.DisplayedAreaBottomRightHandCorner) == [104, 96]
    assert (ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType) == (-1024, 1, "HU")
