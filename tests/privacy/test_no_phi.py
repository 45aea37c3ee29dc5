"""A patient's data is planted everywhere and goes the whole path; all that is no record is searched."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, AllStoragePresentationContexts, build_context, evt

from tests.path.service import Service, await_true
from tests.ports import free_port
from wetread.deliver.destination import Destination, DestinationKind
from wetread.deliver.files import send_files
from wetread.domain.progress import DeliveryState, StudyState
from wetread.store.keys import make_key_file

NAME = "Yamada^Tarouq=山田^太郎q=やまだ^たろうq"
#: Attribute -> what stands there. Every value holds a word that stands nowhere else.
PLANTED = {
    "PatientName": NAME,
    "PatientID": "ZQPID4711",
    "PatientBirthDate": "19510203",
    "OtherPatientNames": "Müllerq^Jörgq",
    "PatientAddress": "Zqstreetq 7",
    "PatientComments": "Zqcommentq",
    "AccessionNumber": "ZQACC0815",
    "ReferringPhysicianName": "Zqreferrerq^Ann",
    "OperatorsName": "Zqoperatorq",
    "InstitutionName": "Zqinstitutionq",
    "InstitutionAddress": "Zqtownq",
    "StudyDescription": "Zqstudyq",
    "SeriesDescription": "Zqseriesq",
    "ImageComments": "Zqimageq",
    "ProtocolName": "Zqprotocolq",
    "RequestedProcedureDescription": "Zqprocedureq",
    "AdditionalPatientHistory": "Zqhistoryq",
}
WORDS = [
    "Yamada", "Tarouq", "山田", "太郎q", "やまだ", "19510203", "1951-02-03", "Müllerq", "Jörgq", "ZQPID4711",
    "ZQACC0815", "Zqprivateq",
    *(value.split("^")[0].split()[0] for value in PLANTED.values() if "Zq" in value),
]  # fmt: skip
#: A word as it may stand in bytes: UTF-8, JSON, HTML, addresses, Latin-1, Shift JIS, UTF-16.
NEEDLES = sorted(
    {
        form.lower()
        for word in WORDS
        for form in (
            word.encode(),
            word.encode("unicode_escape"),
            word.encode("latin-1", "ignore") if len(word.encode("latin-1", "ignore")) == len(word) else b"",
            word.encode("shift_jis", "ignore") if word == "山田" else b"",
            urllib.request.quote(word).encode(),
            word.encode("utf-16-le"),
        )
        if len(form) > 3
    }
)
PACKAGE = """
name = "raises"
version = "1.0.0"
title = "raises"
intended_use = "test"
state = "live"
operating_point = "default"
[eligibility]
modalities = ["CT"]
[runtime]
kind = "python"
entry = "raises_names:read"
timeout_s = 60
memory_mb = 2048
"""
READER = f"""
def read(request):
    print("{NAME}")
    raise ValueError("no lungs in {NAME} ZQPID4711")
"""
RULES = """
[[rules]]
name = "all"
models = ["chest-ct", "raises"]
modality = "CT"
[[rules]]
name = "never"
models = ["asks"]
when = [{keyword = "PatientName", equals = "Nobody"}, {keyword = "StudyDescription", matches = "x"}]
"""


def found(data: bytes, shortest: int = 0) -> list[bytes]:
    lowered = data.lower()
    return [needle for needle in NEEDLES if len(needle) >= shortest and needle in lowered]


@dataclass
class Pacs:
    """Refuses every second object, and says whose it is."""

    port: int
    count: int = 0
    got: list[str] = field(default_factory=list)

    def on_store(self, event: Any) -> Dataset:
        self.count += 1
        answer = Dataset()
        answer.Status = 0xA900 if self.count % 2 else 0x0000
        if answer.Status:
            answer.ErrorComment = "Patient Yamada^Tarouq ZQPID4711 is unknown"
        self.got.append(str(event.dataset.PatientName))
        return answer


@pytest.fixture
def pacs() -> Iterator[Pacs]:
    pacs = Pacs(port=free_port())
    entity = AE("PACS")
    for context in AllStoragePresentationContexts:
        entity.add_supported_context(context.abstract_syntax)
    server = entity.start_server(
        ("127.0.0.1", pacs.port), block=False, evt_handlers=[(evt.EVT_C_STORE, pacs.on_store)]
    )
    yield pacs
    server.shutdown()


def plant(files: list[Path], folder: Path) -> tuple[Path, str]:
    """Write the study anew with what is planted; returns its folder and UID."""
    folder.mkdir()
    for number, path in enumerate(files):
        ds = pydicom.dcmread(path)
        ds.SpecificCharacterSet = "ISO_IR 192"
        for keyword, value in PLANTED.items():
            setattr(ds, keyword, value)
        block = ds.private_block(0x0099, "WETREAD TEST", create=True)
        block.add_new(1, "LO", "Zqprivateq")
        ds.save_as(folder / f"Yamada_Tarouq_{number}.dcm")
    return folder, str(ds.StudyInstanceUID)


def send_broken(port: int, whole: Path, folder: Path) -> None:
    """Send one object cut short and one whose UIDs do not fit: both are refused with a reason."""
    for edit in ("cut", "uid"):
        ds = pydicom.dcmread(whole)
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"{ds.SOPInstanceUID}.9"
        if edit == "uid":
            ds.StudyInstanceUID = "Yamada^Tarouq"
        path = folder / f"{edit}.dcm"
        ds.save_as(path)
        if edit == "cut":
            path.write_bytes(path.read_bytes()[:-1000])
        entity = AE("CT")
        association = entity.associate(
            "127.0.0.1", port, contexts=[build_context(ds.SOPClassUID, ds.file_meta.TransferSyntaxUID)],
            ae_title="WETREAD",
        )  # fmt: skip
        assert association.send_c_store(path).Status != 0
        association.release()


def say_hl7(port: int) -> None:
    import socket

    message = f"MSH|^~\\&|A|B|C|D|20260101||ORM^O01|1|P|2.5\rPID|1||ZQPID4711||{NAME}||19510203\r"
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(b"\x0b" + message.encode() + b"\x1c\r")
        assert connection.recv(4096)


@pytest.mark.timeout(420)
def test_nothing_that_is_no_record_names_the_patient(
    visits: list[list[Path]],
    make_service: Callable[..., Service],
    pacs: Pacs,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for variable in ("PYTHONDEVMODE", "PYTHONASYNCIODEBUG"):
        monkeypatch.setenv(variable, "1")
    monkeypatch.setenv("LOG_LEVEL", "DEBUG")
    for name in ("raises", "asks"):
        package = tmp_path / "packages" / name
        package.mkdir(parents=True)
        (package / "model.toml").write_text(PACKAGE.replace('"raises"', f'"{name}"'))
        (package / "raises_names.py").write_text(READER)
    hl7_port = free_port()
    models = [str(tmp_path / "packages" / name) for name in ("raises", "asks")]
    config = (
        f"models = {models}\n[study]\nquiet_s = 2\n[hl7]\nport = {hl7_port}\n"
        f'[[destinations]]\nname = "pacs"\nto = "PACS@127.0.0.1:{pacs.port}"\nverify = "none"\n{RULES}'
    )
    make_key_file(tmp_path / "key")
    config += f'[encryption]\nkey_file = "{tmp_path / "key"}"\nrefuse_plain = true\n'
    service = make_service(config)
    folder, study = plant(visits[0], tmp_path / "Yamada^Tarouq")
    say_hl7(hl7_port)
    us = Destination(
        name="us", kind=DestinationKind.CSTORE, host="127.0.0.1", port=service.dicom_port, aet="WETREAD"
    )
    assert send_files(folder, us).refused == ()
    send_broken(service.dicom_port, next(folder.iterdir()), tmp_path)
    seen = _watch(service, study)
    _search_pages(service)
    service.stop()
    assert pacs.got, "nothing was delivered"
    assert any("Yamada" in name for name in pacs.got), "what is delivered names the patient, as it must"
    _search_service(service, seen)
    _search_commands(service, folder)


def _watch(service: Service, study: str) -> bytes:
    """Wait until all is delivered or refused; returns what the processes' arguments and environments held."""
    seen = bytearray()

    def is_done() -> bool:
        assert service.process is not None
        for process in _family(service.process.pid):
            for name in ("cmdline", "environ"):
                try:
                    seen.extend((process / name).read_bytes())
                except OSError:
                    continue
        with service.store() as store:
            row = store.studies.find(study)
            rows = store.deliveries.list_for_study(study)
        is_read = row is not None and row.state is StudyState.READ
        return is_read and bool(rows) and all(one.state is not DeliveryState.WAITING for one in rows)

    await_true(is_done, 300, f"the delivery ({service.log})")
    return bytes(seen)


def _family(pid: int) -> list[Path]:
    found = [Path(f"/proc/{pid}")]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            parent = re.search(r"^PPid:\t(\d+)", (process / "status").read_text(), re.M)
        except OSError:
            continue
        if parent and int(parent[1]) == pid:
            found.append(process)
    return found


def _get(service: Service, path: str) -> tuple[bytes, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{service.http_port}{path}", timeout=20) as answer:
            return answer.read(), answer.headers["Content-Type"]
    except urllib.error.HTTPError as error:
        return error.read(), "error"


def _search_pages(service: Service) -> None:
    """Follow every address of the pages: none names the patient; nor do health and errors."""
    assert found(_get(service, "/health")[0]) == []
    assert found(_get(service, "/metrics")[0]) == []
    assert found(_get(service, "/studies/Yamada%5ETarouq".replace("Yamada%5ETarouq", "0" * 16))[0]) == []
    todo, done = ["/"], set()
    texts = b""
    while todo:
        path = todo.pop()
        done.add(path)
        body, kind = _get(service, path)
        if not kind.startswith("text/html"):
            continue
        texts += body
        for address in re.findall(rb'(?:href|src|action|hx-[a-z]+)="([^"]*)"', body):
            assert found(address) == [], address
            local = address.decode().split("#")[0]
            # Of hundreds of slices in some windows each: one page and one picture.
            kind_of = re.sub(
                r"(?<=slice=)\d+|(?<=window=)\w+|(?<=/stacks/\w{16}/)\d+|(?<=part=)[\d,]+", "", local
            )
            if local.startswith("/") and kind_of not in done and not local.startswith("/static"):
                done.add(kind_of)
                todo.append(local)
    assert b"yamada" in texts.lower(), "the pages themselves show whose study it is"


def _search_service(service: Service, seen: bytes) -> None:
    assert found(seen) == [], "arguments or environment of a process"
    assert found((service.folder / "serve.log").read_bytes()) == [], "log"
    files = [path for path in service.data.rglob("*") if path.is_file()]
    assert found("\n".join(map(str, files)).encode()) == [], "file names"
    for path in files:
        place = path.relative_to(service.data)
        # The index alone holds names in the clear: see the guide on encryption.
        if not path.name.startswith("index.sqlite"):
            # Four given bytes stand by chance in a tenth of such folders of encrypted images.
            assert found(path.read_bytes(), shortest=6) == [], place
    _search_index(service.data / "index.sqlite")


def _search_index(path: Path) -> None:
    allowed = {"study", "instance"}
    with sqlite3.connect(path) as connection:
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        assert "event" in tables
        for table in set(tables) - allowed:
            for row in connection.execute(f'SELECT * FROM "{table}"'):  # noqa: S608 - from the index itself
                # The patient's identifier belongs into the audit trail (PS3.15 A.5.2), a name does not.
                hits = found(repr(row).encode())
                hits = [one for one in hits if table != "audit" or b"zqpid4711" not in one]
                assert hits == [], (table, row)
        refused = connection.execute("SELECT message FROM delivery WHERE state = 'refused'").fetchall()
        assert any("0xA900 Patient … is unknown" in message for (message,) in refused), refused


def _search_commands(service: Service, folder: Path) -> None:
    """What commands say when they fail."""
    program = str(Path(sys.executable).parent / "wetread")
    (folder / "broken.dcm").write_bytes(next(folder.iterdir()).read_bytes()[:2000])
    commands = [
        ["explain", "1.2.3", "--data", str(service.data)],
        ["analyze", str(folder / "broken.dcm"), "--out", str(folder / "out")],
        ["hold", "1.2.3", "--why", "asked for", "--data", str(service.data)],
        ["send", str(folder / "broken.dcm"), "WETREAD@127.0.0.1:1"],
    ]
    for command in commands:
        outcome = subprocess.run(
            [program, *command], capture_output=True, env=os.environ.copy(), timeout=60, check=False
        )
        said = outcome.stdout + outcome.stderr
        assert outcome.returncode != 0, command
        # The user's own words, such as a path, may come back.
        assert found(said.replace(str(folder).encode(), b"")) == [], said
