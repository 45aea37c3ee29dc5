"""STOW-RS without a server: what is answered as stored is on the disk, what is refused has a reason."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.uid import JPEGBaseline8Bit, JPEGLosslessSV1, generate_uid

from tests.receive.stow_bodies import (
    BOUNDARY,
    DICOM,
    JSON,
    as_json,
    encode,
    files,
    multipart,
    new_ct,
    related,
    with_bulk,
)  # fmt: skip
from wetread.dicom.digest import digest_data_set
from wetread.dicom.xml_model import encode_xml
from wetread.domain.progress import Acceptance
from wetread.imaging.render import RenderOptions, render
from wetread.receive.stow import Stow, StowOptions, start_stow
from wetread.receive.stow_answer import StowAnswer
from wetread.receive.stow_request import Handing, StowRefusal
from wetread.receive.trail import Sender
from wetread.store import Store
from wetread.store.audit_rows import AuditRows

XML = "application/dicom+xml"
URL = "http://127.0.0.1:8080/dicom-web"
OPTIONS = StowOptions(instance_limit=1 << 20, maximum_requests=3, maximum_parts=50)
HANDING = Handing(sender=Sender(aet="", user="token ris", address="10.0.0.7"), source="ris")


@pytest.fixture
def told() -> list[tuple[str, Acceptance]]:
    return []


@pytest.fixture
def stow(store: Store, told: list[Any]) -> Iterator[Stow]:
    one = start_stow(OPTIONS, store, lambda uid, acceptance: told.append((uid, acceptance)))
    yield one
    one.close()
    assert list(store.intake.incoming.iterdir()) == [], "nothing half stays"


def hand_in(
    stow: Stow, body: bytes, kind: str = "", handing: Handing = HANDING, piece: int = 1 << 16
) -> StowAnswer:
    request = stow.open(handing, kind or related())
    try:
        for start in range(0, len(body), piece):
            request.feed(body[start : start + piece])
        return request.finish()
    finally:
        request.close()


def refusal_of(stow: Stow, body: bytes, kind: str = "") -> StowRefusal:
    with pytest.raises(StowRefusal) as caught:
        hand_in(stow, body, kind)
    return caught.value


def reasons(answer: StowAnswer) -> list[int]:
    return [one.status for one in answer.results]


def codes(store: Store) -> list[str]:
    return [event.code for event in store.history.list_newest() if event.level == "problem"]


def stored(store: Store, uid: str) -> Any:
    return dcmread(store.intake.instances.path(uid))


@pytest.mark.parametrize("piece", [1 << 16, 7])
def test_files_are_stored_as_they_are(stow: Stow, store: Store, told: list[Any], piece: int) -> None:
    one, other = new_ct(), new_ct()
    answer = hand_in(stow, files(encode(one), encode(other)), piece=piece)
    assert (answer.http_status, reasons(answer)) == (200, [0, 0])
    for dataset in (one, other):
        held = stored(store, dataset.SOPInstanceUID)
        assert held == dataset
        assert held.file_meta.TransferSyntaxUID == dataset.file_meta.TransferSyntaxUID
        row = store.studies.find(dataset.StudyInstanceUID)
        assert (row.instance_count, row.source) == (1, "ris")
    assert told == [
        (one.StudyInstanceUID, Acceptance.ACCEPTED),
        (other.StudyInstanceUID, Acceptance.ACCEPTED),
    ]


def test_the_digest_is_that_of_the_data_set(stow: Stow, store: Store, tmp_path: Path) -> None:
    dataset = new_ct()
    path = tmp_path / "sent.dcm"
    path.write_bytes(encode(dataset))
    hand_in(stow, files(path.read_bytes()))
    assert store.intake.find_digest(dataset.SOPInstanceUID) == digest_data_set(path)[0]


def test_a_preamble_is_not_kept(stow: Stow, store: Store) -> None:
    dataset = new_ct()
    dataset.preamble = b"MZ" + b"\x90" * 126
    assert hand_in(stow, files(encode(dataset))).http_status == 200
    assert store.intake.instances.path(dataset.SOPInstanceUID).read_bytes()[:128] == bytes(128)


def test_one_file_needs_no_multipart(stow: Stow, store: Store) -> None:
    dataset = new_ct()
    assert hand_in(stow, encode(dataset), DICOM).http_status == 200
    assert stored(store, dataset.SOPInstanceUID) == dataset


def test_the_answer_says_where_to_retrieve(stow: Stow) -> None:
    study = generate_uid()
    one = new_ct(study)
    answer = hand_in(stow, files(encode(one), b"no dicom")).data_set(URL)
    assert answer["00081190"]["Value"] == [f"{URL}/studies/{study}"]
    [item] = answer["00081199"]["Value"]
    assert item["00081150"]["Value"] == [one.SOPClassUID]
    assert item["00081155"]["Value"] == [one.SOPInstanceUID]
    place = f"{URL}/studies/{study}/series/{one.SeriesInstanceUID}/instances/{one.SOPInstanceUID}"
    assert item["00081190"]["Value"] == [place]
    assert answer["0008119A"]["Value"] == [{"00081197": {"vr": "US", "Value": [0xC000]}}]
    assert "00081198" not in answer


def test_several_studies_have_no_address_in_common(stow: Stow) -> None:
    answer = hand_in(stow, files(encode(new_ct()), encode(new_ct()))).data_set(URL)
    assert answer["00081190"] == {"vr": "UR"}


def test_the_same_again_is_a_success_and_other_content_is_not(stow: Stow, store: Store) -> None:
    dataset = new_ct()
    first = encode(dataset)
    dataset.PixelData = bytes(len(dataset.PixelData))
    assert hand_in(stow, files(first, first)).http_status == 200
    answer = hand_in(stow, files(encode(dataset)))
    assert (answer.http_status, reasons(answer)) == (409, [0x0111])
    failed = answer.data_set(URL)["00081198"]["Value"]
    assert [item["00081155"]["Value"] for item in failed] == [[dataset.SOPInstanceUID]]
    assert codes(store) == ["content-conflict"]
    assert store.studies.find(dataset.StudyInstanceUID).instance_count == 1


def test_the_study_of_the_address_must_be_the_instances(stow: Stow, store: Store) -> None:
    mine, other = new_ct("1.2.3"), new_ct()
    handing = replace(HANDING, study_instance_uid="1.2.3")
    answer = hand_in(stow, files(encode(mine), encode(other)), handing=handing)
    assert (answer.http_status, reasons(answer)) == (202, [0, 0xA901])
    assert store.studies.find(other.StudyInstanceUID) is None


def test_nothing_is_added_to_a_study_of_another_sender(stow: Stow, store: Store) -> None:
    study = generate_uid()
    hand_in(stow, files(encode(new_ct(study))))
    limited = replace(HANDING, source="CT2", sources=("CT2",))
    answer = hand_in(stow, files(encode(new_ct(study)), encode(new_ct())), handing=limited)
    assert (answer.http_status, reasons(answer)) == (202, [0x0124, 0])
    assert store.studies.find(study).instance_count == 1


def test_a_file_whose_meta_header_lies_is_refused(stow: Stow) -> None:
    data = encode(new_ct())
    start = data.index(b"\x02\x00\x03\x00UI") + 8
    answer = hand_in(stow, files(data[:start] + b"2" + data[start + 1 :]))
    assert (answer.http_status, reasons(answer)) == (409, [0xA900])


@pytest.mark.parametrize("tag", [0x00020002, 0x00020003, 0x00020010])
def test_a_file_must_say_what_it_is(stow: Stow, tag: int) -> None:
    data = encode(new_ct())
    # Another tag of the group: what it was is missing.
    named = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + b"UI"
    answer = hand_in(stow, files(data.replace(named, b"\x02\x00\x50\x00UI", 1)))
    assert (answer.http_status, reasons(answer)) == (409, [0xC000])


H17_UIDS = ["../../../etc/cron.d/x", "/etc/passwd", "..\\x", "%2e%2e", "1.2\0.3", "1" * 10_000]


@pytest.mark.parametrize("uid", H17_UIDS, ids=range(len(H17_UIDS)))
def test_h17_a_uid_is_never_a_path(stow: Stow, store: Store, uid: str) -> None:
    dataset = new_ct(SOPInstanceUID=uid)
    dataset.file_meta.MediaStorageSOPInstanceUID = uid
    answer = hand_in(stow, files(encode(dataset)))
    assert answer.http_status == 409
    assert reasons(answer)[0] in (0x0117, 0xC000, 0xA900)
    assert uid[:20] not in json.dumps(answer.data_set(URL))
    assert store.studies.list_newest() == []


def test_what_is_too_large_is_refused_and_the_rest_stored(stow: Stow, store: Store) -> None:
    large, small = new_ct(), new_ct()
    large.PixelData = bytes(2 << 20)
    body = files(encode(large), encode(small))
    answer = hand_in(stow, body)
    assert (answer.http_status, reasons(answer)) == (202, [0xA700, 0])
    alone = hand_in(stow, files(encode(large)))
    assert (alone.http_status, reasons(alone)) == (413, [0xA700])


def test_a_full_disk_says_so_for_each_and_for_all(stow: Stow, store: Store) -> None:
    body = files(encode(new_ct()), encode(new_ct()))
    request = stow.open(HANDING, related())
    space = store.intake.space
    space.reserve_mb, space.measure, space.age_s = 1 << 20, lambda _: (1 << 40, 0), 0
    request.feed(body)
    answer = request.finish()
    request.close()
    assert (answer.http_status, reasons(answer)) == (507, [0xA700, 0xA700])
    with pytest.raises(StowRefusal) as caught:
        stow.open(HANDING, related())
    assert caught.value.http_status == 507


def test_a_request_that_breaks_off_leaves_what_came_whole(
    stow: Stow, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Large enough to be on the disk already.
    monkeypatch.setattr("wetread.receive.spool.MEMORY_LIMIT", 1 << 16)
    whole, half = new_ct(), new_ct(PixelData=bytes(500_000))
    body = files(encode(whole), encode(half))
    request = stow.open(HANDING, related())
    request.feed(body[:-1000])
    assert len(list(store.intake.incoming.iterdir())) == 1
    request.break_off()
    request.close()
    assert stored(store, whole.SOPInstanceUID) == whole
    assert store.studies.find(half.StudyInstanceUID) is None
    assert codes(store) == ["association-broken"]


def test_the_trail_has_who_what_and_how_many(stow: Stow, store: Store) -> None:
    study = generate_uid()
    hand_in(stow, files(encode(new_ct(study)), encode(new_ct(study)), b"none"))
    entries = AuditRows(store.engine).list_last(20)
    assert {entry.actor for entry in entries} == {"token ris"}
    begun, refused, ended = ((entry.event, entry.study_instance_uid, entry.message) for entry in entries)
    # PS3.16 CID 400: begin transferring, instances transferred.
    assert begun[:2] == ("110102", study)
    assert refused[:2] == ("110104", "")
    assert "DICM prefix" in refused[2]
    assert ended[:2] == ("110104", study)
    assert "2 images." in ended[2]


# Metadata and bulk data


@pytest.mark.parametrize("threshold", [1024, 1 << 30])
def test_metadata_and_bulk_data_become_a_file(stow: Stow, store: Store, threshold: int) -> None:
    dataset = new_ct(PatientName="Müller^Änne=山田^太郎")
    dataset.SpecificCharacterSet = "ISO_IR 192"
    metadata, bulk = as_json(dataset, threshold=threshold)
    answer = hand_in(stow, with_bulk(metadata, bulk), related(JSON))
    assert (answer.http_status, reasons(answer)) == (200, [0])
    held = stored(store, dataset.SOPInstanceUID)
    assert held.PixelData == dataset.PixelData
    assert held.PatientName == dataset.PatientName
    assert (held.Rows, held.PixelSpacing) == (dataset.Rows, dataset.PixelSpacing)
    assert held.file_meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID


def test_several_data_sets_in_one_part_of_metadata(stow: Stow) -> None:
    metadata, bulk = as_json(new_ct(), new_ct())
    answer = hand_in(stow, with_bulk(metadata, bulk), related(JSON))
    assert (answer.http_status, reasons(answer)) == (200, [0, 0])


def test_bulk_data_in_a_sequence_and_of_numbers(stow: Stow, store: Store) -> None:
    dataset = new_ct()
    model = json.loads(as_json(dataset, threshold=1 << 30)[0])[0]
    model["00189346"] = {"vr": "SQ", "Value": [{"00189345": {"vr": "FD", "BulkDataURI": "a"}}]}
    body = with_bulk(json.dumps([model]).encode(), {"a": bytes(6) + b"\xf0\x3f"})
    assert hand_in(stow, body, related(JSON)).http_status == 200
    assert stored(store, dataset.SOPInstanceUID).CTDIPhantomTypeCodeSequence[0].CTDIvol == 1.0


H42_ADDRESSES = [
    "file:///etc/passwd", "http://169.254.169.254/latest/meta-data/", "gopher://127.0.0.1:6379/_x",
    "http://127.0.0.1:1/x", "../../../../etc/passwd", "/etc/passwd", "\\\\evil\\share", "", "bulk/0\0",
]  # fmt: skip


@pytest.mark.parametrize("address", [*H42_ADDRESSES, ["file:///etc/passwd"], {"a": 1}, 7, None])
def test_h42_no_address_of_bulk_data_is_opened(
    stow: Stow, store: Store, monkeypatch: pytest.MonkeyPatch, address: Any
) -> None:
    def forbidden(*_: Any, **__: Any) -> None:
        raise AssertionError("Somebody goes out.")

    monkeypatch.setattr("socket.socket.connect", forbidden)
    metadata, bulk = as_json(new_ct())
    model = json.loads(metadata)[0]
    model["7FE00010"] = {"vr": "OW", "BulkDataURI": address}
    answer = hand_in(stow, with_bulk(json.dumps([model]).encode(), bulk), related(JSON))
    assert (answer.http_status, reasons(answer)) == (409, [0xC000])
    assert store.studies.list_newest() == []
    if isinstance(address, str):
        [event] = [one for one in store.history.list_newest() if one.level == "problem"]
        assert "no address is ever opened" in event.message


def _jpeg(shape: tuple[int, ...] = (32, 48)) -> bytes:
    file = io.BytesIO()
    noise = np.random.default_rng(1).integers(0, 255, shape, dtype=np.uint8)
    Image.fromarray(noise).save(file, "JPEG", quality=90)
    return file.getvalue()


_TOLD_BY_THE_STREAM = ("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation")


@pytest.mark.parametrize(("shape", "colours"), [((32, 48), "MONOCHROME2"), ((32, 48, 3), "YBR_FULL_422")])
def test_a_compressed_image_becomes_pixel_data(
    stow: Stow, store: Store, shape: tuple[int, ...], colours: str
) -> None:
    dataset = new_ct()
    for keyword in (*_TOLD_BY_THE_STREAM, "PhotometricInterpretation", "SamplesPerPixel"):
        delattr(dataset, keyword)
    metadata, _ = as_json(dataset, threshold=16_384)
    picture = _jpeg(shape)
    answer = hand_in(stow, with_bulk(metadata, {"bulk/0": picture}, "image/jpeg"), related(JSON))
    assert (answer.http_status, reasons(answer)) == (200, [0])
    held = stored(store, dataset.SOPInstanceUID)
    assert held.file_meta.TransferSyntaxUID == JPEGBaseline8Bit
    assert (held.Rows, held.Columns, held.BitsStored) == (32, 48, 8)
    assert held.PhotometricInterpretation == colours
    assert next(generate_frames(held.PixelData, number_of_frames=1)).rstrip(b"\0") == picture.rstrip(b"\0")
    with store.catalogue.open(store.catalogue.find_held(str(dataset.SOPInstanceUID))) as file:
        assert render(file, 1, RenderOptions(media_type="image/png")).startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        (f"image/jpeg; transfer-syntax={JPEGLosslessSV1}", {}),
        ("image/jpeg", {"Rows": 31}),
        ("image/jpeg", {"NumberOfFrames": 2}),
        ("image/png", {}),
        ("image/jls; transfer-syntax=1.2.3", {}),
    ],
)
def test_a_compressed_image_that_is_another_than_it_says_is_refused(
    stow: Stow, store: Store, kind: str, changes: dict[str, Any]
) -> None:
    metadata, _ = as_json(new_ct(**{"Rows": 32, "Columns": 48} | changes), threshold=16_384)
    answer = hand_in(stow, with_bulk(metadata, {"bulk/0": _jpeg()}, kind), related(JSON))
    assert (answer.http_status, reasons(answer)) == (415, [0xC122])
    assert store.studies.list_newest() == []


def test_metadata_in_xml_become_a_file(stow: Stow, store: Store) -> None:
    dataset = new_ct(
        PatientName="Müller^Änne=山田^太郎", OtherPatientNames=["A^B", "C"], OtherPatientIDs=["a", "", "c"]
    )
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.ReferencedStudySequence = [Dataset(), Dataset()]
    dataset.ReferencedStudySequence[1].ReferencedSOPClassUID = "1.2.3"
    metadata, bulk = as_json(dataset)
    [model] = json.loads(metadata)
    parts = [({"Content-Type": XML}, encode_xml(model))]
    parts += [
        ({"Content-Type": "application/octet-stream", "Content-Location": k}, v) for k, v in bulk.items()
    ]
    answer = hand_in(stow, multipart(parts), related(XML))
    assert (answer.http_status, reasons(answer)) == (200, [0])
    held = stored(store, dataset.SOPInstanceUID)
    assert held.PixelData == dataset.PixelData
    assert held.PatientName == dataset.PatientName
    assert list(held.OtherPatientNames) == list(dataset.OtherPatientNames)
    assert list(held.OtherPatientIDs) == ["a", "", "c"]
    assert (held.Rows, held.PixelSpacing) == (dataset.Rows, dataset.PixelSpacing)
    assert held.ReferencedStudySequence == dataset.ReferencedStudySequence


_XML_NAME = '<DicomAttribute tag="00100010" vr="PN"/>'
_XML_HEAD = '<NativeDicomModel xmlns="http://dicom.nema.org/PS3.19/models/NativeDICOM">'
_XML_BODIES = {
    "none": b"<",
    "another": b"<html/>",
    "an entity": b'<!DOCTYPE a [<!ENTITY b "c">]><NativeDicomModel>&b;</NativeDicomModel>',
    "a file": b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><NativeDicomModel>&b;</NativeDicomModel>',
    "laughs": b'<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><NativeDicomModel/>',
    "text": f"{_XML_HEAD}x</NativeDicomModel>".encode(),
    "a tag that is none": f'{_XML_HEAD}<DicomAttribute tag="0010001" vr="PN"/></NativeDicomModel>'.encode(),
    "one twice": (
        _XML_HEAD + 2 * '<DicomAttribute tag="00100010" vr="PN"/>' + "</NativeDicomModel>"
    ).encode(),
    "a value far away": (
        f'{_XML_HEAD}<DicomAttribute tag="00100020" vr="LO"><Value number="99999">a</Value></DicomAttribute>'
        "</NativeDicomModel>"
    ).encode(),
    "depth": (
        _XML_HEAD
        + 500 * '<DicomAttribute tag="00081140" vr="SQ"><Item number="1">'
        + 500 * "</Item></DicomAttribute>"
        + "</NativeDicomModel>"
    ).encode(),
}


@pytest.mark.parametrize("body", _XML_BODIES.values(), ids=_XML_BODIES.keys())
def test_h41_xml_that_is_no_data_set_is_refused(stow: Stow, store: Store, body: bytes) -> None:
    answer = hand_in(stow, multipart([({"Content-Type": XML}, body)]), related(XML))
    assert (answer.http_status, reasons(answer)) == (409, [0xC000])
    assert store.studies.list_newest() == []


def _model(**changes: Any) -> bytes:
    model = json.loads(as_json(new_ct(), threshold=1 << 30)[0])[0]
    return json.dumps([model | changes]).encode()


def _deep(levels: int) -> dict[str, Any]:
    item: dict[str, Any] = {}
    for _ in range(levels):
        item = {"00081140": {"vr": "SQ", "Value": [item]}}
    return item


JSON_BODIES = {
    "deep": b"[" * 30_000 + b"]" * 30_000,
    "deep sequences": _model(**_deep(300)),
    "a million objects": b"[" + b"{}," * 1_000_000 + b"{}]",
    "many elements": b"[{" + b",".join(b'"%08X": {"vr": "LO"}' % n for n in range(0x90000, 0xA0000)) + b"}]",
    "no list": b'"text"',
    "empty": b"[]",
    "not a number": b'[{"00280030": {"vr": "DS", "Value": [NaN]}}]',
    "huge number": _model(**{"00280010": {"vr": "US", "Value": [10**30]}}),
    "negative": _model(**{"00280010": {"vr": "US", "Value": [-1]}}),
    "text where a number belongs": _model(**{"00280010": {"vr": "US", "Value": ["x"]}}),
    "unknown vr": _model(**{"00280010": {"vr": "XX", "Value": [1]}}),
    "no vr": _model(**{"00280010": {"Value": [1]}}),
    "no tag": _model(**{"__proto__": {"vr": "LO"}}),
    "value no list": _model(**{"00280010": {"vr": "US", "Value": 1}}),
    "two values": _model(**{"00280010": {"vr": "US", "Value": [1], "InlineBinary": "AAA="}}),
    "no base64": _model(**{"7FE00010": {"vr": "OW", "InlineBinary": "A"}}),
    "items that are none": _model(**{"00081140": {"vr": "SQ", "Value": [1, "x"]}}),
    "names that are none": _model(**{"00100010": {"vr": "PN", "Value": [[1]]}}),
    "no text": b"\xff\xfe\x00\x01",
    "surrogates": b'[{"00100010": {"vr": "PN", "Value": [{"Alphabetic": "\\ud800"}]}}]',
    "uid that is a path": _model(**{"00080018": {"vr": "UI", "Value": ["../../etc/passwd"]}}),
    "no uid": _model(**{"00080018": {"vr": "UI"}}),
}


@pytest.mark.parametrize("metadata", JSON_BODIES.values(), ids=JSON_BODIES.keys())
def test_metadata_that_are_none_are_refused(stow: Stow, store: Store, metadata: bytes) -> None:
    answer = hand_in(stow, with_bulk(metadata, {}), related(JSON))
    assert answer.http_status == 409
    assert set(reasons(answer)) == {0xC000}
    assert store.studies.list_newest() == []
    assert "internal-error" not in codes(store)


def test_metadata_without_measure_are_refused(stow: Stow) -> None:
    assert refusal_of(stow, with_bulk(b" " * (9 << 20), {}), related(JSON)).http_status == 413


# H40: bodies that are no multipart


def test_h40_kinds_of_bodies_that_are_not_taken(stow: Stow) -> None:
    for kind in (
        "application/xml", related("application/xml"), "multipart/form-data; boundary=x",
        "multipart/mixed; boundary=x", "text/plain", "x", "\udcff",
    ):  # fmt: skip
        assert refusal_of(stow, b"", kind).http_status == 415, kind
    for kind in (
        "multipart/related",
        related(boundary=""),
        related(boundary="b" * 70_000),
        'multipart/related; boundary="',
    ):
        assert refusal_of(stow, files(b""), kind).http_status == 400, kind[:60]
    for kind, encoding in (("", ""), (related(), "gzip"), (related(), "x")):
        with pytest.raises(StowRefusal) as caught:
            stow.open(HANDING, kind, encoding)
        assert caught.value.http_status == 415


H40_BODIES = {
    "nothing": b"",
    "no part": f"--{BOUNDARY}--\r\n".encode(),
    "no boundary": b"x" * 100_000,
    "line ends": b"\r\n" * 1_000_000,
    "another boundary": files(b"x").replace(BOUNDARY.encode(), b"other"),
    "headers without end": f"--{BOUNDARY}\r\n".encode() + b"A: b\r\n" * 100_000,
    "a header without end": f"--{BOUNDARY}\r\nA: ".encode() + b"b" * 1_000_000,
    "no header": f"--{BOUNDARY}\r\n".encode() + b"\0" * 100_000,
    "half": files(b"x" * 1000)[:-500],
    "no last boundary": files(encode(new_ct()))[:-4][:-200],
}


@pytest.mark.parametrize("body", H40_BODIES.values(), ids=H40_BODIES.keys())
@pytest.mark.parametrize("piece", [1 << 16, 1000])
def test_h40_what_is_no_multipart_is_malformed(stow: Stow, body: bytes, piece: int) -> None:
    with pytest.raises(StowRefusal) as caught:
        hand_in(stow, body, piece=piece)
    assert caught.value.http_status == 400


def test_h40_parts_without_end_stop_at_their_limit(stow: Stow, store: Store) -> None:
    assert refusal_of(stow, multipart([({}, b"")] * 1000)).http_status == 413
    dataset = new_ct()
    answer = hand_in(stow, files(encode(dataset), *[b""] * 1000))
    assert answer.http_status == 202
    assert len(answer.results) <= OPTIONS.maximum_parts + 1
    assert stored(store, dataset.SOPInstanceUID) == dataset


def test_h40_what_lies_inside_is_not_looked_into(stow: Stow, store: Store) -> None:
    inner = ({"Content-Type": "multipart/related; boundary=inner"}, files(encode(new_ct())))
    answer = hand_in(stow, multipart([inner]))
    assert (answer.http_status, reasons(answer)) == (415, [0xC000])
    assert store.studies.list_newest() == []


def test_a_malformed_end_does_not_take_back_what_is_stored(stow: Stow, store: Store) -> None:
    dataset = new_ct()
    body = files(encode(dataset))[: -len(BOUNDARY) - 6] + f"--{BOUNDARY}\r\n\0".encode()
    answer = hand_in(stow, body)
    assert (answer.http_status, reasons(answer)) == (202, [0, 0xC000])
    assert stored(store, dataset.SOPInstanceUID) == dataset


def test_more_requests_than_places_come_later(stow: Stow) -> None:
    taken = [stow.open(HANDING, related()) for _ in range(OPTIONS.maximum_requests)]
    with pytest.raises(StowRefusal) as caught:
        stow.open(HANDING, related())
    assert caught.value.http_status == 503
    for one in taken:
        one.close()
        one.close()
    assert hand_in(stow, files(encode(new_ct()))).http_status == 200
