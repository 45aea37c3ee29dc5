"""A real service that is killed in the middle: it goes on, and what is live goes first."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.fetch.peers import PeerPacs, make_study, orthanc_pacs
from tests.orthanc import requires_orthanc
from tests.path.service import Service, await_true
from tests.ports import free_port
from tests.trust.quick import configure_quick, write_quick_model
from wetread.domain.fetching import BackfillState, FetchState, Purpose
from wetread.domain.progress import StudyState

pytestmark = requires_orthanc
#: On a machine that has other work.
PROMPTLY_S = 120.0
TODAY = datetime.now(UTC).astimezone().date()
OLD = TODAY - timedelta(days=3000)
#: Between asking whether something live waits and beginning what is not.
_RACE_S = 0.5


@pytest.fixture
def own_port() -> int:
    return free_port()


@pytest.fixture
def peer(tmp_path: Path, own_port: int) -> Iterator[PeerPacs]:
    with orthanc_pacs(tmp_path / "orthanc", own_port) as running:
        yield running


@pytest.fixture
def service(tmp_path: Path, peer: PeerPacs, own_port: int) -> Iterator[Service]:
    folder = tmp_path / "service"
    folder.mkdir()
    write_quick_model(folder)
    pacs = (
        f'[[pacs]]\nname = "archive"\nto = "{peer.to}"\nretrieve = "c-move"\n'
        "watch = {on = true, interval_s = 1}\n"
        "priors = {on = true, wait_s = 60}\n"
    )
    made = Service(
        folder=folder,
        dicom_port=own_port,
        http_port=free_port(),
        config=f"{configure_quick(folder)}{pacs}[study]\nquiet_s = 1\n",
    )
    yield made
    made.stop()


def put(peer: PeerPacs, study: str, day: object, images: int = 3, **attributes: object) -> str:
    peer.store(make_study(study, images=images, StudyDate=f"{day:%Y%m%d}", **attributes))
    return study


def states(service: Service) -> dict[str, FetchState]:
    with service.store() as store:
        return {row.study_instance_uid: row.state for row in store.fetches.list_by_state(*FetchState)}


def test_a_killed_service_goes_on_and_what_is_live_goes_first(
    service: Service, peer: PeerPacs, own_port: int
) -> None:
    old = [put(peer, f"1.5.{n}", OLD + timedelta(days=n), PatientID=f"B{n}") for n in range(3)]
    new = [put(peer, f"1.6.{n}", TODAY, images=4, PatientID=f"W{n}") for n in range(2)]
    prior = put(peer, "1.5.70", TODAY - timedelta(days=30), PatientID="LIVE")
    service.start()
    begin(service)
    await_true(lambda: FetchState.FETCHED in states(service).values(), PROMPTLY_S, "the first study")
    service.kill()
    service.start()
    PeerPacs(aet="WETREAD", port=own_port).store(
        make_study("1.5.90", images=3, StudyDate=f"{TODAY:%Y%m%d}", PatientID="LIVE")
    )
    for study in ("1.5.90", *new, *old):
        service.await_state(study, StudyState.READ, timeout_s=PROMPTLY_S)
    assert states(service) == dict.fromkeys([*old, *new, prior], FetchState.FETCHED)
    with service.store() as store:
        # All of it came, and was read once.
        assert [store.studies.find(study).instance_count for study in (*new, *old)] == [4, 4, 3, 3, 3]
        current = store.readings.list_current([*new, *old])
        assert [len(current[study]) for study in (*new, *old)] == [1] * 5
        # Nothing old was begun while something live waited.
        live = store.studies.find("1.5.90")
        [first, *_] = store.studies.list_revisions("1.5.90")
        begun = [one.begun_at for study in old for one in store.studies.list_revisions(study)]
        assert first.finished_at is not None
        assert [at for at in begun if live.first_received_at + _RACE_S < at < first.finished_at] == []
        assert {store.studies.find(study).purpose for study in old} == {Purpose.BACKFILL}
        assert store.studies.find(prior).purpose is Purpose.PRIOR
        assert store.studies.find(prior).revision == 0
        waiting = {row.study_instance_uid for row in store.studies.list_waiting()}
    assert waiting == {"1.5.90", *new}
    events = service.events("1.5.90")
    told = next(n for n, text in enumerate(events) if "Priors from archive: 1 came" in text)
    read = next(n for n, text in enumerate(events) if text.startswith("infer: quick"))
    assert told < read
    await_true(lambda: is_done(service), PROMPTLY_S, "the end of the backfill")


def begin(service: Service) -> None:
    program = str(Path(sys.executable).parent / "wetread")
    command = [program, "backfill", "--from", f"{OLD}", "--to", f"{OLD + timedelta(days=2)}"]
    done = subprocess.run(
        [*command, "--config", str(service.folder / "wetread.toml")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "3 days" in done.stdout


def is_done(service: Service) -> bool:
    with service.store() as store:
        return store.backfills.list_all()[0].state is BackfillState.DONE
