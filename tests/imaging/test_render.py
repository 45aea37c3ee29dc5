"""Pictures: as DCMTK draws them, and as the standard says."""

import io
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from pydicom import Dataset, dcmread

from tests.dicom.small_ct import SmallCt, make_enhanced, make_slice
from tests.hostile.build import series_of, text, us
from tests.imaging.objects import COMPRESSED, bits, image, open_file, path_of, saved
from wetread.errors import NoPixels, NoSuchFrame, UndecodablePixels, UnreadableInstance
from wetread.imaging.display import Shape, Window
from wetread.imaging.lut import make_lut
from wetread.imaging.render import JPEG, PNG, RenderOptions, Viewport, render, thumbnail

AS_PNG = RenderOptions(media_type=PNG)
FRAME = np.arange(256, dtype=np.uint16).reshape(16, 16) * 16


def draw(ds: Dataset, number: int = 1, **options: Any) -> npt.NDArray[Any]:
    """Return the picture of an object."""
    return read(render(saved(ds), number, RenderOptions(media_type=PNG, **options)))


def read(picture: bytes) -> npt.NDArray[Any]:
    return np.asarray(Image.open(io.BytesIO(picture)))


def dcmtk(path: Path, folder: Path, *options: str) -> npt.NDArray[Any]:
    """Return the picture that DCMTK draws."""
    drawn = folder / "drawn.pnm"
    command = ["dcmj2pnm", "-q", *options, str(path), str(drawn)]
    subprocess.run(command, check=True, timeout=60)
    return np.asarray(Image.open(drawn))


def differ_by(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> int:
    assert one.shape == other.shape
    return int(np.abs(one.astype(int) - other.astype(int)).max())


@pytest.mark.parametrize(
    ("name", "options", "tolerance"),
    [
        ("CT_small.dcm", ("+Ww", "40", "400"), 1),
        ("CT_small.dcm", ("+Ww", "-600", "1500"), 1),
        ("MR_small.dcm", ("+Wi", "1"), 1),
        ("MR_small_expb.dcm", ("+Wi", "1"), 1),
        ("examples_palette.dcm", (), 1),
        ("examples_rgb_color.dcm", (), 0),
        ("ExplVR_BigEnd.dcm", (), 0),
        ("SC_rgb_small_odd_big_endian.dcm", (), 0),
        ("SC_ybr_full_422_uncompressed.dcm", (), 1),
        ("SC_rgb_rle.dcm", (), 0),
        ("SC_rgb_rle_16bit.dcm", (), 1),
        ("SC_rgb_jpeg_gdcm.dcm", (), 0),
        ("SC_rgb_dcmtk_+eb+cy+n1.dcm", (), 1),
        ("SC_rgb_dcmtk_+eb+cr.dcm", (), 1),
        ("JPEG-lossy.dcm", ("+Wm",), 1),
        ("image_dfl.dcm", ("+Wm",), 1),
        ("rtdose.dcm", ("+Wm",), 1),
    ],
)
def test_as_dcmtk_draws_it(name: str, options: tuple[str, ...], tolerance: int, tmp_path: Path) -> None:
    window = Window(center=float(options[1]), width=float(options[2])) if options[:1] == ("+Ww",) else None
    with open_file(name) as file:
        drawn = read(render(file, 1, RenderOptions(media_type=PNG, window=window)))
    assert differ_by(drawn, dcmtk(path_of(name), tmp_path, *options)) <= tolerance


@pytest.mark.parametrize("name", ["SC_rgb_dcmtk_+eb+cy+s4.dcm", "examples_ybr_color.dcm"])
def test_subsampled_jpeg_is_much_as_dcmtk_draws_it(name: str, tmp_path: Path) -> None:
    """Both spread the colours over the pixels in ways of their own."""
    with open_file(name) as file:
        drawn = read(render(file, 1, AS_PNG))
    other = dcmtk(path_of(name), tmp_path)
    assert np.abs(drawn.astype(int) - other.astype(int)).mean() < 2


@pytest.mark.parametrize("name", COMPRESSED)
def test_compressed_objects_are_drawn(name: str) -> None:
    ds = dcmread(path_of(name))
    with open_file(name) as file:
        assert read(render(file, 1)).shape[:2] == (ds.Rows, ds.Columns)


def test_monochrome1_is_inverted() -> None:
    window = {"WindowCenter": 2048, "WindowWidth": 4096}
    dark = draw(image(FRAME, **window))
    assert dark[0, 0] < dark[-1, -1]
    assert np.array_equal(draw(image(FRAME, PhotometricInterpretation="MONOCHROME1", **window)), 255 - dark)


def test_rescale_comes_before_the_window() -> None:
    ds = make_slice(SmallCt(stored=np.arange(1000, 1100, dtype=np.int16).reshape(1, 10, 10)), 0)
    ds.WindowCenter, ds.WindowWidth = 0, 2
    drawn = draw(ds)
    # HU -24 to 75
    assert (drawn.ravel()[:24] == 0).all()
    assert (drawn.ravel()[25:] == 255).all()


@pytest.mark.parametrize("shape", list(Shape))
def test_window_functions(shape: Shape) -> None:
    window = Window(center=1000.0, width=500.0, shape=shape)
    x = FRAME.astype(float)
    expected = {
        Shape.LINEAR: (x - 999.5) / 499 + 0.5,
        Shape.LINEAR_EXACT: (x - 1000) / 500 + 0.5,
        Shape.SIGMOID: 1 / (1 + np.exp(-4 * (x - 1000) / 500)),
    }[shape]
    drawn = draw(image(FRAME), window=window)
    assert differ_by(drawn, np.clip(expected, 0, 1) * 255) <= 1
    of_header = image(FRAME, WindowCenter=[1000, 5], WindowWidth=[500, 5], VOILUTFunction=shape.value)
    assert np.array_equal(draw(of_header), drawn)


def lut(first: int, count: int, bits_: int, entries: npt.NDArray[Any]) -> Dataset:
    item = Dataset()
    item.LUTDescriptor = [count, first, bits_]
    item["LUTDescriptor"].VR = "US"
    item.LUTData = entries.astype("<u2").tobytes()
    item["LUTData"].VR = "OW"
    return item


def test_the_window_goes_before_the_table_and_the_table_before_the_range() -> None:
    steps = np.array([0, 4095, 0, 4095])
    ds = image(FRAME, VOILUTSequence=[lut(100, 4, 12, steps)])
    drawn = draw(ds)
    # 0 to 96 are below the first entry, 112 and more above the last.
    assert (drawn.ravel()[:7] == 0).all()
    assert (drawn.ravel()[7:] == 255).all()
    ds.WindowCenter, ds.WindowWidth = 2048, 4096
    assert len(np.unique(draw(ds))) > 200


def test_modality_table() -> None:
    falling = np.arange(4096)[::-1]
    ds = image(FRAME, ModalityLUTSequence=[lut(0, 4096, 12, falling)], RescaleSlope=1, RescaleIntercept=0)
    assert differ_by(draw(ds), 255 - draw(image(FRAME))) <= 1


def test_without_a_window_padding_does_not_spoil_the_contrast() -> None:
    pixels = FRAME.astype(np.int16)
    pixels[0] = -32768
    padded = draw(image(pixels, PixelPaddingValue=-32768))
    assert padded[0].max() == 0
    assert padded[1:].min() == 0
    assert padded.max() == 255
    assert len(np.unique(padded)) > 200


@pytest.mark.parametrize("width", [0, -5, "1e400", ""])
def test_a_window_that_shows_nothing_is_not_used(width: Any) -> None:
    elements = {0x00281050: text(b"DS", "0"), 0x00281051: text(b"DS", str(width))}
    (one,) = series_of(elements, count=1)
    drawn = read(render(io.BytesIO(one.part10()), 1, AS_PNG))
    assert (drawn.min(), drawn.max()) == (0, 255)


@pytest.mark.parametrize("pixels", [np.full((4, 4), 7, np.uint8), np.full((4, 4), np.nan, np.float32)])
def test_an_image_of_one_value_is_black(pixels: npt.NDArray[Any]) -> None:
    ds = image(pixels)
    if pixels.dtype.kind == "f":
        ds.FloatPixelData = ds.PixelData
        del ds.PixelData
    assert draw(ds).max() == 0


def test_unused_bits_are_no_value() -> None:
    window = {"WindowCenter": 2048, "WindowWidth": 4096}
    expected = draw(image(FRAME, **window))
    assert np.array_equal(draw(image(FRAME | 0xF000, BitsStored=12, HighBit=11, **window)), expected)
    assert np.array_equal(draw(image(FRAME << 4, BitsStored=12, HighBit=15, **window)), expected)


def test_the_sign_is_that_of_the_stored_bits() -> None:
    """Twelve bits whose highest is the sign, and nothing of it in the others."""
    stored = (FRAME.astype(np.int16) - 2048) & 0x0FFF
    drawn = draw(image(stored, BitsStored=12, HighBit=11, WindowCenter=0, WindowWidth=4096))
    assert np.array_equal(drawn, draw(image(FRAME, WindowCenter=2048, WindowWidth=4096)))


def test_large_numbers() -> None:
    pixels = np.linspace(0, 2**32 - 1, 256).astype(np.uint32).reshape(16, 16)
    assert np.array_equal(draw(image(pixels)).ravel(), np.arange(256))
    assert draw(image(np.full((2, 2), 2**32 - 1, np.uint32))).max() == 0


def test_frames_have_their_own_windows_and_rescale() -> None:
    ds = make_enhanced(SmallCt(shape=(3, 8, 10)))
    for number, frame in enumerate(ds.PerFrameFunctionalGroupsSequence):
        voi = Dataset()
        voi.WindowCenter, voi.WindowWidth = 100 * number, 50
        frame.FrameVOILUTSequence = [voi]
        frame.PixelValueTransformationSequence[0].RescaleIntercept = 10 * number
    for number in range(3):
        stored = np.frombuffer(ds.PixelData, "<i2").reshape(3, 8, 10)[number]
        share = (stored + 10 * number - (100 * number - 0.5)) / 49 + 0.5
        assert differ_by(draw(ds, number + 1), np.clip(share, 0, 1) * 255) <= 1


def test_a_window_for_all_frames() -> None:
    ds = make_enhanced(SmallCt(shape=(3, 8, 10)))
    voi = Dataset()
    voi.WindowCenter, voi.WindowWidth = -900, 100
    ds.SharedFunctionalGroupsSequence[0].FrameVOILUTSequence = [voi]
    # What stands outside of the functional groups is not meant for the frames.
    ds.WindowCenter, ds.WindowWidth = 5000, 1
    drawn = draw(ds, 2, window=Window(center=-900, width=100))
    assert np.array_equal(draw(ds, 2), drawn)
    assert 0 < drawn.mean() < 255


def test_segments_are_white_on_black() -> None:
    mask = np.eye(5, 7, dtype=np.uint8)
    drawn = draw(bits(1 - mask, mask, mask), 2)
    assert np.array_equal(drawn, mask * 255)


def test_fractional_segments_keep_their_scale() -> None:
    drawn = draw(image(np.array([[0, 64, 128]], np.uint8), MaximumFractionalValue=255))
    assert drawn.tolist() == [[0, 64, 128]]


def test_planar_colours() -> None:
    pixels = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
    planar = image(pixels, PlanarConfiguration=1, PixelData=pixels.transpose(2, 0, 1).tobytes())
    assert np.array_equal(draw(planar), pixels)


def test_pixels_that_share_their_colours() -> None:
    # Y1, Y2, Cb, Cr: grey of two kinds, then red.
    ds = image(np.zeros((1, 4, 3), np.uint8), PhotometricInterpretation="YBR_FULL_422")
    ds.PixelData = bytes([10, 200, 128, 128, 76, 76, 85, 255])
    assert draw(ds).tolist() == [[[10, 10, 10], [200, 200, 200], [254, 0, 0], [254, 0, 0]]]


def test_deep_colours_become_shallow() -> None:
    pixels = np.arange(4 * 5 * 3, dtype=np.uint16).reshape(4, 5, 3) * 60
    assert np.array_equal(draw(image(pixels, BitsStored=12, HighBit=11)), pixels >> 4)


@pytest.mark.parametrize("photometric", ["CMYK", "HSV", "YBR_PARTIAL_420", "PALETTE COLOR"])
def test_colours_that_are_not_shown(photometric: str) -> None:
    pixels = np.zeros((4, 4) if photometric.startswith("P") else (4, 4, 3), np.uint8)
    size = 24 if photometric.endswith("420") else 48
    with pytest.raises(UndecodablePixels):
        draw(image(pixels, PhotometricInterpretation=photometric, PixelData=bytes(size)))


def palette(ds: Dataset, data: bytes, count: int, prefix: str = "") -> Dataset:
    ds.PhotometricInterpretation = "PALETTE COLOR"
    for colour in ("Red", "Green", "Blue"):
        setattr(ds, f"{colour}PaletteColorLookupTableDescriptor", [count, 0, 16])
        ds[f"{colour}PaletteColorLookupTableDescriptor"].VR = "US"
        setattr(ds, f"{prefix}{colour}PaletteColorLookupTableData", data)
    return ds


def test_segmented_palette() -> None:
    # 2 entries as they are, then 254 on a line to 65535.
    data = np.array([0, 2, 0, 257, 1, 254, 65535], "<u2").tobytes()
    ds = palette(image(np.arange(256, dtype=np.uint8).reshape(16, 16)), data, 256, "Segmented")
    assert np.array_equal(draw(ds)[..., 1].ravel(), np.arange(256))


@pytest.mark.parametrize("prefix", ["", "Segmented"])
def test_a_table_that_is_too_short(prefix: str) -> None:
    with pytest.raises(UndecodablePixels, match="shorter"):
        draw(palette(image(FRAME), bytes(4), 0, prefix))
    with pytest.raises(UndecodablePixels, match="shorter"):
        draw(image(FRAME, VOILUTSequence=[lut(0, 4096, 12, np.zeros(7))]))


def test_a_segmented_table_does_not_grow_beyond_its_entries() -> None:
    line = np.array([1, 65535, 9] * 100_000, "<u2").tobytes()
    data = np.array([0, 1, 5], "<u2").tobytes() + line
    made = make_lut(b"\0\1\0\0\x10\0", data, is_little_endian=True, is_signed=False, is_segmented=True)
    assert len(made.entries) == 256


def size_of(ds: Dataset, **options: Any) -> tuple[int, ...]:
    return draw(ds, **options).shape[1::-1]


@pytest.mark.parametrize(
    ("spacing", "expected"),
    [
        ((1, 1), (100, 50)),
        ((2, 1), (100, 100)),
        ((4, 1), (50, 100)),
        ((0.25, 1), (100, 12)),
        ((0, 1), (100, 50)),
    ],
)
def test_a_viewport_is_filled_and_keeps_the_shape(
    spacing: tuple[float, float], expected: tuple[int, int]
) -> None:
    ds = image(np.zeros((200, 400), np.uint8), PixelSpacing=list(spacing))
    assert size_of(ds, viewport=Viewport(width=100, height=100)) == expected
    assert size_of(ds) == (400, 200)


def test_a_small_image_is_made_larger() -> None:
    assert size_of(image(FRAME), viewport=Viewport(width=64, height=100)) == (64, 64)


def test_aspect_ratio_without_spacing() -> None:
    ds = image(np.zeros((100, 100), np.uint8), PixelAspectRatio=[1, 2])
    assert size_of(ds, viewport=Viewport(width=100, height=100)) == (100, 50)


def test_a_region_is_cut_out_and_turned_over() -> None:
    pixels = np.arange(64, dtype=np.uint8).reshape(8, 8)
    ds = image(pixels, WindowCenter=128, WindowWidth=256)
    part = draw(ds)[2:6, 1:5]
    for region, expected in (
        ((1.0, 2.0, 4.0, 4.0), part),
        ((1.0, 2.0, -4.0, 4.0), part[:, ::-1]),
        ((1.0, 2.0, 4.0, -4.0), part[::-1]),
    ):
        viewport = Viewport(width=4, height=4, region=region)
        assert np.array_equal(draw(ds, viewport=viewport), expected)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Viewport(width=0, height=5),
        lambda: Viewport(width=100_000, height=5),
        lambda: Viewport(width=5, height=5, region=(0, 0, 0, 5)),
        lambda: Window(center=0, width=0),
        lambda: Window(center=float("nan"), width=5),
        lambda: Window(center=0, width=0, shape=Shape.SIGMOID),
    ],
)
def test_what_would_show_nothing_is_no_option(make: Callable[[], object]) -> None:
    with pytest.raises(ValueError):
        make()


def test_a_region_outside_of_the_image() -> None:
    with pytest.raises(ValueError):
        draw(image(FRAME), viewport=Viewport(width=5, height=5, region=(100, 100, 5, 5)))


def test_quality_is_that_of_jpeg() -> None:
    rough, fine = (
        render(saved(image(FRAME)), 1, RenderOptions(media_type=JPEG, quality=quality)) for quality in (5, 95)
    )
    assert rough[:2] == fine[:2] == b"\xff\xd8"
    assert len(rough) < len(fine)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_thumbnail_shows_the_middle(count: int) -> None:
    pixels = np.zeros((count, 200, 100), np.uint8)
    pixels[(count - 1) // 2] = np.linspace(0, 255, 20000).astype(np.uint8).reshape(200, 100)
    small = read(thumbnail(saved(image(pixels))))
    assert small.shape == (128, 64)
    assert small.max() > 200


def test_no_picture_of_a_report() -> None:
    with open_file("reportsi.dcm") as file:
        for make in (lambda: render(file, 1), lambda: thumbnail(file)):
            with pytest.raises(NoPixels):
                make()


def test_no_picture_of_a_frame_that_does_not_exist() -> None:
    with pytest.raises(NoSuchFrame):
        draw(image(FRAME), 2)


@pytest.mark.parametrize(
    "elements",
    [
        {0x00280010: us(65535), 0x00280011: us(65535)},
        {0x00280010: us(0)},
        {0x00280100: us(12)},
        {0x00280101: us(40)},
        {0x00280102: us(3)},
        {0x00280002: us(7)},
        {0x00280010: (b"UL", b"\x10\0\1\0")},
        {0x00280008: text(b"IS", "2147483647"), 0x00280010: us(65535), 0x00280011: us(65535)},
    ],
)
def test_headers_that_lie(elements: dict[int, tuple[bytes, bytes]]) -> None:
    (one,) = series_of(elements, count=1)
    if 0x00280102 in elements:
        (one,) = series_of({**elements, 0x00280101: us(12)}, count=1)
    with pytest.raises((UndecodablePixels, UnreadableInstance)):
        render(io.BytesIO(one.part10()), 1)


@pytest.mark.parametrize("number", ["NaN", "inf", "1e400", "1e308", "1e-300", "9" * 400, "abc", "0"])
@pytest.mark.parametrize("tag", [0x00281053, 0x00281052, 0x00281050, 0x00280030])
def test_numbers_that_are_none_do_no_harm(number: str, tag: int) -> None:
    elements = {0x00281051: text(b"DS", "100"), tag: text(b"DS", number)}
    (one,) = series_of(elements, count=1)
    assert thumbnail(io.BytesIO(one.part10()))
