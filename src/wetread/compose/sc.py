"""Key images as Secondary Capture (PS3.3 A.8), and the same pictures as PNG.

In: a draft with pictures.  Out: one RGB image for each.  Never: other pixels than the PNG has.
"""

from __future__ import annotations

import io

from PIL import Image
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from wetread.compose import header
from wetread.compose.draft import Draft, Picture
from wetread.compose.wording import NOT_FOR_CLINICAL_USE
from wetread.domain.code import Code
from wetread.domain.document import Document, DocumentKind

SECONDARY_CAPTURE_STORAGE = "1.2.840.10008.5.1.4.1.1.7"

_KEY_IMAGE = Code(value="121322", scheme="DCM", meaning="Source image for image processing operation")


def compose_sc(draft: Draft) -> tuple[Document, ...]:
    """Return a Secondary Capture for each picture."""
    return tuple(
        _secondary_capture(draft, ordinal, picture) for ordinal, picture in enumerate(draft.pictures, start=1)
    )


def compose_png(draft: Draft) -> tuple[Document, ...]:
    """Return each picture as PNG."""
    return tuple(
        draft.plain_document(DocumentKind.PNG, ordinal, picture.title, _encode_png(picture))
        for ordinal, picture in enumerate(draft.pictures, start=1)
    )


def _secondary_capture(draft: Draft, ordinal: int, picture: Picture) -> Document:
    ds = header.new_dataset(draft, DocumentKind.SC, ordinal, SECONDARY_CAPTURE_STORAGE)
    header.add_body_part(ds, draft)
    ds.ConversionType = "WSD"
    ds.DateOfSecondaryCapture, ds.TimeOfSecondaryCapture = ds.ContentDate, ds.ContentTime
    ds.ImageType = ["DERIVED", "SECONDARY"]
    ds.ImageComments = f"{picture.title}. {NOT_FOR_CLINICAL_USE}."
    ds.DerivationDescription = "Key image of the wet read"
    ds.BurnedInAnnotation = "NO"  # of the patient: only the finding is named
    ds.LossyImageCompression = "00"
    ds.PatientOrientation = None
    if picture.plane is not None:
        ds.SourceImageSequence = Sequence([_source_item(draft, picture.plane)])
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = 3, "RGB", 0
    ds.Rows, ds.Columns = picture.height, picture.width
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
    ds.PixelData = picture.rgb + b"\0" * (len(picture.rgb) % 2)
    ds["PixelData"].VR = "OB"
    return header.finish(ds, DocumentKind.SC, picture.title)


def _encode_png(picture: Picture) -> bytes:
    buffer = io.BytesIO()
    image = Image.frombytes("RGB", (picture.width, picture.height), picture.rgb)
    # Level 1: a fifth larger than level 6 and three times as fast.
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _source_item(draft: Draft, plane: int) -> Dataset:
    item = header.plane_item(draft.source.planes[plane])
    item.PurposeOfReferenceCodeSequence = header.code_sequence(_KEY_IMAGE)
    return item
