"""A service with one destination and a model that waits at a gate, so that a fault can come at each moment.

In: a folder, an environment.  Out: a running service, its peer, and what became of a study.
Never: two readings at once; the gate lets one through at a time.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pynetdicom.dsutils import split_dataset

from tests.path.service import Service, await_true
from tests.ports import free_port
from tests.trust.chaos import Chaos, Mode
from tests.trust.quick import configure_quick, make_gate, study_uid, write_quick_model, write_quick_study
from tests.trust.sender import Sender
from wetread.deliver.cstore import read_item
from wetread.domain.progress import DeliveryState, StudyState

#: With margin for a machine that has other work: each takes a few seconds.
PROMPTLY_S = 60.0
QUIET_S = 1
#: Before the second try of a delivery, and each further one.
WAIT_S = 2


@dataclass
class Scene:
    """What a test sees of it."""

    service: Service
    peer: Chaos
    gate: Path
    folder: Path

    @contextmanager
    def sending(self, number: int) -> Iterator[Callable[[slice], None]]:
        """Yield what sends some images of a study, all over one association."""
        files = write_quick_study(self.folder, number)
        first = read_item(files[0])
        with Sender(self.service.dicom_port, first.sop_class_uid, first.transfer_syntax_uid) as sender:

            def send(which: slice) -> None:
                for path in files[which]:
                    _, offset = split_dataset(path)
                    assert sender.store(read_item(path).sop_instance_uid, path.read_bytes()[offset:]) == 0

            yield send

    def send(self, number: int) -> None:
        with self.sending(number) as send:
            send(slice(None))

    @contextmanager
    def reading(self, *, is_last: bool = False) -> Iterator[None]:
        """Hold a reading within the model; it goes on afterwards.

        Parameters
        ----------
        is_last
            From then on models find no gate, until there is one again.
        """
        # Whoever opens it waits until the model is there, and the model until it is closed.
        with self.gate.open("wb"):
            yield
            if is_last:
                self.gate.unlink()

    def leave(self) -> None:
        """Let whatever waits at the gate go on: after a failure the service could not stop."""
        if self.gate.exists():
            descriptor = os.open(self.gate, os.O_RDWR | os.O_NONBLOCK)
            self.gate.unlink()
            os.close(descriptor)

    def states(self, number: int) -> set[DeliveryState]:
        with self.service.store() as store:
            return {row.state for row in store.deliveries.list_for_study(study_uid(number))}

    def attempts(self, number: int) -> set[int]:
        with self.service.store() as store:
            return {row.attempts for row in store.deliveries.list_for_study(study_uid(number))}

    def await_sent(self, number: int) -> None:
        await_true(lambda: self.states(number) == {DeliveryState.SENT}, PROMPTLY_S, "the delivery")

    def check_once(self, number: int) -> None:
        """One revision, one reading, noted once; each document once at the peer."""
        study = study_uid(number)
        with self.service.store() as store:
            row = store.studies.find(study)
            assert row is not None
            assert (row.revision, row.state) == (1, StudyState.READ)
            [reading] = store.readings.list_for_study(study)
            deliveries = store.deliveries.list_for_study(study)
            uids = [store.readings.get_document(one.document_id).sop_instance_uid for one in deliveries]
            noted = [event.stage for event in store.history.list_for_study(study) if event.level == "info"]
        assert reading.finding_count == 1
        assert noted.count("infer") == 1
        got = Counter(self.peer.got)
        assert {uid: got[uid] for uid in uids} == dict.fromkeys(uids, 1)


@contextmanager
def scene_in(
    folder: Path,
    environment: Mapping[str, str],
    program: tuple[str, ...] = (str(Path(sys.executable).parent / "wetread"),),
) -> Iterator[Scene]:
    """Yield a running service; its data lie in ``folder/service/data``."""
    write_quick_model(folder)
    peer = Chaos(Mode.OUT_OF_RESOURCES, free_port())
    peer.is_good.set()
    config = f"""{configure_quick(folder)}
[[destinations]]
name = "pacs"
to = "CHAOS@127.0.0.1:{peer.port}"
verify = "none"
[study]
quiet_s = {QUIET_S}
[delivery]
waits_s = [{WAIT_S}]
then_s = {WAIT_S}
"""
    (folder / "service").mkdir()
    service = Service(
        folder=folder / "service",
        dicom_port=free_port(),
        http_port=free_port(),
        config=config,
        environment=dict(environment),
        program=program,
    )
    scene = Scene(service, peer, make_gate(folder), folder)
    peer.start()
    try:
        service.start()
        yield scene
    finally:
        scene.leave()
        service.stop()
        peer.stop()
