"""Real senders of other makers against the upper layer: what they send is what is stored, byte for byte."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from pynetdicom import AE, _config, build_context, evt
from pynetdicom.dsutils import split_dataset
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    CTImageStorage,
    StudyRootQueryRetrieveInformationModelFind,
    Verification,
)

from tests.path.service import await_true
from tests.ports import free_port
from tests.receive.conftest import Send, require_tool, uid_of
from wetread.dicom.digest import digest_data_set
from wetread.receive import transport
from wetread.receive.cstore import Receiver, ReceiverOptions, start_receiver
from wetread.receive.services import Services
from wetread.store import Store

FIND = StudyRootQueryRetrieveInformationModelFind


def data_set_of(path: Path) -> bytes:
    _, offset = split_dataset(path)
    return path.read_bytes()[offset:]


def stored(store: Store, uid: str) -> bytes:
    return data_set_of(store.intake.instances.path(uid))


@contextlib.contextmanager
def running_storescp(folder: Path) -> Iterator[int]:
    """Run DCMTK's storescp, which keeps data sets as they come."""
    folder.mkdir()
    port = free_port()
    command = [require_tool("storescp"), "+B", "+xa", "-od", str(folder), str(port)]
    with subprocess.Popen(command) as process:
        await_true(lambda: _listens(port), 20, "storescp")
        try:
            yield port
        finally:
            process.terminate()


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port)).close()
        return True
    return False


def many(folder: Path, count: int, rows: int = 64) -> list[Path]:
    """Write new images with so many rows."""
    template = dcmread(str(get_testdata_file("CT_small.dcm")))
    template.Rows, template.Columns = rows, 512
    # DCMTK leaves it out.
    del template[0xFFFCFFFC]
    template.PixelData = os.urandom(rows * 512 * 2)
    folder.mkdir()
    paths = [folder / f"{number}.dcm" for number in range(count)]
    for path in paths:
        template.SOPInstanceUID = template.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        template.save_as(path)
    return paths


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("CT_small.dcm", "-xe"),
        ("CT_small.dcm", "-xi"),
        ("CT_small.dcm", "-xb"),
        ("MR_small_bigendian.dcm", "-xb"),
        ("image_dfl.dcm", "-xd"),
        ("MR_small_jpeg_ls_lossless.dcm", "-xt"),
        ("JPEG2000.dcm", "-xw"),
        ("JPEG-lossy.dcm", "-xx"),
        ("SC_rgb_jpeg_dcmtk.dcm", "-xy"),
        ("MR_small_RLE.dcm", "-xr"),
        ("MR_small_jp2klossless.dcm", "-xv"),
    ],
)
def test_what_is_stored_is_what_storescp_stores(
    send: Send, store: Store, tmp_path: Path, name: str, option: str
) -> None:
    path = Path(str(get_testdata_file(name)))
    with running_storescp(tmp_path / "theirs") as port:
        command = [require_tool("storescu"), option, "127.0.0.1", str(port), str(path)]
        assert subprocess.run(command, timeout=60, check=False).returncode == 0
    assert send(option, path).returncode == 0
    [theirs] = (tmp_path / "theirs").iterdir()
    ours = store.intake.instances.path(uid_of(path))
    assert data_set_of(ours) == data_set_of(theirs)
    syntaxes = [dcmread(one, stop_before_pixels=True).file_meta.TransferSyntaxUID for one in (ours, theirs)]
    assert syntaxes[0] == syntaxes[1]


@pytest.mark.parametrize("nagle", [True, False], ids=["nagle", "nodelay"])
@pytest.mark.parametrize("size", [4096, 131072])
@pytest.mark.parametrize("tool", ["storescu", "dcmsend"])
def test_dcmtk_sends_a_folder(
    send: Send, store: Store, tmp_path: Path, tool: str, size: int, nagle: bool
) -> None:
    paths = many(tmp_path / "images", 12)
    environment = {} if nagle else {"TCP_NODELAY": "1"}
    done = send("--max-send-pdu", size, "+sd", tmp_path / "images", tool=tool, **environment)
    assert done.returncode == 0, done.stderr
    for path in paths:
        assert stored(store, uid_of(path)) == data_set_of(path)


def test_a_large_one_among_small_ones(send: Send, store: Store, tmp_path: Path) -> None:
    small, large = many(tmp_path / "small", 3), many(tmp_path / "large", 2, rows=6000)
    assert send(small[0], large[0], small[1], large[1], small[2]).returncode == 0
    for path in small + large:
        assert stored(store, uid_of(path)) == data_set_of(path)
    assert list(store.intake.incoming.iterdir()) == []


def test_many_contexts_and_an_identity(send: Send, store: Store, ct: Path) -> None:
    # Without -R storescu proposes every storage class that it knows.
    assert send("--user", "joe", "--password", "secret", ct).returncode == 0
    # Nobody here looks at identities, and nobody pretends to (PS3.7 D.3.3.7): neither does storescp.
    assert send("--user", "joe", "--pos-response", ct).returncode != 0
    assert send("-R", ct).returncode == 0
    assert {uid for uid, _ in store.intake.iter_known()} == {uid_of(ct)}


def test_an_abort_after_the_last_one_keeps_it(send: Send, store: Store, ct: Path) -> None:
    [path] = many(ct.parent / "images", 1)
    send("--abort", path)
    assert stored(store, uid_of(path)) == data_set_of(path)


@pytest.fixture
def chunked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have pynetdicom send files as they are."""
    monkeypatch.setattr(_config, "STORE_SEND_CHUNKED_DATASET", True)


@pytest.mark.parametrize("longest", [7, 32, 0])
def test_pynetdicom_as_sender(
    receiver: Receiver, store: Store, tmp_path: Path, chunked: None, longest: int
) -> None:
    paths = many(tmp_path / "images", 4, rows=300)
    entity = AE("TESTER")
    contexts = [build_context(CTImageStorage, ExplicitVRLittleEndian)]
    association = entity.associate(
        "127.0.0.1", receiver.port, contexts=contexts, ae_title="WETREAD", max_pdu=longest
    )
    for path in paths:
        status = association.send_c_store(path)
        assert status.Status == 0
    # An answer with words in it.
    paths[0].write_bytes(paths[0].read_bytes()[:-200])
    answer = association.send_c_store(paths[0])
    association.release()
    assert (answer.Status, bool(answer.ErrorComment)) == (0xC000, True)
    assert association.is_released
    for path in paths[1:]:
        assert stored(store, uid_of(path)) == data_set_of(path)


def test_a_mixed_association_stores_and_finds(
    store: Store, tmp_path: Path, chunked: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The seam: what asks for more than storage goes to pynetdicom, with what was registered."""
    entered = []
    real = transport.QuickServer.enter
    monkeypatch.setattr(transport.QuickServer, "enter", lambda *given: entered.append(1) or real(*given))
    paths = many(tmp_path / "images", 3) + many(tmp_path / "large", 1, rows=6000)

    def answer_find(event: Any) -> Iterator[tuple[int, Any]]:
        yield 0xFF00, event.identifier

    services = Services(
        contexts=(build_context(FIND),),
        handlers=((evt.EVT_C_FIND, answer_find),),
        commands=frozenset({0x0020}),
    )
    running = start_receiver(ReceiverOptions(port=0), store, services=services)
    try:
        contexts = [
            build_context(CTImageStorage, ExplicitVRLittleEndian),
            build_context(FIND),
            build_context(Verification),
        ]
        association = AE("TESTER").associate("127.0.0.1", running.port, contexts=contexts, ae_title="WETREAD")
        question = dcmread(paths[0], stop_before_pixels=True)[0x00100020:0x00100021]
        question.QueryRetrieveLevel = "STUDY"
        for path in paths:
            assert association.send_c_store(path).Status == 0
            found = list(association.send_c_find(question, FIND))
            assert [status.Status for status, _ in found] == [0xFF00, 0x0000]
        assert association.send_c_echo().Status == 0
        association.release()
        assert association.is_released
        assert entered == [1]
        # What asks for storage alone does not come here.
        alone = AE("TESTER").associate("127.0.0.1", running.port, contexts=contexts[:1], ae_title="WETREAD")
        assert alone.send_c_store(paths[0]).Status == 0
        alone.release()
        assert entered == [1]
    finally:
        running.stop()
    for path in paths:
        assert stored(store, uid_of(path)) == data_set_of(path)
    assert list(store.intake.incoming.iterdir()) == []


def test_a_service_that_nobody_registered(receiver: Receiver, store: Store, ct: Path, chunked: None) -> None:
    contexts = [build_context(CTImageStorage, ExplicitVRLittleEndian), build_context(FIND)]
    association = AE("TESTER").associate("127.0.0.1", receiver.port, contexts=contexts, ae_title="WETREAD")
    assert [one.abstract_syntax for one in association.rejected_contexts] == [FIND]
    shutil.copy(ct, ct.with_name("other.dcm"))
    assert association.send_c_store(ct.with_name("other.dcm")).Status == 0
    association.release()
    assert digest_data_set(store.intake.instances.path(uid_of(ct)))[0] == digest_data_set(ct)[0]
