"""C-STORE delivery to real parts: DCMTK and Orthanc; and to peers that misbehave."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pydicom.data
import pytest
from pydicom import dcmread
from pynetdicom import AE, AllStoragePresentationContexts, _config, evt

from tests.orthanc import requires_orthanc, running_orthanc
from tests.ports import free_port
from wetread.deliver import send_documents, verify_documents
from wetread.deliver.cstore import MAXIMUM_CONTEXTS, Item, _batches
from wetread.deliver.destination import Destination, DestinationKind, Verify, parse_destination
from wetread.deliver.files import send_files
from wetread.dicom.digest import digest_data_set
from wetread.domain.document import Document, DocumentKind
from wetread.domain.progress import DeliveryState


def destination(port: int, **settings: Any) -> Destination:
    known = {"aet": "PEER", "timeout_s": 15.0, "connect_timeout_s": 5.0} | settings
    return Destination(name="peer", kind=DestinationKind.CSTORE, host="127.0.0.1", port=port, **known)


@contextlib.contextmanager
def running_storescp(folder: Path, *options: str) -> Iterator[int]:
    if shutil.which("storescp") is None:
        pytest.skip("storescp is not installed (apt install dcmtk).")
    folder.mkdir(exist_ok=True)
    port = free_port()
    process = subprocess.Popen(["storescp", "+B", "+xa", "-od", str(folder), *options, str(port)])
    try:
        for _ in range(100):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait(10)


@contextlib.contextmanager
def running_peer(on_store: Any, contexts: Any = None, **attributes: Any) -> Iterator[int]:
    """Run a peer that answers as it is told."""
    entity = AE("PEER")
    for name, value in attributes.items():
        setattr(entity, name, value)
    entity.supported_contexts = contexts or AllStoragePresentationContexts
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, on_store)])
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()


def test_dcmtk_gets_every_kind_as_it_is(tmp_path: Path, documents: list[Document]) -> None:
    with running_storescp(tmp_path / "in") as port:
        outcomes = send_documents(destination(port, aet="STORESCP"), documents)
    assert [outcome.state for outcome in outcomes] == [DeliveryState.SENT] * len(documents)
    assert [outcome.sop_instance_uid for outcome in outcomes] == [one.sop_instance_uid for one in documents]
    got = {str(dcmread(path, force=True).SOPInstanceUID) for path in (tmp_path / "in").iterdir()}
    assert got == {one.sop_instance_uid for one in documents}


@requires_orthanc
@pytest.mark.parametrize("verify", [Verify.CFIND, Verify.QIDO])
def test_orthanc_lists_what_it_got(tmp_path: Path, documents: list[Document], verify: Verify) -> None:
    with running_orthanc(tmp_path / "orthanc") as orthanc:
        target = destination(
            orthanc.dicom_port, aet=orthanc.aet, verify=verify, qido_url=orthanc.dicomweb_url, timeout_s=10.0
        )
        missing = verify_documents(target, documents)
        assert {(one.state, one.code) for one in missing} == {(DeliveryState.WAITING, "not-found-at-peer")}
        for _ in range(2):
            outcomes = send_documents(target, documents)
            assert {one.state for one in outcomes} == {DeliveryState.SENT}
        checked = verify_documents(target, documents)
        assert {one.state for one in checked} == {DeliveryState.VERIFIED}
        assert orthanc.get("/statistics")["CountInstances"] == len(documents)
    # Gone: what was acknowledged stays acknowledged, it only cannot be asked for now.
    later = verify_documents(replace(target, timeout_s=1.0), documents)
    assert {(one.state, one.transient) for one in later} == {(DeliveryState.SENT, True)}
    assert all(one.code for one in later)


@pytest.mark.parametrize(
    ("status", "state", "transient"),
    [
        (0x0000, DeliveryState.SENT, False),
        (0xB000, DeliveryState.SENT, False),
        (0xB007, DeliveryState.SENT, False),
        (0xA700, DeliveryState.WAITING, True),
        (0x0110, DeliveryState.WAITING, True),
        (0x0124, DeliveryState.WAITING, True),
        (0xA900, DeliveryState.REFUSED, False),
        (0xC000, DeliveryState.REFUSED, False),
        (0x0111, DeliveryState.REFUSED, False),
        (0x0122, DeliveryState.REFUSED, False),
    ],
)
def test_what_statuses_mean(
    documents: list[Document], status: int, state: DeliveryState, transient: bool
) -> None:
    with running_peer(lambda _event: status) as port:
        (outcome,) = send_documents(destination(port), documents[:1])
    assert (outcome.state, outcome.transient) == (state, transient)
    if state is not DeliveryState.SENT:
        assert f"0x{status:04X}" in outcome.message
        assert outcome.code == "not-acknowledged"


def test_what_is_not_taken_does_not_stop_the_rest(
    documents: list[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Our receiver's setting, for the whole process; this peer must be choosy.
    monkeypatch.setattr(_config, "UNRESTRICTED_STORAGE_SERVICE", False)
    contexts = [one for one in AllStoragePresentationContexts if "88.34" not in str(one.abstract_syntax)]
    with running_peer(lambda _event: 0x0000, contexts) as port:
        outcomes = send_documents(destination(port), documents)
    states = {document.kind: outcome.state for document, outcome in zip(documents, outcomes, strict=True)}
    assert states.pop(DocumentKind.SR) is DeliveryState.REFUSED
    assert set(states.values()) == {DeliveryState.SENT}


def test_a_rejected_association_is_tried_again(documents: list[Document]) -> None:
    with running_peer(lambda _event: 0x0000, require_calling_aet=["OTHER"]) as port:
        outcomes = send_documents(destination(port), documents)
    assert {(one.state, one.code) for one in outcomes} == {(DeliveryState.WAITING, "association-rejected")}
    assert "Calling AE title" in outcomes[0].message


def test_nobody_there(documents: list[Document]) -> None:
    outcomes = send_documents(destination(free_port()), documents)
    assert {(one.state, one.code) for one in outcomes} == {(DeliveryState.WAITING, "peer-unreachable")}


def test_an_unknown_host(documents: list[Document]) -> None:
    target = replace(destination(104), host="no.such.host.invalid")
    (outcome,) = send_documents(target, documents[:1])
    assert outcome.code == "peer-unreachable"


def test_a_silent_peer_has_a_limit(documents: list[Document]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        outcomes = send_documents(destination(silent.getsockname()[1], timeout_s=0.5), documents)
        assert time.monotonic() - began < 5.0
    assert {one.state for one in outcomes} == {DeliveryState.WAITING}


def test_a_peer_that_stops_answering_has_a_limit(documents: list[Document]) -> None:
    taken = []

    def slow(_event: Any) -> int:
        taken.append(1)
        if len(taken) > 1:
            time.sleep(4)
        return 0x0000

    with running_peer(slow) as port:
        began = time.monotonic()
        outcomes = send_documents(destination(port, timeout_s=1.5), documents)
        assert time.monotonic() - began < 10.0
    assert outcomes[0].state is DeliveryState.SENT
    assert {one.state for one in outcomes[1:]} == {DeliveryState.WAITING}


def test_a_peer_that_aborts(documents: list[Document]) -> None:
    def abort(event: Any) -> int:
        event.assoc.abort()
        return 0x0000

    with running_peer(abort) as port:
        outcomes = send_documents(destination(port), documents)
    assert {one.state for one in outcomes} == {DeliveryState.WAITING}


def test_batches_fit_an_association() -> None:
    items = [
        Item(path=Path("x"), sop_class_uid=f"1.2.{n}", sop_instance_uid="1", transfer_syntax_uid="1.2")
        for n in range(300)
    ]
    batches = list(_batches(items))
    assert [len(batch) for batch in batches] == [MAXIMUM_CONTEXTS, MAXIMUM_CONTEXTS, 44]


def test_send_files_of_many_kinds(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    source = Path(pydicom.data.__file__).parent / "test_files"
    names = [
        "CT_small.dcm",
        "MR_small_bigendian.dcm",
        "JPEG2000.dcm",
        "SC_rgb_rle.dcm",
        "JPEG-lossy.dcm",
        "DICOMDIR",
    ]
    for name in names:
        for path in source.rglob(name):
            shutil.copy(path, folder / name)
    (folder / "note.txt").write_text("hello")
    seen = []
    with running_storescp(tmp_path / "in") as port:
        summary = send_files(
            folder,
            parse_destination(f"STORESCP@127.0.0.1:{port}"),
            lambda done, total: seen.append((done, total)),
        )
    assert summary.sent == 5
    (line,) = summary.refused
    assert "note.txt" in line
    assert seen[-1] == (6, 6)
    sent = {digest_data_set(folder / name)[0] for name in names[:5]}
    got = {digest_data_set(path)[0] for path in (tmp_path / "in").iterdir()}
    assert sent == got
