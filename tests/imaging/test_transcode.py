"""Whole objects in Explicit VR Little Endian: the same but for what decoding changes."""

import hashlib
import io
import struct
import subprocess
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from tests.dicom.small_ct import SmallCt, data_folder, make_enhanced
from tests.hostile.build import (
    DEFLATED,
    deflate_bomb,
    encapsulated,
    encode,
    nested,
    series_of,
    slice_elements,
)
from tests.imaging.objects import COMPRESSED, bits, image, open_file, path_of, read_pixels, saved
from wetread.errors import UndecodablePixels, UnreadableInstance
from wetread.imaging.transcode import to_explicit_little_endian

JPEG_2000 = "1.2.840.10008.1.2.4.90"
PIXEL_DATA, TRAILING_PADDING = 0x7FE00010, 0xFFFCFFFC
#: Without a meta header, broken on purpose, or no DICOM.
NOT_COMPARED = {
    "ExplVR_BigEndNoMeta.dcm",
    "ExplVR_LitEndNoMeta.dcm",
    "JPEG2000-embedded-sequence-delimiter.dcm",
    "meta_missing_tsyntax.dcm",
    "no_meta.dcm",
    "rtplan_truncated.dcm",
    "rtstruct.dcm",
}
COMPARED = sorted(
    path
    for path in path_of("CT_small.dcm").parent.glob("*.dcm")
    if path.name not in NOT_COMPARED | set(COMPRESSED)
)


def transcode(file: BinaryIO) -> Dataset:
    """Return the transcoded object, read by pydicom."""
    ds = dcmread(io.BytesIO(b"".join(to_explicit_little_endian(file))))
    assert ds.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    return ds


def differences(one: Dataset, other: Dataset) -> set[str]:
    """Return the tags of elements that differ in presence, VR or value, pixels apart."""
    found = {str(tag) for tag in one.keys() ^ other.keys() if tag.element and tag != TRAILING_PADDING}
    for tag in (one.keys() & other.keys()) - {PIXEL_DATA}:
        a, b = one[tag], other[tag]
        if a.VR == b.VR == "SQ":
            if len(a.value) != len(b.value):
                found.add(str(tag))
            for left, right in zip(a.value, b.value, strict=False):
                found |= differences(left, right)
        elif a.VR != b.VR or padded(a.value) != padded(b.value):
            found.add(str(tag))
    return found


def padded(value: Any) -> Any:
    return value + bytes(len(value) % 2) if isinstance(value, bytes) else value


@pytest.mark.parametrize("path", COMPARED, ids=lambda path: path.name)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_every_element_is_kept(path: Path) -> None:
    expected = dcmread(path)
    with path.open("rb") as file:
        ds = transcode(file)
    is_converted = expected.get("PhotometricInterpretation", "").startswith("YBR")
    assert differences(expected, ds) <= ({"(0028,0004)"} if is_converted else set())
    for element in expected.file_meta:
        if element.keyword not in {"FileMetaInformationGroupLength", "TransferSyntaxUID"}:
            assert ds.file_meta[element.tag] == element


@pytest.mark.parametrize("name", COMPRESSED)
def test_pixels_are_decoded_and_said_to_be(name: str) -> None:
    expected, pixels = read_pixels(name)
    with open_file(name) as file:
        ds = transcode(file)
    other = ds.pixel_array if len(pixels) > 1 else ds.pixel_array[None]
    assert np.array_equal(other, pixels)
    assert differences(expected, ds) <= {"(0028,0004)", "(0028,2110)"}
    if expected.SamplesPerPixel == 3:
        assert ds.PhotometricInterpretation == "RGB"
        assert ds.PlanarConfiguration == 0
    if "Lossy" in name or "jls_lossy" in name:
        assert ds.LossyImageCompression == "01"


@pytest.mark.parametrize(
    "name",
    [
        "MR_small_bigendian.dcm",
        "MR_small_implicit.dcm",
        "image_dfl.dcm",
        "liver_expb_1frame.dcm",
        "SC_rgb_small_odd_big_endian.dcm",
        "rtplan.dcm",
        "UN_sequence.dcm",
    ],
)
def test_as_dcmtk_converts_it(name: str, tmp_path: Path) -> None:
    converted = tmp_path / "converted.dcm"
    subprocess.run(["dcmconv", "-q", "+te", str(path_of(name)), str(converted)], check=True, timeout=60)
    expected = dcmread(converted)
    with open_file(name) as file:
        ds = transcode(file)
    # DCMTK knows some private elements.
    assert {tag for tag in differences(expected, ds) if int(tag[1:5], 16) % 2 == 0} == set()
    assert ds.get("PixelData") == expected.get("PixelData")


@pytest.mark.parametrize(
    ("tool", "name"),
    [
        ("dcmdrle", "MR_small_RLE.dcm"),
        ("dcmdrle", "SC_rgb_rle_16bit_2frame.dcm"),
        ("dcmdrle", "rtdose_rle.dcm"),
        ("dcmdjpls", "MR_small_jpeg_ls_lossless.dcm"),
        ("dcmdjpls", "JPEGLSNearLossless_16.dcm"),
        ("dcmdjpeg", "SC_rgb_jpeg_gdcm.dcm"),
        ("dcmdjpeg", "JPEG-lossy.dcm"),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_as_dcmtk_decodes_it(tool: str, name: str, tmp_path: Path) -> None:
    decoded = tmp_path / "decoded.dcm"
    subprocess.run([tool, "-q", "+te", str(path_of(name)), str(decoded)], check=True, timeout=60)
    with open_file(name) as file:
        ds, expected = transcode(file), dcmread(decoded)
    assert np.array_equal(ds.pixel_array, expected.pixel_array)
    assert ds.PhotometricInterpretation == expected.PhotometricInterpretation


@pytest.mark.parametrize("number", ["CT1", "CT2"])
def test_real_series_are_the_same_in_all_transfer_syntaxes(number: str) -> None:
    folder = data_folder("dicom_objects") / "jpeg"
    digests = set()
    for kind in ("J2KR", "JLSL", "JPLL", "RLE"):
        with (folder / f"{number}_{kind}").open("rb") as file:
            ds = transcode(file)
        assert len(ds.PixelData) == ds.Rows * ds.Columns * 2
        digests.add(hashlib.sha256(ds.PixelData).hexdigest())
    assert len(digests) == 1


def test_dcmtk_reads_the_result(tmp_path: Path) -> None:
    for name in ("examples_ybr_color.dcm", "MR_small_bigendian.dcm", "reportsi.dcm"):
        path = tmp_path / name
        with open_file(name) as file:
            path.write_bytes(b"".join(to_explicit_little_endian(file)))
        done = subprocess.run(["dcmdump", "-q", str(path)], capture_output=True, timeout=60, check=True)
        assert done.stderr == b""


def test_the_meta_header_is_kept_and_the_preamble_is_not() -> None:
    ds = image(np.zeros((4, 4), np.uint16))
    ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    ds.file_meta.SourceApplicationEntityTitle = "SCANNER"
    ds.preamble = b"MM\0*" + bytes(124)
    data = b"".join(to_explicit_little_endian(saved(ds)))
    assert data[:132] == bytes(128) + b"DICM"
    other = dcmread(io.BytesIO(data))
    assert other.file_meta.SourceApplicationEntityTitle == "SCANNER"
    assert other.file_meta.MediaStorageSOPInstanceUID == ds.SOPInstanceUID
    assert other.file_meta.ImplementationClassUID
    (length,) = struct.unpack("<I", data[140:144])
    assert data[144 + length : 148 + length] == b"\x08\x00\x16\x00"


def test_a_file_without_meta_header_gets_one() -> None:
    with open_file("ExplVR_BigEndNoMeta.dcm") as file:
        ds = transcode(file)
    assert ds.file_meta.MediaStorageSOPInstanceUID == ds.SOPInstanceUID
    assert ds.file_meta.MediaStorageSOPClassUID == ds.SOPClassUID


@pytest.mark.parametrize("is_implicit", [False, True])
def test_sequences_in_sequences(is_implicit: bool) -> None:
    ds = make_enhanced(SmallCt(shape=(5, 4, 4)))
    ds.ReferencedImageSequence = Sequence()
    ds.PerFrameFunctionalGroupsSequence.append(Dataset())
    ds.PerFrameFunctionalGroupsSequence[2].FrameContentSequence = Sequence([Dataset()])
    ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if is_implicit else ExplicitVRLittleEndian
    expected = dcmread(saved(ds))
    other = transcode(saved(ds))
    assert differences(expected, other) == set()
    assert "ReferencedImageSequence" in other
    assert other.PixelData == ds.PixelData


def test_signed_values_stay_signed() -> None:
    ds = image(np.full((4, 4), -5, np.int16), SmallestImagePixelValue=-5, PixelPaddingValue=-2000)
    ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    other = transcode(saved(ds))
    assert (other["SmallestImagePixelValue"].VR, other.SmallestImagePixelValue) == ("SS", -5)
    assert other.PixelPaddingValue == -2000


def test_a_long_text_does_not_break_the_structure() -> None:
    ds = image(np.zeros((4, 4), np.uint16))
    ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    ds.ImageComments = "x" * 70_000
    other = transcode(saved(ds))
    assert other["ImageComments"].value in ("x" * 70_000, b"x" * 70_000)
    assert other.PixelData == ds.PixelData


def test_native_pixels_stay_as_they_are() -> None:
    """Also where the header counts other frames, or frames begin inside of bytes."""
    miscounted = image(np.arange(20, dtype=np.uint16).reshape(4, 5), NumberOfFrames=7)
    for ds in (bits(np.eye(5, 7), np.eye(5, 7)), miscounted):
        ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
        assert transcode(saved(ds)).PixelData == ds.PixelData


def test_decoded_colours_are_by_pixel() -> None:
    pixels = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
    ds = image(pixels)
    ds.compress(RLELossless)
    ds.PlanarConfiguration = 1
    other = transcode(saved(ds))
    assert other.PlanarConfiguration == 0
    assert np.array_equal(other.pixel_array, pixels)


def test_a_compressed_icon_goes() -> None:
    pixels = np.arange(64, dtype=np.uint8).reshape(8, 8)
    ds = image(pixels)
    ds.IconImageSequence = Sequence([image(pixels)])
    del ds.IconImageSequence[0].file_meta
    ds.compress(RLELossless)
    other = transcode(saved(ds))
    assert "IconImageSequence" not in other
    assert np.array_equal(other.pixel_array, pixels)


def test_deflated_is_inflated() -> None:
    ds = make_enhanced(SmallCt(shape=(5, 64, 64)))
    ds.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    other = transcode(saved(ds))
    assert other.PixelData == ds.PixelData
    assert differences(ds, other) == set()


def test_explicit_little_endian_is_the_same_but_for_the_preamble() -> None:
    with open_file("CT_small.dcm") as file:
        data = b"".join(to_explicit_little_endian(file))
    original = path_of("CT_small.dcm").read_bytes()
    assert data[-38_000:] == original[-38_000:]


def test_frames_are_decoded_one_after_the_other() -> None:
    ds = image(np.zeros((30, 64, 64), np.uint8))
    ds.compress(RLELossless)
    largest = max(len(piece) for piece in to_explicit_little_endian(saved(ds)))
    assert largest < 2 * 64 * 64


def test_hostile_files_are_errors_of_the_object() -> None:
    (torn,) = series_of(count=1, pixels=encapsulated(b"\xff\x4f\xff\x51" * 90), syntax=JPEG_2000)
    with pytest.raises(UndecodablePixels):
        next(to_explicit_little_endian(io.BytesIO(torn.part10())))
    (deep,) = series_of(count=1, extra=nested(10_000), syntax=JPEG_2000)
    with pytest.raises(UnreadableInstance):
        next(to_explicit_little_endian(io.BytesIO(deep.part10())))


def test_what_inflates_to_more_than_any_real_object_ends() -> None:
    (bomb,) = series_of(count=1, syntax=DEFLATED)
    assert isinstance(bomb.data, bytes)
    head = encode(slice_elements("1.2", "1.3", 1)) + b"\x99\x00\x01\x10OB\0\0\0\0\0\x7f"
    data = bomb.part10()[: -len(bomb.data)] + deflate_bomb(head, 2000)
    sizes: list[int] = []
    with pytest.raises(UnreadableInstance):
        sizes.extend(len(piece) for piece in to_explicit_little_endian(io.BytesIO(data)))
