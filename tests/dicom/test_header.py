"""Headers of anything: an Instance, or an InputError that says why not."""

import io
import json
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

from tests.dicom.small_ct import SmallCt, data_folder, make_enhanced, make_slice, write_ct
from wetread.dicom.header import is_uid, read_early, read_instance, read_instance_bytes
from wetread.dicom.json_model import JsonModel
from wetread.dicom.part10 import InflateLimits, open_data_set
from wetread.dicom.scan import Scan
from wetread.errors import InputError, MissingAttribute, UnreadableInstance

PYDICOM_FILES = sorted(
    path
    for path in (Path(pydicom.__file__).parent / "data").rglob("*")
    if path.is_file() and path.suffix not in {".py", ".pyc"}
)
SMALL = SmallCt(shape=(1, 8, 10))


@pytest.mark.parametrize("path", PYDICOM_FILES, ids=lambda path: path.name)
@pytest.mark.filterwarnings("ignore")
def test_every_odd_file_gives_an_instance_or_an_input_error(path: Path) -> None:
    try:
        instance = read_instance(path)
    except InputError:
        return
    assert is_uid(instance.sop_instance_uid)
    assert is_uid(instance.study_instance_uid)
    assert is_uid(instance.transfer_syntax_uid)
    assert instance.path == path
    json.dumps(dict(instance.header), allow_nan=False)
    assert "PixelData" not in instance.header


@pytest.mark.parametrize("path", PYDICOM_FILES, ids=lambda path: path.name)
@pytest.mark.filterwarnings("ignore")
def test_what_is_read_early_is_what_the_whole_file_says(path: Path) -> None:
    data = path.read_bytes()
    beginnings = [len(data) // 4, len(data) // 2, len(data)]
    early = [read_early(memoryview(data)[:length], path) for length in beginnings]
    try:
        model = JsonModel()
        instance = read_instance(path, model=model)
    except InputError:
        # Whoever has the whole file says why: nothing is said too early.
        assert not any(one and one.is_of(len(data)) for one in early)
        return
    for one in filter(None, early):
        assert one.instance == instance
        assert one.model.encode() == model.encode()
        assert one.is_of(len(data))
        assert not one.is_of(one.whole_size - 2)


def test_a_header_is_read_before_its_pixels_come(tmp_path: Path) -> None:
    (path,) = write_ct(tmp_path, SmallCt(shape=(1, 64, 64)))
    data = path.read_bytes()
    early = read_early(memoryview(data)[:-8000], path)
    assert early is not None
    assert early.whole_size == len(data)
    assert read_early(memoryview(data)[:300], path) is None


def test_values_are_plain(tmp_path: Path) -> None:
    (path,) = write_ct(tmp_path, SMALL)
    header = read_instance(path).header
    assert header["Modality"] == "CT"
    assert header["ImageType"] == ("ORIGINAL", "PRIMARY", "AXIAL")
    assert header["Rows"] == 8
    assert header["PixelSpacing"] == (0.5, 0.75)
    assert header["PatientName"] == "Doe^Jane"


def edited(tmp_path: Path, edit: object, syntax: str | None = None) -> Path:
    ds = make_slice(SMALL, 0)
    edit(ds)  # type: ignore[operator]
    if syntax:
        ds.file_meta.TransferSyntaxUID = syntax
    path = tmp_path / "edited.dcm"
    ds.save_as(path, enforce_file_format=True)
    return path


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
)
def test_every_encoding_gives_the_same_header(tmp_path: Path, syntax: str) -> None:
    (plain,) = write_ct(tmp_path, SMALL)
    ds = make_slice(SMALL, 0)
    if syntax == ExplicitVRBigEndian:
        ds.PixelData = ds.PixelData[::1]
    ds.file_meta.TransferSyntaxUID = syntax
    path = tmp_path / "other.dcm"
    ds.save_as(
        path, implicit_vr=syntax == ImplicitVRLittleEndian, little_endian=syntax != ExplicitVRBigEndian
    )
    instance = read_instance(path)
    assert instance.transfer_syntax_uid == syntax
    assert instance.header == read_instance(plain).header


def test_sequences_are_flattened_one_level(tmp_path: Path) -> None:
    def add(ds: pydicom.Dataset) -> None:
        items = [pydicom.Dataset(), pydicom.Dataset()]
        for number, item in enumerate(items):
            item.CodeValue, item.CodingSchemeDesignator = f"C{number}", "99X"
        ds.ProcedureCodeSequence = items

    header = read_instance(edited(tmp_path, add)).header
    assert header["ProcedureCodeSequence.CodeValue"] == ("C0", "C1")


def test_private_and_long_values_are_left_out(tmp_path: Path) -> None:
    def add(ds: pydicom.Dataset) -> None:
        ds.private_block(0x0011, "ACME", create=True).add_new(1, "LO", "hidden")
        ds.ImageComments = "x" * 10_000

    header = read_instance(edited(tmp_path, add)).header
    assert "hidden" not in str(header)
    assert "ImageComments" not in header


@pytest.mark.parametrize(
    ("charset", "encoding", "name"),
    [
        ("ISO_IR 100", "latin_1", "Müller^Jörg"),
        ("ISO_IR 192", "utf_8", "Wáng^小東"),
        ("GB18030", "gb18030", "王^小东"),
        ("ISO_IR 144", "iso8859_5", "Люкceмбypг"),
    ],
)
def test_character_sets_are_decoded(tmp_path: Path, charset: str, encoding: str, name: str) -> None:
    def add(ds: pydicom.Dataset) -> None:
        ds.SpecificCharacterSet, ds.PatientName = charset, name

    assert read_instance(edited(tmp_path, add)).header["PatientName"] == name


def test_numbers_that_are_none_stay_detectable_and_json_safe(tmp_path: Path) -> None:
    (path,) = write_ct(tmp_path, SMALL)
    data = path.read_bytes()
    spoiled = data.replace(b"0.5\\0.75", b"NaN\\inf ")
    assert spoiled != data
    header = read_instance_bytes(spoiled, path).header
    assert header["PixelSpacing"] == ("NaN", "inf")
    json.dumps(dict(header), allow_nan=False)


def test_no_meta_header(tmp_path: Path) -> None:
    ds = make_slice(SMALL, 0)
    del ds.file_meta
    path = tmp_path / "bare.dcm"
    ds.save_as(path, implicit_vr=True, little_endian=True)
    instance = read_instance(path)
    assert instance.transfer_syntax_uid == ImplicitVRLittleEndian
    assert instance.sop_instance_uid == "1.2.3.1.1"


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"A text file, long enough to be something." * 9, b"\0" * 500]
)
def test_what_is_no_dicom_is_unreadable(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(UnreadableInstance):
        read_instance(path)


def test_a_truncated_file_is_never_taken_for_whole(tmp_path: Path) -> None:
    (path,) = write_ct(tmp_path, SMALL)
    data = path.read_bytes()
    taken = []
    for length in range(len(data) - 1):
        try:
            taken.append(read_instance_bytes(data[:length], path))
        except InputError:
            continue
    # Cut between two elements, before the pixels, the rest is a whole object: without image.
    assert len(taken) < 50
    pixels = data.index(b"\xe0\x7f\x10\x00")
    for instance in taken:
        assert instance.sop_instance_uid
    with pytest.raises(InputError):
        read_instance_bytes(data[: pixels + 5], path)
    assert read_instance_bytes(data[:-1], path)  # a missing pad byte is forgiven


def test_truncated_compressed_pixels(tmp_path: Path) -> None:
    path = data_folder("dicom_objects") / "jpeg" / "CT2_J2KR"
    data = path.read_bytes()
    with pytest.raises(InputError):
        read_instance_bytes(data[: len(data) // 2], path)


@pytest.mark.filterwarnings("ignore:Invalid value:UserWarning", "ignore:The value length:UserWarning")
@pytest.mark.parametrize("keyword", ["SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"])
@pytest.mark.parametrize("value", ["", "../../etc/passwd", "1.2.3/4", "1" * 65, "1..2"])
def test_uids_are_checked_before_use(tmp_path: Path, keyword: str, value: str) -> None:
    def spoil(ds: pydicom.Dataset) -> None:
        with pydicom.config.disable_value_validation():
            setattr(ds, keyword, value)
        del ds.file_meta.MediaStorageSOPInstanceUID

    ds = make_slice(SMALL, 0)
    spoil(ds)
    path = tmp_path / "spoiled.dcm"
    with pydicom.config.disable_value_validation():
        ds.save_as(path)
    with pytest.raises(MissingAttribute) as caught:
        read_instance(path)
    assert "Doe" not in str(caught.value)


def deflated(content: bytes) -> io.BytesIO:
    """A file without image whose private value holds ``content``."""
    value = struct.pack("<HH2sHI", 0x0009, 0x1001, b"OB", 0, len(content)) + content
    uid = b"1.2.840.10008.1.2.1.99"
    meta = struct.pack("<HH2sH", 0x0002, 0x0010, b"UI", len(uid)) + uid
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return io.BytesIO(bytes(128) + b"DICM" + meta + packer.compress(value) + packer.flush())


def test_a_deflate_bomb_is_refused() -> None:
    with pytest.raises(UnreadableInstance, match="inflates to more"):
        list(scan(deflated(bytes(100_000)), InflateLimits(harmless=10_000)))
    assert len(list(scan(deflated(bytes(100_000)), InflateLimits()))) == 1


def test_a_torn_deflated_data_set_is_refused() -> None:
    whole = deflated(os.urandom(10_000)).getvalue()
    with pytest.raises(UnreadableInstance, match="ends inside"):
        list(scan(io.BytesIO(whole[:-100]), InflateLimits()))


def scan(file: io.BytesIO, limits: InflateLimits) -> Scan:
    source = open_data_set(file, limits)
    return Scan(cursor=source.cursor, is_implicit=source.is_implicit, longest=100)


def test_enhanced_ct_tells_where_its_frames_lie(tmp_path: Path) -> None:
    ct = SmallCt()
    path = tmp_path / "enhanced.dcm"
    make_enhanced(ct).save_as(path, enforce_file_format=True)
    header = read_instance(path).header
    assert header["SharedFunctionalGroupsSequence.PixelSpacing"] == (0.5, 0.75)
    positions = header["PerFrameFunctionalGroupsSequence.ImagePositionPatient"]
    assert np.reshape(positions, (-1, 3))[0].tolist() == ct.position(4)
    assert header["PerFrameFunctionalGroupsSequence.RescaleIntercept"] == (-1024.0,) * 5


@settings(max_examples=300, deadline=None)
@given(st.data())
@pytest.mark.filterwarnings("ignore")
def test_damaged_bytes_never_crash(data: st.DataObject) -> None:
    ds = make_slice(SMALL, 0)
    ds.ProcedureCodeSequence = [pydicom.Dataset()]
    ds.ProcedureCodeSequence[0].CodeValue = "X"
    buffer = pydicom.filebase.DicomBytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    content = bytearray(buffer.getvalue())
    for _ in range(data.draw(st.integers(1, 20))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        instance = read_instance_bytes(bytes(content), Path("damaged"))
    except InputError:
        return
    json.dumps(dict(instance.header), allow_nan=False)
