"""Key images show the finding, marked, in the usual orientation."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image

from tests.compose.conftest import Composed
from tests.compose.scene import ORIENTATIONS, make_grid, make_reading, make_source, make_volume
from wetread.compose import compose
from wetread.compose.picture import MOST_KEY_IMAGES, SIZE_PIXELS
from wetread.domain.document import DocumentKind

PICTURE_KINDS = (DocumentKind.SC, DocumentKind.PNG)


def _pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


def test_sc_and_png_are_the_same_pictures(composed: Composed) -> None:
    captures, pngs = composed.of(DocumentKind.SC), composed.of(DocumentKind.PNG)
    titles = ["Overview", "Key image: right pneumothorax", "Key image: nodule 1", "Key image: nodule 2"]
    assert [one.title for one in captures] == [one.title for one in pngs] == titles
    for capture, png in zip(captures, pngs, strict=True):
        ds = pydicom.dcmread(io.BytesIO(capture.data))
        assert ds.pixel_array.shape == (SIZE_PIXELS, SIZE_PIXELS, 3)
        assert np.array_equal(ds.pixel_array, _pixels(png.data))
        assert "NOT FOR CLINICAL USE" in ds.ImageComments
    source = pydicom.dcmread(io.BytesIO(captures[2].data)).SourceImageSequence[0]
    plane = composed.reading.findings[1].key_plane
    assert source.ReferencedSOPInstanceUID == composed.reading.grid.sop_instance_uids[plane]


@pytest.mark.parametrize("name", ORIENTATIONS)
def test_the_mark_is_where_the_patient_has_it(name: str, tmp_path: Path) -> None:
    orientation = ORIENTATIONS[name]
    volume = make_volume(make_grid(orientation, shape=(50, 100, 110), spacing_mm=(5.0, 2.5, 2.5)))
    reading, source = make_reading(volume), make_source(tmp_path, volume, orientation)
    pngs = compose(reading, source, (DocumentKind.PNG,))
    # Nodule 1 lies right and in front of the middle, nodule 2 left and behind it.
    for document, is_left, is_up in ((pngs[2], True, True), (pngs[3], False, False)):
        image = _pixels(document.data).astype(int)
        marked = (abs(image - [255, 196, 61]).sum(axis=2) < 30) & (image[..., 0] > 200)
        rows, columns = np.nonzero(marked)
        core = slice(len(rows) // 10, -len(rows) // 10)
        assert (np.median(np.sort(columns)[core]) < SIZE_PIXELS / 2) == is_left
        # An oblique plane mixes front and head.
        assert name == "oblique" or (np.median(np.sort(rows)[core]) < SIZE_PIXELS / 2 + 20) == is_up


def test_many_findings_make_few_pictures(composed: Composed) -> None:
    findings = composed.reading.findings[1:] * 6
    reading = dataclasses.replace(composed.reading, findings=findings)
    assert len(compose(reading, composed.source, (DocumentKind.PNG,))) == 1 + MOST_KEY_IMAGES


def test_the_largest_findings_are_shown(composed: Composed) -> None:
    small, large = composed.reading.findings[2], composed.reading.findings[1]
    reading = dataclasses.replace(composed.reading, findings=(small,) * MOST_KEY_IMAGES + (large,))
    titles = [one.title for one in compose(reading, composed.source, (DocumentKind.PNG,))]
    assert titles == ["Overview", *["Key image: nodule 2"] * (MOST_KEY_IMAGES - 1), "Key image: nodule 1"]


def test_without_a_volume_there_are_no_pictures(composed: Composed) -> None:
    source = dataclasses.replace(composed.source, volume=None)
    assert compose(composed.reading, source, PICTURE_KINDS) == ()
    assert compose(composed.reading, source, (DocumentKind.PDF,))
