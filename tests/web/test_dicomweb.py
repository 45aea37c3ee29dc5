"""DICOMweb on a real server, asked by a real client."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from email import message_from_bytes
from email.policy import HTTP
from pathlib import Path

import httpx
import numpy as np
import pydicom
import pytest
import uvicorn
from dicomweb_client.api import DICOMwebClient
from fastapi.testclient import TestClient
from lxml import etree
from PIL import Image
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGLSLossless

from tests.dicom.small_ct import SmallCt, make_slice
from tests.ports import free_port
from tests.store.test_catalogue import Archive
from tests.stores import open_store
from wetread.identity import Role, make_identity
from wetread.store.audit_rows import AuditRows
from wetread.web import create_web

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
STUDY, SERIES = "1.1", "1.1.1"
WADO = {"requestType": "WADO", "studyUID": STUDY, "seriesUID": SERIES, "objectUID": "1.9.1"}


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    store = open_store(tmp_path_factory.mktemp("archive") / "data")
    one = Archive(store)
    for number in range(3):
        one.add(
            STUDY, SERIES, PatientName="Müller^Jürgen", PatientID="P1", StudyDescription=f"<b>{number}</b>"
        )
    one.add("1.2", "1.2.1", PatientName="Doe^Jane", StudyDate="20200101")
    yield one
    store.close()


@pytest.fixture(scope="module")
def base(archive: Archive) -> Iterator[str]:
    app = create_web(archive.store, (), now=lambda: NOW)
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error", server_header=False))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{port}/dicom-web"
    app.state.pulse.stop()
    server.should_exit = True
    thread.join(10)


@pytest.fixture
def client(base: str) -> DICOMwebClient:
    return DICOMwebClient(base)


def parts_of(answer: httpx.Response) -> list[bytes]:
    head = f"Content-Type: {answer.headers['content-type']}\r\n\r\n".encode()
    message = message_from_bytes(head + answer.content, policy=HTTP)
    return [part.get_payload(decode=True) for part in message.iter_parts()]  # type: ignore[misc]


def stored(archive: Archive, number: int = 1) -> bytes:
    held = archive.store.catalogue.find_held(f"1.9.{number}")
    assert held is not None
    with archive.store.catalogue.open(held) as file:
        return file.read()


def test_search_at_each_level(client: DICOMwebClient) -> None:
    studies = client.search_for_studies(search_filters={"PatientName": "muller*"})
    assert [one["0020000D"]["Value"] for one in studies] == [[STUDY]]
    series = client.search_for_series(STUDY)
    assert [one["0020000E"]["Value"] for one in series] == [[SERIES]]
    instances = client.search_for_instances(STUDY, SERIES, fields=["ImagePositionPatient"])
    assert len(instances) == 3
    assert all("00200032" in one for one in instances)
    assert client.search_for_studies(search_filters={"PatientID": "nobody"}) == []


def test_more_than_the_limit_is_told(base: str) -> None:
    answer = httpx.get(f"{base}/studies", params={"limit": 1, "InstitutionName": "x"})
    assert len(answer.json()) == 1
    count = len(httpx.get(f"{base}/studies").json())
    told = f"There are {count - 1} additional results that can be requested"
    assert told in answer.headers["warning"]

    assert "InstitutionName is not matched" in answer.headers["warning"]
    assert "warning" not in httpx.get(f"{base}/studies").headers


def test_headers_with_addresses_that_lead_to_the_values(client: DICOMwebClient, archive: Archive) -> None:
    headers = client.retrieve_series_metadata(STUDY, SERIES)
    assert len(headers) == 3
    uri = headers[0]["7FE00010"]["BulkDataURI"]
    uid = headers[0]["00080018"]["Value"][0]
    assert uri.endswith(f"/studies/{STUDY}/series/{SERIES}/instances/{uid}/bulkdata/7FE00010")
    [value] = client.retrieve_bulkdata(uri)
    held = archive.store.catalogue.find_held(uid)
    assert held is not None
    assert value == pydicom.dcmread(archive.store.catalogue.path_of(held)).PixelData


def test_objects_as_they_are_stored(client: DICOMwebClient, archive: Archive, base: str) -> None:
    got = client.retrieve_series(STUDY, SERIES)
    assert {ds.SOPInstanceUID for ds in got} == {"1.9.1", "1.9.2", "1.9.3"}
    single = httpx.get(
        f"{base}/studies/{STUDY}/series/{SERIES}/instances/1.9.1", headers={"Accept": "application/dicom"}
    )
    assert single.content == stored(archive)
    assert single.headers["content-type"] == "application/dicom"
    several = httpx.get(f"{base}/studies/{STUDY}")
    assert set(parts_of(several)) == {stored(archive, number) for number in (1, 2, 3)}


def test_frames(client: DICOMwebClient, archive: Archive, base: str) -> None:
    pixels = pydicom.dcmread(io.BytesIO(stored(archive))).PixelData
    [frame] = client.retrieve_instance_frames(
        STUDY, SERIES, "1.9.1", [1], media_types=(("application/octet-stream", "*"),)
    )
    assert frame == pixels
    url = f"{base}/studies/{STUDY}/series/{SERIES}/instances/1.9.1/frames"
    assert httpx.get(f"{url}/1", headers={"Accept": "application/octet-stream"}).content == pixels
    for missing in ("2", "0", "1,2", "x", "999999999999"):
        assert httpx.get(f"{url}/{missing}").status_code == 404, missing


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, JPEGLSLossless])
def test_another_transfer_syntax_becomes_the_default_one(
    archive: Archive, base: str, tmp_path: Path, syntax: str
) -> None:
    ds = make_slice(SmallCt(shape=(1, 8, 10), study_uid="1.4", series_uid="1.4.1"), 0)
    plain = ds.pixel_array.copy()
    ds.SOPInstanceUID = f"1.9.4.{len(syntax)}"
    if syntax == JPEGLSLossless:
        ds.compress(JPEGLSLossless, generate_instance_uid=False)
    else:
        ds.file_meta.TransferSyntaxUID = syntax
        ds.set_original_encoding(True, True, "latin-1")
    uid = archive.add_data_set(ds)
    url = f"{base}/studies/1.4/series/1.4.1/instances/{uid}"
    default = pydicom.dcmread(io.BytesIO(httpx.get(url, headers={"Accept": "application/dicom"}).content))
    assert default.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert np.array_equal(default.pixel_array, plain)
    as_stored = httpx.get(url, headers={"Accept": "application/dicom; transfer-syntax=*"})
    assert pydicom.dcmread(io.BytesIO(as_stored.content)).file_meta.TransferSyntaxUID == syntax
    [frame] = parts_of(httpx.get(f"{url}/frames/1"))
    assert frame == plain.astype("<i2" if ds.PixelRepresentation else "<u2").tobytes()


def test_xml_where_it_is_accepted(base: str) -> None:
    accept = {"Accept": 'multipart/related; type="application/dicom+xml"'}
    documents = parts_of(httpx.get(f"{base}/studies/{STUDY}/metadata", headers=accept))
    root = etree.fromstring(documents[0])
    space = {"n": "http://dicom.nema.org/PS3.19/models/NativeDICOM"}
    assert root.findtext("n:DicomAttribute[@tag='00081030']/n:Value", namespaces=space) == "<b>2</b>"
    name = "n:DicomAttribute[@tag='00100010']/n:PersonName/n:Alphabetic/n:FamilyName"
    assert root.findtext(name, namespaces=space) == "Müller"
    assert len(parts_of(httpx.get(f"{base}/studies", headers=accept))) >= 2


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("studies/9.9", 404),
        ("studies/9.9/metadata", 404),
        (f"studies/{STUDY}/series/9.9", 404),
        (f"studies/{STUDY}/series/{SERIES}/instances/9/bulkdata/7FE00010", 404),
        (f"studies/{STUDY}/series/{SERIES}/instances/1.9.1/bulkdata/00091001", 404),
        (f"studies/{STUDY}/series/{SERIES}/instances/1.9.1/bulkdata/..%2f..%2fetc", 404),
        ("studies/..%2f..%2fetc/metadata", 404),
        ("studies/%2e%2e/metadata", 404),
        ("studies?StudyDate=x", 400),
        ("studies?limit=-1", 400),
        ("studies?NoSuch=1", 400),
        ("studies/x/series", 400),
    ],
)
def test_what_is_not_there_or_makes_no_sense(base: str, path: str, status: int) -> None:
    answer = httpx.get(f"{base}/{path}")
    assert answer.status_code == status
    assert answer.json()["error"]


@pytest.mark.parametrize("path", ["studies", f"studies/{STUDY}", f"studies/{STUDY}/metadata"])
def test_what_nobody_can_serve(base: str, path: str) -> None:
    assert httpx.get(f"{base}/{path}", headers={"Accept": "text/html"}).status_code == 406


def test_a_sender_of_ones_own_is_all_that_is_found(archive: Archive) -> None:
    """By search, by WADO-RS and by WADO-URI, for an account that may see CT2 only."""
    archive.add("1.6", "1.6.1", source="CT2")
    identity = make_identity(archive.store, lambda: NOW, record=archive.store.audit.record)
    app = create_web(archive.store, (), identity=identity, now=lambda: NOW)
    token = identity.tokens.make("viewer", Role.SERVICE, NOW, by="test", sources=("CT2",))
    client = TestClient(app, base_url="http://127.0.0.1", headers={"Authorization": f"Bearer {token}"})
    for what in ("studies", "series", "instances"):
        found = client.get(f"/dicom-web/{what}").json()
        assert {one["0020000D"]["Value"][0] for one in found} == {"1.6"}, what
    for path in (f"studies/{STUDY}", f"studies/{STUDY}/metadata", f"studies/{STUDY}/series"):
        assert client.get(f"/dicom-web/{path}").status_code == 404, path
    assert client.get("/wado", params=WADO).status_code == 404
    assert client.get("/dicom-web/studies/1.6").status_code == 200


def test_a_file_that_is_gone_is_no_crash(base: str, archive: Archive) -> None:
    uid = archive.add("1.7", "1.7.1")
    held = archive.store.catalogue.find_held(uid)
    assert held is not None
    archive.store.catalogue.path_of(held).unlink()
    assert httpx.get(f"{base}/studies/1.7/metadata").status_code == 200
    for path in ("", f"/series/1.7.1/instances/{uid}/frames/1", "/thumbnail"):
        assert httpx.get(f"{base}/studies/1.7{path}").status_code == 503, path


def add_large(archive: Archive, study: str, count: int) -> None:
    """Add images of 2 MiB, so that they are not sent at once."""
    for number in range(count):
        ds = make_slice(SmallCt(shape=(1, 1024, 1024), study_uid=study, series_uid=f"{study}.1"), 0)
        ds.SOPInstanceUID, ds.InstanceNumber = f"{study}.9.{number}", number
        archive.add_data_set(ds)


def test_a_series_says_how_long_it_is(base: str, archive: Archive) -> None:
    add_large(archive, "1.8", 3)
    answer = httpx.get(f"{base}/studies/1.8")
    assert int(answer.headers["content-length"]) == len(answer.content) > 6 << 20
    assert "transfer-encoding" not in answer.headers
    held = archive.store.catalogue.list_held("1.8")
    files = [archive.store.catalogue.path_of(one).read_bytes() for one in held]
    # The parser of mail leaves out a line's end where an image ends with one.
    assert answer.content.count(files[0]) == answer.content.count(files[2]) == 1
    # What is written anew while it is sent has no length before.
    anew = 'multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.1'
    assert len(parts_of(httpx.get(f"{base}/studies/1.8", headers={"Accept": anew}))) == 3


def test_what_is_deleted_in_the_middle_ends_the_answer(base: str, archive: Archive) -> None:
    add_large(archive, "1.88", 24)
    held = archive.store.catalogue.list_held("1.88")
    with httpx.stream("GET", f"{base}/studies/1.88") as answer:
        pieces = answer.iter_raw(1 << 16)
        assert next(pieces)
        # Far behind what fits into the buffers between us.
        archive.store.catalogue.path_of(held[-1]).unlink()
        with pytest.raises(httpx.RemoteProtocolError):
            assert sum(len(piece) for piece in pieces) < 0
    assert httpx.get(f"{base}/studies/1.88").status_code == 503


def test_everything_is_in_the_audit_trail(base: str, archive: Archive) -> None:
    httpx.get(f"{base}/studies/{STUDY}")
    httpx.get(f"{base}/studies/1.2/metadata")
    for _ in range(3):
        httpx.get(f"{base}/studies/1.2/metadata")
    rows = AuditRows(archive.store.engine)
    messages = [entry.message for entry in rows.list_last(50, study="1.2")]
    assert any("3 objects by DICOMweb" in entry.message for entry in rows.list_last(50, study=STUDY))
    assert sum("headers of the study" in message for message in messages) == 1


def ask_uri(base: str, **parameters: str) -> httpx.Response:
    return httpx.get(base.replace("/dicom-web", "/wado"), params=WADO | parameters)


def test_wado_uri(base: str, archive: Archive) -> None:
    assert ask_uri(base, contentType="application/dicom").content == stored(archive)
    picture = Image.open(io.BytesIO(ask_uri(base, windowCenter="40", windowWidth="400").content))
    assert (picture.format, picture.size) == ("JPEG", (10, 8))
    png = ask_uri(base, contentType="image/webp,image/png", rows="16", columns="20")
    # Pixels are wider than high: the room is filled in breadth.
    assert Image.open(io.BytesIO(png.content)).size == (20, 11)


@pytest.mark.parametrize(
    ("parameters", "status"),
    [
        ({"requestType": "X"}, 400),
        ({"objectUID": "../x"}, 400),
        ({"seriesUID": "1.2.1"}, 404),
        ({"contentType": "video/mpeg"}, 406),
        ({"contentType": "application/dicom\r\nX: y"}, 406),
        ({"transferSyntax": "1.2.840.10008.1.2.4.90", "contentType": "application/dicom"}, 406),
        ({"frameNumber": "9"}, 404),
        ({"windowWidth": "1"}, 400),
        ({"rows": "1e9"}, 400),
        ({"imageQuality": "1000"}, 400),
    ],
)
def test_wado_uri_that_makes_no_sense(base: str, parameters: dict[str, str], status: int) -> None:
    assert ask_uri(base, **parameters).status_code == status


def test_pictures(base: str) -> None:
    url = f"{base}/studies/{STUDY}/series/{SERIES}/instances/1.9.1"
    rendered = httpx.get(f"{url}/rendered", params={"window": "40,400,linear", "viewport": "20,16"})
    assert rendered.headers["content-type"] == "image/jpeg"
    assert Image.open(io.BytesIO(rendered.content)).size == (20, 11)
    png = httpx.get(f"{url}/frames/1/rendered", headers={"Accept": "image/png"})
    assert Image.open(io.BytesIO(png.content)).format == "PNG"
    assert httpx.get(f"{base}/studies/{STUDY}/thumbnail").status_code == 200
    for bad in (
        {"window": "40"},
        {"window": "nan,1"},
        {"viewport": "0,0"},
        {"viewport": "1,2,3"},
        {"viewport": "9,9,90,90,5,5"},
        {"quality": "0"},
    ):
        assert httpx.get(f"{url}/rendered", params=bad).status_code == 400, bad
    assert httpx.get(f"{url}/rendered", headers={"Accept": "image/gif"}).status_code == 406
