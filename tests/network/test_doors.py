"""Images and messages over TLS: real peers, and everything about them that can be wrong."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pynetdicom import AE, build_context
from pynetdicom.sop_class import Verification

from tests.hostile.wire import Association
from tests.network.bytes_of import VERIFICATION, command, context, pdu, value
from tests.network.bytes_of import request as raw_request
from tests.orthanc import requires_orthanc, running_orthanc
from tests.path.service import await_true
from tests.receive.conftest import require_tool
from wetread.certificates import make_authority
from wetread.deliver.cstore import read_item, send_items
from wetread.deliver.destination import Destination, DestinationKind
from wetread.deliver.mllp import send_message
from wetread.dicom.digest import digest_data_set
from wetread.domain.progress import DeliveryState
from wetread.errors import ConfigError
from wetread.network import ClientTls, PeerCertificate, ServerTls, client_context
from wetread.receive.admission import Guests, Peer, judge
from wetread.receive.associate import AssociateRequest
from wetread.receive.cstore import Receiver, ReceiverOptions, start_receiver
from wetread.receive.mllp import MllpOptions, start_mllp_listener
from wetread.store import Store, open_store

Issue = Callable[..., Path]
FIND = b"1.2.840.10008.5.1.4.1.2.2.1"
ORU = "MSH|^~\\&|WETREAD|AI|RIS|HOSPITAL|20260102||ORU^R01^ORU_R01|M1|P|2.5.1\rPID|1||P1\r"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path / "data")
    yield opened
    opened.close()


def server_tls(stem: Path) -> ServerTls:
    return ServerTls(
        certificate=stem.with_suffix(".pem"),
        key=stem.with_suffix(".key"),
        authorities=stem.with_name("authority.pem"),
    )


def client_tls(stem: Path) -> ClientTls:
    return ClientTls(
        authorities=stem.with_name("authority.pem"),
        certificate=stem.with_suffix(".pem"),
        key=stem.with_suffix(".key"),
    )


@contextmanager
def receiving(store: Store, tls: ServerTls, *peers: Peer) -> Iterator[Receiver]:
    running = start_receiver(ReceiverOptions(port=0, tls=tls, peers=peers), store)
    try:
        yield running
    finally:
        running.stop()


def messages(store: Store) -> str:
    return " ".join(event.message for event in store.history.list_newest())


def associate(receiver: Receiver, aet: str, tls: ClientTls) -> Any:
    context = client_context(tls)
    return AE(aet).associate(
        "127.0.0.1",
        receiver.port,
        contexts=[build_context(Verification)],
        ae_title="WETREAD",
        tls_args=(context, "localhost"),
    )


def rejected(receiver: Receiver, aet: str, tls: ClientTls) -> Any:
    """Return a rejected association; pynetdicom misses one answer in a hundred that comes quickly."""
    found = [associate(receiver, aet, tls) for _ in range(4)]
    assert not any(one.is_established for one in found)
    return next(one for one in found if one.is_rejected)


def test_dcmtk_stores_over_tls(store: Store, issue: Issue, tmp_path: Path) -> None:
    server, ct = issue("server"), issue("CT1")
    path = tmp_path / "ct.dcm"
    shutil.copy(get_testdata_file("CT_small.dcm"), path)
    require_tool("storescu")
    with receiving(store, server_tls(server), Peer(aet="CT1", certificate="ct1")) as receiver:
        command = ["storescu", "--enable-tls", str(ct) + ".key", str(ct) + ".pem"]
        command += ["--add-cert-file", str(ct.with_name("authority.pem")), "-aet", "CT1", "-aec", "WETREAD"]
        command += ["127.0.0.1", str(receiver.port), str(path)]
        environment = os.environ | {"TCP_NODELAY": "1"}
        done = subprocess.run(command, capture_output=True, timeout=60, env=environment, check=False)
        assert done.returncode == 0, done.stderr
    assert len(list(store.intake.iter_known())) == 1


def test_a_large_image_over_tls_comes_whole(store: Store, issue: Issue, tmp_path: Path) -> None:
    """It goes to the disk in pieces, and its bytes come in TLS records of another size."""
    server, ct = issue("server"), issue("CT1")
    template = dcmread(get_testdata_file("CT_small.dcm"))
    template.Rows = template.Columns = 2048
    template.PixelData = os.urandom(2048 * 2048 * 2)
    template.save_as(tmp_path / "large.dcm")
    with receiving(store, server_tls(server), Peer(aet="CT1", certificate="ct1")) as receiver:
        destination = Destination(
            name="us",
            kind=DestinationKind.CSTORE,
            host="localhost",
            port=receiver.port,
            aet="WETREAD",
            calling_aet="CT1",
            tls=True,
            authorities=ct.with_name("authority.pem"),
            certificate=ct.with_suffix(".pem"),
            key=ct.with_suffix(".key"),
            timeout_s=60,
        )
        [outcome] = send_items(destination, [read_item(tmp_path / "large.dcm")])
        assert outcome.state is DeliveryState.SENT, outcome.message
    assert (
        store.intake.find_digest(str(template.SOPInstanceUID)) == digest_data_set(tmp_path / "large.dcm")[0]
    )


@pytest.mark.parametrize("others", [(), (FIND,)], ids=["ours", "pynetdicom"])
def test_messages_in_one_record_are_all_answered(store: Store, issue: Issue, others: tuple[bytes]) -> None:
    """Decrypted bytes wait where the kernel does not see them."""
    server, ct = issue("server"), issue("CT1")
    contexts = [context(number * 2 + 1, one) for number, one in enumerate((VERIFICATION, *others))]
    echo = pdu(4, value(3, command(0x30, data_set=0x0101, sop_class=VERIFICATION)))
    with receiving(store, server_tls(server), Peer(aet="CT1", certificate="CT1")) as receiver:
        plain = socket.create_connection(("127.0.0.1", receiver.port), timeout=20)
        with client_context(client_tls(ct)).wrap_socket(plain, server_hostname="localhost") as connection:
            connection.sendall(raw_request(*contexts, calling=b"CT1"))
            assert read_pdu(connection) == 0x02
            connection.sendall(echo * 20)
            assert [read_pdu(connection) for _ in range(20)] == [0x04] * 20
            connection.sendall(pdu(5, bytes(4)))
            assert read_pdu(connection) == 0x06


def read_pdu(connection: ssl.SSLSocket) -> int:
    """Read one PDU; return its type."""
    with connection.makefile("rb", buffering=0) as file:
        head = b""
        while len(head) < 6:
            head += file.read(6 - len(head)) or b""
        left = int.from_bytes(head[2:], "big")
        while left:
            left -= len(file.read(left) or b"")
    return head[0]


def test_titles_and_certificates_cannot_be_swapped(store: Store, issue: Issue) -> None:
    server, ct, mr = issue("server"), issue("CT1"), issue("MR1")
    peers = (Peer(aet="CT1", certificate="CT1"), Peer(aet="MR1", certificate="MR1"))
    with receiving(store, server_tls(server), *peers) as receiver:
        assert associate(receiver, "CT1", client_tls(ct)).is_established
        swapped = rejected(receiver, "CT1", client_tls(mr))
        answer = swapped.acceptor.primitive
        assert (answer.result, answer.result_source, answer.diagnostic) == (1, 1, 3)
        assert rejected(receiver, "XX1", client_tls(mr)).is_rejected
    assert "'CT1' at 127.0.0.1 rejected: its AE title is known, but not with this certificate" in messages(
        store
    )


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("none", "no client certificate"),
        ("expired", "expired"),
        ("stranger", "authority of the certificate is unknown"),
        ("plain", "speaks no TLS"),
    ],
)
def test_who_cannot_prove_who_he_is_stays_outside(store: Store, issue: Issue, fault: str, words: str) -> None:
    server = issue("server")
    other = make_authority("Another", 1) if fault == "stranger" else None
    peer = issue("CT1", by=other, days=-1 if fault == "expired" else 1)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(server.with_name("authority.pem"))
    if fault != "none":
        context.load_cert_chain(peer.with_suffix(".pem"), peer.with_suffix(".key"))
    with receiving(store, server_tls(server), Peer(aet="CT1")) as receiver:
        association = AE("CT1").associate(
            "127.0.0.1",
            receiver.port,
            contexts=[build_context(Verification)],
            ae_title="WETREAD",
            tls_args=None if fault == "plain" else (context, "localhost"),
        )
        assert not association.is_established
    assert words in messages(store)


def request(calling: str) -> AssociateRequest:
    return AssociateRequest(
        calling_aet=calling,
        called_aet="WETREAD",
        protocol_version=1,
        application_context="1.2.840.10008.3.1.1.1",
    )


@pytest.mark.parametrize(
    ("calling", "address", "is_welcome"),
    [
        ("CT1", "10.1.200.3", True),
        ("CT1", "::ffff:10.1.200.3", True),
        ("CT1", "10.2.0.1", False),
        ("CT2", "2001:db8::7", True),
        ("CT2", "2001:db9::7", False),
        ("ANYWHERE", "192.0.2.1", True),
        ("NOBODY", "10.1.200.3", False),
    ],
)
def test_titles_belong_to_addresses(calling: str, address: str, is_welcome: bool) -> None:
    guests = Guests(
        aet="WETREAD",
        allowed_aets=("ANYWHERE",),
        peers=(
            Peer(aet="CT1", addresses=("10.1.0.0/16",)),
            Peer(aet="CT2", addresses=("10.9.9.9", "2001:db8::/32")),
        ),
    )
    assert (judge(guests, request(calling), address, None) is None) is is_welcome


def test_all_three_must_fit() -> None:
    certificate = PeerCertificate("ab" * 32, frozenset({"ct1"}))
    peer = Peer(aet="CT1", addresses=("10.1.0.0/16",), certificate=":".join(["AB"] * 32))
    guests = Guests(aet="WETREAD", peers=(peer,))
    assert judge(guests, request("CT1"), "10.1.0.1", certificate) is None
    assert judge(guests, request("CT1"), "10.2.0.1", certificate) is not None
    assert judge(guests, request("CT1"), "10.1.0.1", None) is not None
    other = PeerCertificate("cd" * 32, frozenset({"ct1"}))
    assert judge(guests, request("CT1"), "10.1.0.1", other) is not None


def test_a_certificate_that_nobody_can_show_is_a_mistake(store: Store) -> None:
    with pytest.raises(ConfigError, match="none is asked for"):
        start_receiver(ReceiverOptions(port=0, peers=(Peer(aet="CT1", certificate="CT1"),)), store)


def test_an_instance_beyond_the_limit_is_not_kept(store: Store) -> None:
    running = start_receiver(ReceiverOptions(port=0, instance_limit=1 << 20), store)
    try:
        ct = "1.2.840.10008.5.1.4.1.1.2"
        with Association(running.port, ct) as association:
            status = association.store(ct.encode(), b"1.2.3.4", (bytes(1 << 16) for _ in range(200)))
        assert status == 0xA700
    finally:
        running.stop()
    assert "dicom.maximum_instance_mb" in messages(store)
    assert list(store.intake.incoming.iterdir()) == []


@requires_orthanc
def test_results_go_to_orthanc_over_tls(issue: Issue, tmp_path: Path) -> None:
    server, ours = issue("pacs"), issue("WETREAD")
    config = {
        "DicomTlsEnabled": True,
        "DicomTlsCertificate": f"{server}.pem",
        "DicomTlsPrivateKey": f"{server}.key",
        "DicomTlsTrustedCertificates": str(server.with_name("authority.pem")),
    }
    item = read_item(Path(get_testdata_file("CT_small.dcm")))
    with running_orthanc(tmp_path / "orthanc", config, dicomweb=False) as orthanc:
        good = Destination(
            name="pacs",
            kind=DestinationKind.CSTORE,
            host="127.0.0.1",
            port=orthanc.dicom_port,
            aet=orthanc.aet,
            tls=True,
            authorities=server.with_name("authority.pem"),
            certificate=ours.with_suffix(".pem"),
            key=ours.with_suffix(".key"),
            timeout_s=20,
        )
        [outcome] = send_items(good, [item])
        assert outcome.state is DeliveryState.SENT, outcome.message
        assert len(orthanc.get("/instances")) == 1


@pytest.mark.parametrize(
    ("fault", "words"),
    [("authority", "authority of the certificate is unknown"), ("host", "another host"), ("plain", "no TLS")],
)
@pytest.mark.parametrize("kind", list(DestinationKind))
def test_a_destination_that_is_not_who_it_should_be_gets_nothing(
    store: Store, issue: Issue, kind: DestinationKind, fault: str, words: str
) -> None:
    server = issue("server", hosts=("elsewhere.example",) if fault == "host" else ("127.0.0.1", "localhost"))
    if fault == "authority":
        make_authority("Another", 1).write(server.parent, "another")
    tls = ServerTls(certificate=server.with_suffix(".pem"), key=server.with_suffix(".key"))
    came: list[str] = []
    options = MllpOptions(port=0, tls=None if fault == "plain" else tls)
    listener = start_mllp_listener(options, came.append)  # type: ignore[arg-type]
    receiver = start_receiver(ReceiverOptions(port=0, tls=options.tls), store)
    destination = Destination(
        name="there",
        kind=kind,
        host="localhost",
        port=listener.port if kind is DestinationKind.MLLP else receiver.port,
        aet="" if kind is DestinationKind.MLLP else "WETREAD",
        tls=True,
        authorities=server.with_name("another.pem" if fault == "authority" else "authority.pem"),
        timeout_s=2,
    )
    try:
        if kind is DestinationKind.MLLP:
            outcome = send_message(destination, ORU, "1.2.3")
        else:
            [outcome] = send_items(destination, [read_item(Path(get_testdata_file("CT_small.dcm")))])
    finally:
        listener.stop()
        receiver.stop()
    assert (outcome.state, outcome.transient) == (DeliveryState.WAITING, True)
    if fault == "plain":
        assert outcome.code in ("peer-not-trusted", "peer-unreachable")
    else:
        assert outcome.code == "peer-not-trusted"
        assert words in outcome.message
    assert came == []


def test_messages_over_tls_by_the_right_certificate_only(issue: Issue) -> None:
    server, ris, other = issue("server"), issue("ris.example"), issue("other")
    options = MllpOptions(port=0, tls=server_tls(server), allowed_certificates=("ris.example",))
    came: list[str] = []
    refused: list[str] = []
    listener = start_mllp_listener(options, came.append, refused.append)  # type: ignore[arg-type]
    try:
        for stem in (ris, other):
            destination = Destination(
                name="us",
                kind=DestinationKind.MLLP,
                host="localhost",
                port=listener.port,
                tls=True,
                authorities=stem.with_name("authority.pem"),
                certificate=stem.with_name(stem.name + ".pem"),
                key=stem.with_name(stem.name + ".key"),
                timeout_s=10,
            )
            outcome = send_message(destination, ORU, "1.2.3")
            assert (outcome.state is DeliveryState.SENT) is (stem is ris), outcome.message
        # The sender may hear it before it is noted here.
        await_true(lambda: refused, 10, "the refusal")
    finally:
        listener.stop()
    assert came == [ORU]
    assert refused == ["its certificate is not on the list of those that may send."]


def test_messages_from_other_addresses_are_not_taken() -> None:
    refused: list[str] = []
    options = MllpOptions(port=0, allowed_addresses=("10.0.0.0/8",))
    listener = start_mllp_listener(options, lambda _: None, refused.append)
    try:
        with socket.create_connection(("127.0.0.1", listener.port), timeout=10) as connection:
            assert connection.recv(1) == b""
    finally:
        listener.stop()
    assert refused == ["127.0.0.1 is not on the list of those that may send."]
