"""What goes to peers by TLS: moved objects, reports of commitment; nothing to who cannot prove who it is."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, evt

from tests.path.service import await_true
from tests.ports import free_port
from tests.share.test_commitment import CT, Requestor, request
from tests.share.test_query_retrieve import MOVE
from tests.steady import STEADY
from tests.store.test_catalogue import Archive
from tests.stores import open_store
from wetread.certificates import make_authority, sign
from wetread.committing import make_reporter
from wetread.config import Config, DicomSettings
from wetread.errors import ConfigError
from wetread.network import ServerTls, server_context
from wetread.receive.admission import Guests, Peer, check_guests
from wetread.receive.cstore import Receiver, ReceiverOptions, start_receiver
from wetread.served import make_event_sender, make_services
from wetread.store import Store
from wetread.store.audit_rows import AuditRows

REFUSED = "do not accept each other's certificates"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("certificates")
    authority = make_authority("Hospital", 2)
    authority.write(made, "authority")
    make_authority("Somebody else", 2).write(made, "other")
    sign(authority, "STATION", hosts=("127.0.0.1",), days=1, server=True).write(made, "station")
    sign(authority, "WETREAD", hosts=("127.0.0.1",), days=1, server=True).write(made, "wetread")
    return made


class Station(Requestor):
    """Speaks TLS only, and asks who calls."""

    def __init__(self, folder: Path) -> None:
        super().__init__("STATION")
        self.stored: queue.Queue[str] = queue.Queue()
        self.ae.add_supported_context(CT)
        self.tls = ServerTls(
            certificate=folder / "station.pem",
            key=folder / "station.key",
            authorities=folder / "authority.pem",
        )

    def store(self, event: Any) -> int:
        self.stored.put(str(event.request.AffectedSOPInstanceUID))
        return 0

    def listen(self, port: int) -> Any:
        handlers = [STEADY, (evt.EVT_N_EVENT_REPORT, self.take), (evt.EVT_C_STORE, self.store)]
        address = ("127.0.0.1", port)
        context = server_context(self.tls)
        return self.ae.start_server(address, block=False, evt_handlers=handlers, ssl_context=context)


@dataclass
class Site:
    store: Store
    receiver: Receiver
    station: Station
    config: Config


@pytest.fixture(params=["authority", "other"])
def site(tmp_path: Path, folder: Path, request: pytest.FixtureRequest) -> Iterator[Site]:
    """Wetread, and a station whose certificate is by the authority that Wetread trusts, or by another."""
    store, port, station = open_store(tmp_path / "data"), free_port(), Station(folder)
    archive = Archive(store)
    for _ in range(2):
        archive.add("1.1", "1.1.1", PatientID="P1", Modality="CT")
    address = f"127.0.0.1:{port}"
    peers = (
        Peer(aet="STATION", retrieve_to=address, report_to=address, events_to=address, tls=True),
        Peer(aet="VIEWER", may_query=True),
    )
    settings = DicomSettings(
        peers=peers,
        certificate=folder / "wetread.pem",
        key=folder / "wetread.key",
        authorities=folder / f"{request.param}.pem",
    )
    config = Config(data=tmp_path, dicom=settings)
    reporter = make_reporter(config, store)
    reporter.backoff.waits_s = (0.2,)
    services = make_services(config, store, reporter=reporter)
    receiver = start_receiver(ReceiverOptions(port=0, peers=peers), store, services=services)
    reporter.start()
    listening = station.listen(port)
    yield Site(store, receiver, station, config)
    listening.shutdown()
    reporter.stop()
    receiver.stop()
    store.close()


def move(site: Site) -> Dataset:
    entity = AE("VIEWER")
    entity.add_requested_context(MOVE)
    association = entity.associate("127.0.0.1", site.receiver.port, ae_title="WETREAD", evt_handlers=[STEADY])
    wanted = Dataset()
    wanted.QueryRetrieveLevel, wanted.StudyInstanceUID = "STUDY", "1.1"
    *_, (status, _) = association.send_c_move(wanted, "STATION", MOVE)
    association.release()
    return status


@pytest.mark.parametrize("site", ["authority"], indirect=True)
def test_objects_are_moved_by_tls(site: Site) -> None:
    status = move(site)
    assert status.Status == 0
    assert status.NumberOfCompletedSuboperations == 2


@pytest.mark.parametrize("site", ["other"], indirect=True)
def test_nothing_is_moved_to_who_cannot_prove_who_it_is(site: Site) -> None:
    assert move(site).Status == 0xA801
    assert site.station.stored.empty()


@pytest.mark.parametrize("site", ["authority"], indirect=True)
def test_nothing_is_moved_without_tls_where_our_certificate_cannot_be_used(site: Site, folder: Path) -> None:
    hidden = folder / "hidden.key"
    (folder / "wetread.key").rename(hidden)
    try:
        assert move(site).Status == 0xA801
    finally:
        hidden.rename(folder / "wetread.key")
    assert site.station.stored.empty()
    told = AuditRows(site.store.engine).list_last(5)
    assert any("C-MOVE to STATION refused" in entry.message for entry in told)


@pytest.mark.parametrize("site", ["authority"], indirect=True)
def test_commitment_is_reported_by_tls(site: Site) -> None:
    assert site.station.ask(site.receiver.port, request((CT, "1.9.1"))) == 0
    kind, report = site.station.report()
    assert kind == 1
    assert report.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == "1.9.1"


@pytest.mark.parametrize("site", ["other"], indirect=True)
def test_a_report_waits_for_who_cannot_prove_who_it_is(site: Site) -> None:
    assert site.station.ask(site.receiver.port, request((CT, "1.9.1"))) == 0
    await_true(lambda: any(REFUSED in one.message for one in site.store.history.list_newest()), 60)
    assert site.station.reports.empty()


@pytest.mark.parametrize("site", ["authority"], indirect=True)
def test_events_of_workitems_go_by_tls(site: Site) -> None:
    assert make_event_sender(site.config, site.store).callees["STATION"].tls is not None


def test_tls_without_an_address_is_refused() -> None:
    with pytest.raises(ConfigError):
        check_guests(Guests(aet="WETREAD", peers=(Peer(aet="CT1", tls=True),)), has_certificates=True)
