"""Single frames, as they are stored and decoded."""

import io
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from pydicom import dcmread
from pydicom.encaps import encapsulate, encapsulate_extended, generate_frames
from pydicom.pixels.utils import pixel_array
from pydicom.uid import DeflatedExplicitVRLittleEndian, RLELossless

from tests.dicom.small_ct import SmallCt, make_enhanced
from tests.hostile.build import Object, element, encapsulated, series_of, text
from tests.imaging.objects import COMPRESSED, NATIVE, bits, image, open_file, path_of, read_pixels, saved
from wetread.errors import NoPixels, NoSuchFrame, UndecodablePixels, UnreadableInstance
from wetread.imaging.frames import iter_frames
from wetread.imaging.layout import Layouts, read_layout
from wetread.imaging.stored import to_array
from wetread.store.blobs import Blobs
from wetread.store.cipher import Vault
from wetread.store.keys import Keyring

JPEG_LOSSLESS, J2K, EXPLICIT = "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.1"
NUMBER_OF_FRAMES = 0x00280008


def open_object(one: Object) -> io.BytesIO:
    return io.BytesIO(one.part10())


@pytest.mark.parametrize("name", [*NATIVE, *COMPRESSED])
def test_decoded_frames_are_those_of_pydicom(name: str) -> None:
    _, expected = read_pixels(name)
    with open_file(name) as file:
        layout = read_layout(file)
        frames = list(iter_frames(file, None, is_decoded=True))
    assert [frame.number for frame in frames] == list(range(1, len(expected) + 1))
    assert {frame.transfer_syntax_uid for frame in frames} == {EXPLICIT}
    for frame, pixels in zip(frames, expected, strict=True):
        is_shared = frame.photometric == "YBR_FULL_422"
        assert np.array_equal(to_array(frame.data, layout), read_raw_422(name) if is_shared else pixels)


def read_raw_422(name: str) -> npt.NDArray[Any]:
    """pydicom gives RGB, frames are as they are stored."""
    return pixel_array(path_of(name), raw=True)


@pytest.mark.parametrize("name", ["JPEG-lossy.dcm", "SC_rgb_rle_2frame.dcm", "examples_ybr_color.dcm"])
def test_stored_frames_are_the_code_streams(name: str) -> None:
    ds = dcmread(path_of(name))
    expected = list(generate_frames(ds.PixelData, number_of_frames=int(ds.NumberOfFrames)))
    with open_file(name) as file:
        frames = list(iter_frames(file, None))
    assert [frame.data for frame in frames] == expected
    assert {frame.transfer_syntax_uid for frame in frames} == {ds.file_meta.TransferSyntaxUID}


def test_frames_come_in_the_order_in_which_they_are_asked_for() -> None:
    pixels = np.arange(5 * 2 * 4, dtype=np.uint16).reshape(5, 2, 4)
    frames = list(iter_frames(saved(image(pixels)), [4, 1, 4]))
    assert [frame.data for frame in frames] == [pixels[n].tobytes() for n in (3, 0, 3)]


def test_frames_of_one_bit_begin_inside_of_bytes() -> None:
    rng = np.random.default_rng(4)
    masks = [rng.integers(0, 2, (5, 7)) for _ in range(4)]
    for frame, mask in zip(iter_frames(saved(bits(*masks)), None), masks, strict=True):
        assert frame.data == np.packbits(mask.ravel().astype(np.uint8), bitorder="little").tobytes()


@pytest.mark.parametrize(
    ("big", "little"),
    [
        ("SC_rgb_small_odd_big_endian.dcm", "SC_rgb_small_odd.dcm"),
        ("liver_expb_1frame.dcm", "liver_1frame.dcm"),
        ("rtdose_expb.dcm", "rtdose.dcm"),
        ("MR_small_expb.dcm", "MR_small.dcm"),
    ],
)
def test_big_endian_is_turned_around(big: str, little: str) -> None:
    with open_file(big) as one, open_file(little) as other:
        assert [f.data for f in iter_frames(one, None)] == [f.data for f in iter_frames(other, None)]


def test_odd_frames_in_big_endian_words() -> None:
    ds = image(np.arange(3 * 5, dtype=np.uint8).reshape(3, 1, 5))
    little = [frame.data for frame in iter_frames(saved(ds), None)]
    data = ds.PixelData
    swapped = np.frombuffer(data, "<u2").byteswap().tobytes()
    head = b"".join(
        struct.pack(">HH2sHH", 0x0028, number, b"US", 2, value)
        for number, value in ((0x0010, 1), (0x0011, 5), (0x0100, 8), (0x0101, 8), (0x0102, 7), (0x0103, 0))
    )
    frames = struct.pack(">HH2sH2s", 0x0028, 0x0008, b"IS", 2, b"3 ")
    body = frames + head + struct.pack(">HH2sHI", 0x7FE0, 0x0010, b"OW", 0, len(swapped)) + swapped
    meta = element(0x00020010, b"UI", b"1.2.840.10008.1.2.2\0")
    file = io.BytesIO(bytes(128) + b"DICM" + meta + body)
    assert [frame.data for frame in iter_frames(file, [2, 3, 1])] == [little[n] for n in (1, 2, 0)]


def test_deflated_frames_in_any_order() -> None:
    pixels = np.arange(4 * 64 * 64, dtype=np.uint16).reshape(4, 64, 64)
    ds = image(pixels)
    ds.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    frames = iter_frames(saved(ds), [3, 1, 4])
    assert [frame.data for frame in frames] == [pixels[n].tobytes() for n in (2, 0, 3)]


def compressed(count: int = 3) -> tuple[list[bytes], list[Object]]:
    ds = dcmread(path_of("MR_small_jp2klossless.dcm"))
    stream = next(iter(generate_frames(ds.PixelData, number_of_frames=1)))
    # Told apart by their padding.
    streams = [stream + bytes(2 * n) for n in range(count)]
    return streams, series_of({NUMBER_OF_FRAMES: text(b"IS", str(count))}, count=1)


def test_fragments_without_a_table_are_told_apart_by_their_beginning() -> None:
    streams, _ = compressed()
    pieces = [part for one in streams for part in (one[:1000], one[1000:2000], one[2000:])]
    (one,) = series_of(
        {NUMBER_OF_FRAMES: text(b"IS", "3")}, count=1, pixels=encapsulated(*pieces), syntax=J2K
    )
    assert [frame.data for frame in iter_frames(open_object(one), None)] == streams
    assert next(iter_frames(open_object(one), [2])).data == streams[1]


def test_all_fragments_are_the_one_frame() -> None:
    streams, _ = compressed(1)
    pieces = [streams[0][:1000], streams[0][1000:]]
    (one,) = series_of(count=1, pixels=encapsulated(*pieces), syntax=J2K)
    (frame,) = iter_frames(open_object(one), None)
    assert frame.data == streams[0]


@pytest.mark.parametrize("table", [(0, 1, 2), (4, 8, 12), (0, 0xFFFFFFF0, 5), (0,), ()])
def test_a_table_that_lies_is_not_believed(table: tuple[int, ...]) -> None:
    streams, _ = compressed()
    pixels = encapsulated(*streams, table=struct.pack(f"<{len(table)}I", *table))
    (one,) = series_of({NUMBER_OF_FRAMES: text(b"IS", "3")}, count=1, pixels=pixels, syntax=J2K)
    if table == (0, 1, 2):  # it grows, but there is no fragment
        with pytest.raises(UnreadableInstance):
            list(iter_frames(open_object(one), [2]))
    else:
        assert [frame.data for frame in iter_frames(open_object(one), None)] == streams


@pytest.mark.parametrize("is_extended", [False, True])
def test_offset_tables_lead_to_the_frame_alone(is_extended: bool) -> None:
    streams = [bytes([n]) * 1000 for n in range(50)]
    ds = image(np.zeros((50, 4, 4), np.uint8))
    ds.file_meta.TransferSyntaxUID = RLELossless
    if is_extended:
        ds.PixelData, ds.ExtendedOffsetTable, ds.ExtendedOffsetTableLengths = encapsulate_extended(streams)
    else:
        ds.PixelData = encapsulate(streams, fragments_per_frame=2)
    ds["PixelData"].is_undefined_length = True
    file = Counting(saved(ds).getvalue())
    layout = read_layout(file)
    file.count = 0
    (frame,) = iter_frames(file, [37], layout=layout)
    assert frame.data == streams[36]
    assert file.count < 2500


class Counting(io.BytesIO):
    """Counts what is read."""

    count = 0

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        self.count += len(data)
        return data


def test_a_frame_of_an_enhanced_object_is_had_without_its_functional_groups() -> None:
    ct = SmallCt(shape=(300, 4, 4))
    file = Counting(saved(make_enhanced(ct)).getvalue())
    (frame,) = iter_frames(file, [1])
    assert frame.data == ct.voxels()[-1].tobytes()
    # A buffer or two, of a file that is mostly functional groups.
    assert file.count < 4000 < len(file.getvalue()) // 10


@pytest.mark.parametrize("is_undefined", [False, True])
def test_functional_groups_of_unknown_length_are_looked_through(is_undefined: bool) -> None:
    ct = SmallCt(shape=(5, 4, 4))
    ds = make_enhanced(ct)
    ds["PerFrameFunctionalGroupsSequence"].is_undefined_length = True
    ds.PerFrameFunctionalGroupsSequence[2].is_undefined_length_sequence_item = is_undefined
    frames = list(iter_frames(saved(ds), None))
    assert [frame.data for frame in frames] == [plane.tobytes() for plane in ct.voxels()[::-1]]


def test_what_was_found_once_is_not_looked_for_again() -> None:
    layouts = Layouts(size=2)
    file = Counting(saved(make_enhanced(SmallCt(shape=(5, 4, 4)))).getvalue())
    first = layouts.find("a", file)
    file.count = 0
    assert layouts.find("a", file) is first
    assert file.count == 0
    for key in ("b", "a", "c"):
        layouts.find(key, file)
    file.count = 0
    layouts.find("a", file)
    assert file.count == 0
    layouts.find("b", file)
    assert file.count > 0


def test_trailing_padding_does_not_lead_astray() -> None:
    with open_file("MR_small.dcm") as file:
        expected = next(iter_frames(file, [1])).data
        file.seek(0)
        data = file.read()
    padded = data + element(0xFFFCFFFC, b"OB", bytes(100))
    assert next(iter_frames(io.BytesIO(padded), [1])).data == expected


def test_a_frame_that_does_not_exist() -> None:
    for number in (0, 4, -1):
        with pytest.raises(NoSuchFrame) as raised:
            next(iter_frames(saved(image(np.zeros((3, 2, 2), np.uint8))), [1, number]))
        assert raised.value.facts["frames"] == 3


def test_an_object_without_pixels() -> None:
    with open_file("reportsi.dcm") as file, pytest.raises(NoPixels):
        next(iter_frames(file, None))


@pytest.mark.parametrize("count", ["7", "1000000000", "2147483647"])
def test_fewer_frames_than_the_header_counts(count: str) -> None:
    (one,) = series_of({NUMBER_OF_FRAMES: text(b"IS", count)}, count=1)
    assert len(next(iter_frames(open_object(one), [1])).data) == 512
    with pytest.raises(UnreadableInstance):
        next(iter_frames(open_object(one), [2]))
    with pytest.raises(UnreadableInstance):
        next(iter_frames(open_object(one), None))


@pytest.mark.parametrize("count", ["0", "-1", "", "1A"])
def test_a_count_that_is_none_is_one(count: str) -> None:
    (one,) = series_of({NUMBER_OF_FRAMES: text(b"IS", count)}, count=1)
    assert len(list(iter_frames(open_object(one), None))) == 1


def test_fewer_fragments_than_the_header_counts() -> None:
    streams, _ = compressed(2)
    pixels = encapsulated(*streams)
    (one,) = series_of({NUMBER_OF_FRAMES: text(b"IS", "5")}, count=1, pixels=pixels, syntax=J2K)
    with pytest.raises(UnreadableInstance):
        next(iter_frames(open_object(one), [1]))


@pytest.mark.parametrize("cut", [1, 100, 515])
def test_cut_short(cut: int) -> None:
    (one,) = series_of(count=1)
    data = one.part10()
    with pytest.raises(UnreadableInstance):
        next(iter_frames(io.BytesIO(data[: -cut - 1]), [1]))


def test_hostile_code_streams_are_errors_of_the_object() -> None:
    for pixels in (
        encapsulated(),
        encapsulated(b"\xff", b"", b"\xd8"),
        encapsulated(b"\xff\x4f\xff\x51" * 90),
    ):
        (one,) = series_of(count=1, pixels=pixels, syntax=J2K)
        with pytest.raises(UndecodablePixels):
            next(iter_frames(open_object(one), [1], is_decoded=True))


@pytest.fixture
def sealed(tmp_path: Path) -> Iterator[io.BufferedIOBase]:
    vault = Vault(tmp_path, Keyring(b"k" * 32))
    blobs = Blobs(tmp_path / "instances", vault, ".dcm")
    blobs.write("a", saved(image(np.arange(40 * 64 * 64, dtype=np.uint32).reshape(40, 64, 64))).getvalue())
    with vault.open(blobs.path("a")) as file:
        yield file  # type: ignore[misc]


def test_an_encrypted_file(sealed: io.BufferedReader) -> None:
    (frame,) = iter_frames(sealed, [33])
    assert frame.data == np.arange(32 * 4096, 33 * 4096, dtype=np.uint32).tobytes()
