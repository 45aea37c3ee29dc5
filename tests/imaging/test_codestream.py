"""A code stream's own size is read before a decoder allocates it."""

from pathlib import Path

import pydicom
import pytest
from pydicom import dcmread
from pydicom.encaps import generate_frames
from pydicom.uid import JPEGLSLossless

from tests.dicom.small_ct import SmallCt, make_slice
from wetread.dicom.header import read_instance
from wetread.domain.problem import ProblemCode
from wetread.imaging.codestream import find_size
from wetread.imaging.pixels import PixelError, read_frames

FILES = Path(pydicom.__file__).parent / "data" / "test_files"


@pytest.mark.parametrize(
    "name", ["JPEG2000.dcm", "JPGExtended.dcm", "MR_small_jpeg_ls_lossless.dcm", "MR_small_jp2klossless.dcm"]
)
def test_sizes_of_real_code_streams(name: str) -> None:
    ds = dcmread(FILES / name)
    first = next(generate_frames(ds.PixelData, number_of_frames=1))
    assert find_size(first) == (ds.Rows, ds.Columns)


@pytest.mark.parametrize("data", [b"", b"\xff\xd8", b"\xff\xd8\xff", b"\xff\x4f\xff\x51\0", b"RLE" * 30])
def test_beginnings_that_say_nothing(data: bytes) -> None:
    assert find_size(data) is None


def test_a_stream_that_asks_for_more_than_its_header_is_refused(tmp_path: Path) -> None:
    ds = make_slice(SmallCt(shape=(1, 32, 32)), 0)
    ds.compress(JPEGLSLossless, generate_instance_uid=False)
    path = tmp_path / "greedy.dcm"
    ds.save_as(path, enforce_file_format=True)
    data = path.read_bytes()
    at = data.index(b"\xff\xf7") + 5
    path.write_bytes(data[:at] + b"\xff\xff\xff\xff" + data[at + 4 :])
    with pytest.raises(PixelError) as caught:
        read_frames(read_instance(path))
    assert caught.value.code is ProblemCode.UNDECODABLE_PIXELS
    assert "another size" in caught.value.sentence
