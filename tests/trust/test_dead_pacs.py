"""A dead PACS costs nothing: others get their results meanwhile."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from pynetdicom.dsutils import split_dataset

from tests.orthanc import requires_orthanc, running_orthanc
from tests.path.conftest import make_service
from tests.path.service import Service, await_true
from tests.trust.quick import configure_quick, study_uid, write_quick_model, write_quick_study
from tests.trust.sender import Sender
from wetread.deliver.cstore import read_item
from wetread.domain.progress import DeliveryState
from wetread.path import DELIVER_QUEUE

__all__ = ["make_service"]
pytestmark = requires_orthanc

HANGING = DELIVER_QUEUE.concurrency + 1
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
