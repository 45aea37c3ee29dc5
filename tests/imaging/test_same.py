"""The same object in another transfer syntax is known; any other value or pixel is not."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import ImplicitVRLittleEndian, RLELossless

from wetread.imaging.same import is_same_object


@pytest.fixture
def ct(tmp_path: Path) -> Path:
    path = tmp_path / "ct.dcm"
    dcmread(get_testdata_file("CT_small.dcm")).save_as(path)
    return path


def encode(ct: Path, edit: Callable[[Dataset], object]) -> Path:
    ds = dcmread(ct)
    edit(ds)
    path = ct.with_name("other.dcm")
    ds.save_as(path)
    return path


def run_length(ds: Dataset) -> None:
    ds.compress(RLELossless, generate_instance_uid=False)


def implicit(ds: Dataset) -> None:
    ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian


@pytest.mark.parametrize("edit", [run_length, implicit])
def test_another_encoding_is_the_same(ct: Path, edit: Callable[[Dataset], None]) -> None:
    other = encode(ct, edit)
    assert is_same_object(ct, other)
    assert is_same_object(other, ct)


def test_another_value_or_pixel_is_not_the_same(ct: Path) -> None:
    def another_value(ds: Dataset) -> None:
        ds.PatientComments = "changed"
        run_length(ds)

    def another_pixel(ds: Dataset) -> None:
        pixels = ds.pixel_array.copy()
        pixels[5, 5] += 1
        ds.PixelData = pixels.tobytes()
        run_length(ds)

    assert not is_same_object(ct, encode(ct, another_value))
    assert not is_same_object(ct, encode(ct, another_pixel))


def test_what_cannot_be_read_is_not_the_same(ct: Path, tmp_path: Path) -> None:
    torn = tmp_path / "torn.dcm"
    torn.write_bytes(encode(ct, run_length).read_bytes()[:-2000])
    assert not is_same_object(ct, torn)
