"""Headers as DICOM JSON: the same as pydicom makes, for whatever others wrote."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

from tests.dicom.small_ct import SmallCt, make_slice
from tests.dicom.test_header import PYDICOM_FILES
from wetread.dicom.header import read_instance_bytes
from wetread.dicom.json_model import JsonLimits, JsonModel, with_base
from wetread.errors import InputError

SMALL = SmallCt(shape=(1, 8, 10))


def describe(ds: Dataset) -> dict[str, Any]:
    file = BytesIO()
    ds.save_as(file, enforce_file_format=True)
    model = JsonModel()
    read_instance_bytes(file.getvalue(), Path("x"), model=model)
    encoded = model.encode()
    assert encoded is not None
    loaded: dict[str, Any] = json.loads(encoded)
    return loaded


def make(**attributes: Any) -> Dataset:
    ds = make_slice(SMALL, 0)
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    return ds


@pytest.mark.parametrize("syntax", ["", ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_values_by_vr(syntax: str) -> None:
    item = Dataset()
    item.CodeValue, item.CodeMeaning = "T-D3000", "Brust"
    inner = Dataset()
    inner.ReferencedFrameNumber = [1, 2]
    item.add_new(0x00081140, "SQ", [inner])
    ds = make(SpecificCharacterSet="ISO_IR 100", PatientName="Müller^Jürgen", PixelSpacing=["0.5", "0.75"])
    ds.ProcedureCodeSequence = [item]
    ds.FrameIncrementPointer = [0x00181063, 0x00181065]
    ds.add_new(0x00189074, "DT", "20260102030405")
    ds.add_new(0x00091001, "OB", b"\x01\x02")
    ds.add_new(0x00090010, "LO", "MAKER")
    ds.AccessionNumber = ""
    if syntax:
        ds.file_meta.TransferSyntaxUID = syntax
        little, implicit = syntax != ExplicitVRBigEndian, syntax == ImplicitVRLittleEndian
        ds.set_original_encoding(implicit, little, "latin-1")
        if not little:
            ds.PixelData = b"\0" * len(ds.PixelData)
    found = describe(ds)
    assert found["00080005"] == {"vr": "CS", "Value": ["ISO_IR 192"]}
    assert found["00100010"] == {"vr": "PN", "Value": [{"Alphabetic": "Müller^Jürgen"}]}
    assert found["00280030"] == {"vr": "DS", "Value": [0.5, 0.75]}
    assert found["00280009"] == {"vr": "AT", "Value": ["00181063", "00181065"]}
    assert found["00080050"] == {"vr": "SH"}
    assert found["00280010"] == {"vr": "US", "Value": [8]}
    sequence = found["00081032"]["Value"][0]
    assert sequence["00080104"] == {"vr": "LO", "Value": ["Brust"]}
    assert sequence["00081140"]["Value"][0]["00081160"] == {"vr": "IS", "Value": [1, 2]}
    assert found["00091001"] == {
        "vr": "UN" if syntax == ImplicitVRLittleEndian else "OB",
        "InlineBinary": "AQI=",
    }
    assert found["7FE00010"] == {"vr": "OW", "BulkDataURI": "bulkdata/7FE00010"}


def test_the_three_groups_of_a_name() -> None:
    ds = make(SpecificCharacterSet="ISO_IR 192", PatientName="Yamada^Tarou=山田^太郎=やまだ^たろう")
    [name] = describe(ds)["00100010"]["Value"]
    assert name == {"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎", "Phonetic": "やまだ^たろう"}


def test_an_empty_value_among_others_is_null() -> None:
    assert describe(make(ImageType=["ORIGINAL", "", "AXIAL"]))["00080008"]["Value"] == [
        "ORIGINAL",
        None,
        "AXIAL",
    ]


def test_what_is_no_number_stays_text() -> None:
    ds = make()
    ds.add_new(0x00280030, "DS", "1\\2")
    ds["PixelSpacing"]._value = ["NaN", "x"]
    found = describe(ds)["00280030"]["Value"]
    assert found == ["NaN", "x"]


def test_long_values_are_named_and_not_copied() -> None:
    item = Dataset()
    item.add_new(0x00091002, "OB", bytes(5000))
    ds = make(ProcedureCodeSequence=[item])
    ds.add_new(0x00091001, "OB", bytes(5000))
    found = describe(ds)
    assert found["00091001"] == {"vr": "OB", "BulkDataURI": "bulkdata/00091001"}
    inside = found["00081032"]["Value"][0]["00091002"]
    assert inside == {"vr": "OB", "BulkDataURI": "bulkdata/00081032/1/00091002"}


def test_addresses_are_put_in_front_and_nothing_else_is_touched() -> None:
    ds = make(StudyDescription='"BulkDataURI":"x')
    encoded = json.dumps(describe(ds), separators=(",", ":")).encode()
    found = json.loads(with_base(encoded, "http://x/studies/1/series/2/instances/3"))
    assert found["7FE00010"]["BulkDataURI"] == "http://x/studies/1/series/2/instances/3/bulkdata/7FE00010"
    assert found["00081030"]["Value"] == ['"BulkDataURI":"x']


def test_too_large_a_header_is_left_to_the_file() -> None:
    file = BytesIO()
    make(ProcedureCodeSequence=[Dataset() for _ in range(50)]).save_as(file, enforce_file_format=True)
    model = JsonModel(limits=JsonLimits(elements=40))
    read_instance_bytes(file.getvalue(), Path("x"), model=model)
    assert model.encode() is None


@pytest.mark.parametrize("path", PYDICOM_FILES, ids=lambda path: path.name)
@pytest.mark.filterwarnings("ignore")
def test_the_same_as_pydicom(path: Path) -> None:
    model = JsonModel()
    try:
        read_instance_bytes(path.read_bytes(), path, model=model)
    except InputError:
        return
    encoded = model.encode()
    assert encoded is not None
    ours = json.loads(encoded)
    try:
        theirs = pydicom.dcmread(path, stop_before_pixels=True).to_json_dict(suppress_invalid_tags=True)
    except Exception:  # noqa: BLE001 - a file that pydicom cannot turn into JSON says nothing about ours
        return
    for tag, element in theirs.items():
        is_public = not int(tag[:4], 16) & 1
        is_alike = element["vr"] not in ("SQ", "PN", "UN") and tag not in ("00080005", "7FE00010")
        is_filled = any(value not in ("", None) for value in element.get("Value", ()))
        if is_public and is_alike and tag[4:] != "0000" and is_filled:
            assert _plain(ours[tag].get("Value", [])) == _plain(element["Value"]), tag
    missing = {
        tag for tag in theirs if tag not in ours and tag[:4] not in ("7FE0", "FFFC") and tag[4:] != "0000"
    }
    assert not {tag for tag in missing if int(tag[:4], 16) < 0x7FE0}


def _plain(values: list[Any]) -> list[Any]:
    return [_number("" if value is None else value) for value in values]


def _number(value: Any) -> Any:
    try:
        return round(float(value), 6)
    except (TypeError, ValueError):
        return str(value).strip()
