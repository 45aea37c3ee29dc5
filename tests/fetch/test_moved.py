"""What a PACS sends to our port because we asked it to (C-MOVE) is judged there, before it is stored."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fetch.desk import Desk
from tests.fetch.peers import PeerPacs, make_study, orthanc_pacs
from tests.orthanc import requires_orthanc
from tests.ports import free_port
from tests.store.test_catalogue import Archive
from tests.stores import open_store
from wetread.domain.fetching import FetchReason, FetchState
from wetread.fetch.pacs import Pacs, Retrieve
from wetread.receive.cstore import ReceiverOptions, start_receiver
from wetread.store.fetches import Want

pytestmark = requires_orthanc
LIVE, PRIOR = "1.2.840.9", "1.2.840.1"


@pytest.fixture
def own_port() -> int:
    return free_port()


@pytest.fixture
def peer(tmp_path: Path, own_port: int) -> Iterator[PeerPacs]:
    with orthanc_pacs(tmp_path / "orthanc", own_port) as running:
        yield running


@pytest.fixture
def desk(tmp_path: Path, peer: PeerPacs, own_port: int) -> Iterator[Desk]:
    pacs = Pacs(name="archive", to=peer.to, retrieve=Retrieve.CMOVE, timeout_s=60)
    made = Desk(open_store(tmp_path / "data"), pacs)
    archive = Archive(made.store)
    for ds in make_study(LIVE, PatientID="MINE"):
        archive.add_data_set(ds)
    receiver = start_receiver(ReceiverOptions(port=own_port), made.store)
    yield made
    receiver.stop()
    made.close()


def fetch_prior(desk: Desk, peer: PeerPacs, patient: str) -> None:
    peer.store(make_study(PRIOR, images=2, PatientID=patient))
    want = Want(study_instance_uid=PRIOR, pacs="archive", reason=FetchReason.PRIOR, for_study=LIVE)
    desk.store.fetches.want(want, desk.clock.now)
    desk.run()


def test_another_patients_images_are_not_stored(desk: Desk, peer: PeerPacs) -> None:
    fetch_prior(desk, peer, "OTHER")
    row = desk.row(PRIOR)
    assert (row.state, row.problem_code) == (FetchState.FAILED, "other-patient")
    assert desk.images(PRIOR) == 0
    assert "another patient" in desk.events(PRIOR)[-1]
    # Somebody may look and ask again: it is not remembered against the study.
    desk.store.fetches.retry([row.id], desk.clock.now)
    assert desk.row(PRIOR).problem_code == ""


def test_the_patients_own_are(desk: Desk, peer: PeerPacs) -> None:
    fetch_prior(desk, peer, "MINE")
    assert desk.row(PRIOR).state is FetchState.FETCHED
    assert desk.images(PRIOR) == 2
