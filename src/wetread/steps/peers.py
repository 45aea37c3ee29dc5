"""Have a series read by another vendor's AI that speaks DICOM.

In: a ``ReadJob`` of a package of kind ``dicom-peer``.  Out: a Reading: of the answer that came back
(``answers``), or one that says that it is awaited.
Never: a queue held up until an answer comes; an answer of anybody else or of ours taken for the peer's.

Nothing waits: the answer is an object like others, so its arrival begins a revision, in which it is found. A
revision without an answer sends the series (again), but for one that ends the waiting (``steps.awaiting``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

from wetread.deliver.cstore import read_item, send_items
from wetread.deliver.destination import Destination, parse_destination
from wetread.deliver.outcome import Outcome
from wetread.domain.model import Model
from wetread.domain.problem import Problem, ProblemCode
from wetread.domain.progress import DeliveryState
from wetread.domain.reading import Reading
from wetread.domain.study import Instance
from wetread.infer.job import ReadJob, make_unread
from wetread.passing import open_passing, passing_path
from wetread.steps.answers import find_answer
from wetread.steps.awaiting import overdue_cause
from wetread.store import Store

#: Objects that lie open in memory at a time, where files are encrypted.
_OPEN = 32


@dataclass(frozen=True, slots=True)
class PeerReader:
    """Runs jobs: those of a peer through the peer, all others as before."""

    store: Store
    run_job: Callable[[ReadJob], Reading]
    #: Our AE title.
    calling_aet: str

    def __call__(self, job: ReadJob) -> Reading:
        """Read a series; see the module."""
        if job.model.runtime.kind != "dicom-peer":
            return self.run_job(job)
        answers = find_answer(self.store, job.study_instance_uid, job.series, job.model)
        if answers:
            vault = self.store.vault
            keys = tuple(vault.find_key(one.path) for one in answers) if vault.keyring else ()
            return self.run_job(replace(job, answers=answers, answer_keys=keys))
        revision = self.store.studies.get_revision(job.study_instance_uid, job.revision)
        if revision.cause == overdue_cause(job.model.identity.name):
            return make_unread(job, _overdue(job.model))
        return make_unread(job, self._send(job))

    def _send(self, job: ReadJob) -> Problem:
        outcomes = list(self._outcomes(job))
        failed = [one for one in outcomes if one.state is not DeliveryState.SENT]
        name = f"{job.model.identity.name} {job.model.identity.version}"
        if failed:
            taken = f"{len(outcomes) - len(failed)} of {len(outcomes)} images"
            message = f"{name}: the peer took {taken}: {failed[0].message}"
            return Problem(code=ProblemCode.PEER_UNREACHABLE, message=message)
        message = f"{name}: {len(outcomes)} images were sent to the peer; its answer is awaited."
        return Problem(code=ProblemCode.AWAITING_PEER, message=message)

    def _outcomes(self, job: ReadJob) -> Iterator[Outcome]:
        destination = _destination(job.model, self.calling_aet)
        instances = job.series.instances
        size = _OPEN if self.store.vault.keyring else len(instances)
        for start in range(0, len(instances), max(1, size)):
            yield from self._send_some(destination, instances[start : start + size])

    def _send_some(self, destination: Destination, instances: Sequence[Instance]) -> list[Outcome]:
        with ExitStack() as stack:
            paths = []
            for one in instances:
                if not self.store.vault.keyring:
                    paths.append(one.path)
                    continue
                with one.open() as file:
                    paths.append(passing_path(stack.enter_context(open_passing(file.read()))))
            return send_items(destination, [read_item(path) for path in paths])


def _overdue(model: Model) -> Problem:
    name, limit_s = f"{model.identity.name} {model.identity.version}", model.runtime.timeout_s
    message = (
        f"{name}: the peer took the images and did not answer within {limit_s:g} s: look there. Should it"
        " answer yet, the study is read again."
    )
    return Problem(code=ProblemCode.PEER_TIMEOUT, message=message)


def _destination(model: Model, calling_aet: str) -> Destination:
    destination = parse_destination(model.runtime.peer, model.identity.name, calling_aet)
    return replace(destination, tls=model.runtime.tls)
