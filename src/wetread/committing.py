"""How storage commitment is put together: who asks of us and hears, from the configuration.

In: a ``Config``, a store.  Out: what the DICOM port serves for it, and who reports.
Never: an address that a request chose.
"""

from __future__ import annotations

from collections.abc import Callable

from pynetdicom import evt

from wetread.config import Config, DicomSettings
from wetread.deliver.destination import Verify
from wetread.dicom.scu import Callee
from wetread.receive.admission import Peer, read_address
from wetread.receive.reports import ReportScp
from wetread.receive.services import Services
from wetread.share.commitment import COMMANDS, CommitmentScp, commitment_context
from wetread.share.reporting import Reporter
from wetread.store import Store
from wetread.work import now


def make_reporter(config: Config, store: Store) -> Reporter:
    """Return who reports storage commitments to those who asked for them."""
    return Reporter(
        store=store,
        aet=config.dicom.aet,
        callees={
            one.aet: make_callee(one, one.report_to or one.retrieve_to, config.dicom)
            for one in config.dicom.peers
            if one.report_to or one.retrieve_to
        },
        clock=now,
    )


def make_callee(peer: Peer, address: str, dicom: DicomSettings) -> Callee:
    """Return how a peer is called by us at one of its addresses, ``HOST:PORT``."""
    host, port = read_address(address, peer.aet)
    return Callee(
        name=peer.aet,
        kind="peer",
        host=host,
        port=port,
        aet=peer.aet,
        calling_aet=dicom.aet,
        tls=dicom.client_tls if peer.tls else None,
        connect_timeout_s=10.0,
        timeout_s=30.0,
    )


def commitment_services(
    config: Config, store: Store, reporter: Reporter | None, wake: Callable[[], None]
) -> Services:
    """Return what is served; without a reporter what is asked waits for one.

    Parameters
    ----------
    wake
        Called when a destination has reported.
    """
    names: dict[str, list[str]] = {}
    for one in config.destinations:
        if one.verify is Verify.COMMITMENT:
            names.setdefault(one.aet, []).append(one.name)
    reports = ReportScp(store=store, destinations=names, clock=now, wake=wake)
    committing = CommitmentScp(
        store=store,
        aet=config.dicom.aet,
        clock=now,
        on_taken=reporter.take if reporter is not None else lambda _number, _association: None,
    )
    return Services(
        contexts=(commitment_context(),),
        handlers=((evt.EVT_N_ACTION, committing.act), (evt.EVT_N_EVENT_REPORT, reports.take)),
        commands=COMMANDS,
    )
