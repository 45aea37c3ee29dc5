"""A dead PACS costs nothing: others get their results meanwhile."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from pynetdicom.dsutils import split_dataset

from tests.orthanc import requires_orthanc, running_orthanc
from tests.path.conftest import make_service
from tests.path.service import Service, await_true
from tests.ports import free_port
from tests.trust.chaos import Chaos, Mode
from tests.trust.quick import configure_quick, study_uid, write_quick_model, write_quick_study
from tests.trust.sender import Sender
from wetread.deliver.cstore import read_item
from wetread.domain.progress import DeliveryState
from wetread.path import DELIVER_QUEUE
from wetread.store.deliveries import DeliveryRow

__all__ = ["make_service"]
pytestmark = requires_orthanc

HANGING = DELIVER_QUEUE.concurrency + 1
STUDIES = (1, 2)
#: Longer than the test may take.
TIMEOUT_S = 300


def destination(name: str, to: str, timeout_s: float = TIMEOUT_S) -> str:
    return f'[[destinations]]\nname = "{name}"\nto = "{to}"\nverify = "none"\ntimeout_s = {timeout_s}\n'


def send(files: list[Path], service: Service) -> None:
    first = read_item(files[0])
    with Sender(service.dicom_port, first.sop_class_uid, first.transfer_syntax_uid) as sender:
        for path in files:
            _, offset = split_dataset(path)
            assert sender.store(read_item(path).sop_instance_uid, path.read_bytes()[offset:]) == 0


def test_many_that_hang_keep_nobody_waiting(make_service: Callable[..., Service], tmp_path: Path) -> None:
    write_quick_model(tmp_path)
    with ExitStack() as stack:
        # The system takes the connection, nobody ever answers.
        holes = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(HANGING)]
        orthanc = stack.enter_context(running_orthanc(tmp_path / "orthanc"))
        tables = [
            destination(f"a{n}", f"HOLE@127.0.0.1:{one.getsockname()[1]}") for n, one in enumerate(holes)
        ]
        tables.append(destination("pacs", f"{orthanc.aet}@127.0.0.1:{orthanc.dicom_port}"))
        service = make_service(f"{configure_quick(tmp_path)}{''.join(tables)}[study]\nquiet_s = 1\n")
        send(write_quick_study(tmp_path, 1), service)

        def is_there() -> bool:
            with service.store() as store:
                rows = store.deliveries.list_for_study(study_uid(1))
            states = {row.state for row in rows if row.destination == "pacs"}
            others = {row.state for row in rows if row.destination != "pacs"}
            return states == {DeliveryState.SENT} and others == {DeliveryState.WAITING}

        await_true(is_there, 120, "the results at the healthy one")
        # In the middle of what hangs.
        service.kill()


def test_each_way_to_be_dead_costs_nobody_else(make_service: Callable[..., Service], tmp_path: Path) -> None:
    """Sick in every way, then back: others go on, the queue drains, nothing comes twice."""
    write_quick_model(tmp_path)
    peers = {mode.value: Chaos(mode, free_port()) for mode in Mode if mode is not Mode.SLOW}
    peers["healthy"] = Chaos(Mode.OUT_OF_RESOURCES, free_port())
    peers["healthy"].is_good.set()
    tables = [destination(name, f"CHAOS@127.0.0.1:{one.port}", timeout_s=3) for name, one in peers.items()]
    waits = "[study]\nquiet_s = 1\n[delivery]\nwaits_s = [1, 2]\nthen_s = 2\ntries = 500\n"
    with ExitStack() as stack:
        for peer in peers.values():
            stack.callback(peer.stop)
            peer.start()
        service = make_service(configure_quick(tmp_path) + "".join(tables) + waits)
        for number in STUDIES:
            send(write_quick_study(tmp_path, number), service)
            await_true(partial(_has_all, service, "healthy", number), 60, "the results at the healthy one")
        _await_tries(service, peers)
        for peer in peers.values():
            peer.become_good()
        _check_drained(service, peers)


def _await_tries(service: Service, peers: dict[str, Chaos]) -> None:
    for name in set(peers) - {"closed", "healthy"}:
        assert peers[name].is_tried.wait(30), name
    await_true(partial(_is_refused, service), 30, "the dead letters")
    with service.store() as store:
        waiting = store.deliveries.list_by_state(DeliveryState.WAITING)
    assert {row.destination for row in waiting} == set(peers) - {"healthy", "refuses"}


def _check_drained(service: Service, peers: dict[str, Chaos]) -> None:
    planned = _planned(service)
    assert len(planned) > len(STUDIES)
    for name in set(peers) - {"refuses"}:
        for number in STUDIES:
            await_true(partial(_has_all, service, name, number), 90, f"study {number} at {name}")
        assert sorted(peers[name].got) == sorted(planned), f"{name}: each once"
    # A refusal for good stays what it was: nobody tried again.
    assert peers["refuses"].got == []
    assert _is_refused(service)


def _rows(service: Service, name: str) -> list[DeliveryRow]:
    with service.store() as store:
        rows = [row for number in STUDIES for row in store.deliveries.list_for_study(study_uid(number))]
    return [row for row in rows if row.destination == name]


def _has_all(service: Service, name: str, number: int) -> bool:
    rows = [row for row in _rows(service, name) if row.study_instance_uid == study_uid(number)]
    return bool(rows) and all(row.state is DeliveryState.SENT for row in rows)


def _is_refused(service: Service) -> bool:
    rows = _rows(service, Mode.REFUSES.value)
    return bool(rows) and all(
        row.state is DeliveryState.REFUSED and row.attempts == 1 and "0xC000" in row.message for row in rows
    )


def _planned(service: Service) -> list[str]:
    with service.store() as store:
        rows = _rows(service, "healthy")
        return [store.readings.get_document(row.document_id).sop_instance_uid for row in rows]
