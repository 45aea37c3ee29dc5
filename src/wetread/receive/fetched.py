"""What we fetch ourselves goes the way of what is sent to us.

In: objects on an association of ours (C-GET), or in the body of an answer (WADO-RS).
Out: instances in the store, by ``StorageScp``; how many, and what was refused.
Never: a second set of rules for what is taken; success before it is durable.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from wetread.domain.problem import ProblemCode
from wetread.domain.study import Instance
from wetread.receive.command import StoreAnswer, StoreRequest
from wetread.receive.dimse import OnStore, StoringDimse
from wetread.receive.notes import Notes
from wetread.receive.services import Services
from wetread.receive.spool import Spools
from wetread.receive.storage import NOT_ASKED_FOR, OnStored, Outcome, Received, Refusal, StorageScp
from wetread.receive.stow_request import Handing, StowRefusal, StowRequest
from wetread.receive.trail import ReceiveTrail, Sender
from wetread.store import Store
from wetread.store.history import History

_GET_RSP = 0x8010
_MOST_PARTS = 50_000
#: Refusals that are remembered.
_REMEMBERED = 20


class Origin(Protocol):
    """Where a transfer comes from."""

    @property
    def source(self) -> str:
        """What the index keeps as the source."""

    @property
    def aet(self) -> str:
        """Its AE title."""

    @property
    def address(self) -> str:
        """Its address."""

    @property
    def check(self) -> Callable[[Instance], tuple[str, str] | None]:
        """Why an object must not be taken, as code and sentence."""


@dataclass(slots=True)
class Counts:
    """What became of the objects of one transfer."""

    stored: int = 0
    #: SOP Instance UID, code and sentence of the first ones that were not stored.
    refused: list[tuple[str, str, str]] = field(default_factory=list)
    refused_count: int = 0


class _TransferScp(StorageScp):
    """Stores what belongs to one transfer, and counts."""

    def __init__(self, parent: StorageScp, origin: Origin, transfer: object) -> None:
        super().__init__(parent.store, parent.notes, parent.trail, parent.on_stored)
        self._origin, self._transfer = origin, transfer
        self.sender = Sender(aet=origin.aet or origin.source, address=origin.address)
        self.counts = Counts()

    def on_store(self, request: StoreRequest) -> StoreAnswer:
        """Serve a C-STORE sub-operation."""
        outcome = self.take_in(
            Received(
                sop_class_uid=request.sop_class_uid,
                sop_instance_uid=request.sop_instance_uid,
                sender=self.sender,
                source=self._origin.source,
                transfer=self._transfer,
                spool=request.spool,
            )
        )
        is_bug = outcome.code == ProblemCode.INTERNAL_ERROR
        return StoreAnswer(status=outcome.status, comment="Processing failure" if is_bug else outcome.message)

    def take_in(self, received: Received) -> Outcome:
        """Store an instance that was asked for."""

        def check(instance: Instance) -> None:
            received.check(instance)
            self._check(instance)

        outcome = super().take_in(replace(received, check=check, transfer=self._transfer))
        if outcome.instance is not None:
            self.counts.stored += 1
        else:
            self.counts.refused_count += 1
            if len(self.counts.refused) < _REMEMBERED:
                self.counts.refused.append((received.sop_instance_uid, outcome.code, outcome.message))
        return outcome

    def _check(self, instance: Instance) -> None:
        problem = self._origin.check(instance)
        if problem is not None:
            code, message = problem
            raise Refusal(status=NOT_ASKED_FOR, code=code, message=message)


class _Mail:
    """What ``StoringDimse`` asks of whom it serves."""

    def __init__(self, spools: Spools, on_store: OnStore, instance_limit: int) -> None:
        self.spools = spools
        self.on_store = on_store
        self.instance_limit = instance_limit
        self.services = Services(commands=frozenset({_GET_RSP}))


class _FetchingDimse(StoringDimse):
    """Messages of an association that we opened."""

    #: Orthanc puts Failed SOP Instance UID List (0008,0058) into the command set of a response.
    groups = (0x0000, 0x0008)


class _StowBody:
    """The body of an answer, read as the body of a STOW-RS request is."""

    def __init__(self, request: StowRequest) -> None:
        self._request = request

    def feed(self, data: bytes) -> None:
        """Take the next piece."""
        self._request.feed(data)
        if not self._request.wants_more:
            self.end()

    def end(self) -> None:
        """End it.

        Raises
        ------
        ValueError
            If it is not what it says it is.
        """
        try:
            self._request.finish()
        except StowRefusal as refusal:
            raise ValueError(refusal.message) from refusal


class FetchedTransfer:
    """One transfer that we began."""

    def __init__(self, parent: StorageScp, origin: Origin, instance_limit: int) -> None:
        self._scp = _TransferScp(parent, origin, self)
        self._origin, self._instance_limit = origin, instance_limit
        self._bodies: list[StowRequest] = []
        intake = parent.store.intake
        self._spools = Spools(intake.incoming, parent.store.vault)

    @property
    def tally(self) -> Counts:
        """What became of its objects so far."""
        return self._scp.counts

    def attach(self, association: Any) -> None:
        """Take what comes by C-STORE on an association that we opened."""
        mail = _Mail(self._spools, self._scp.on_store, self._instance_limit)
        association.dimse = _FetchingDimse(association, mail)

    def open_body(self, content_type: str) -> _StowBody:
        """Take what comes in an HTTP body.

        Raises
        ------
        ValueError
            If it is no body of DICOM objects.
        """
        handing = Handing(sender=self._scp.sender, source=self._origin.source)
        limits = self._instance_limit, _MOST_PARTS
        try:
            request = StowRequest(self._scp, handing, content_type, limits, lambda: None)
        except StowRefusal as refusal:
            raise ValueError(refusal.message) from refusal
        self._bodies.append(request)
        return _StowBody(request)

    def close(self, *, is_broken: bool) -> None:
        """End the transfer; it is recorded, and nothing half stays behind."""
        for body in self._bodies:
            body.close()
        self._spools.sweep()
        self._scp.trail.ended(self, is_broken=is_broken)


@dataclass(frozen=True, slots=True)
class FetchedIntake:
    """Takes in what we fetch."""

    _scp: StorageScp
    instance_limit: int

    def begin(self, origin: Origin) -> FetchedTransfer:
        """Begin a transfer."""
        return FetchedTransfer(self._scp, origin, self.instance_limit)

    def close(self) -> None:
        """Record what is still open; nothing is recorded afterwards."""
        self._scp.notes.close()
        self._scp.trail.close()


def make_fetched_intake(
    store: Store, aet: str, instance_limit: int, on_stored: OnStored | None = None
) -> FetchedIntake:
    """Get ready; ``on_stored`` as for ``start_receiver``, ``aet``: what we call ourselves in the trail."""
    store.intake.prepare()
    notes = Notes(History(store.engine))
    trail = ReceiveTrail(store.audit.record, aet, put_off=notes.put_off)
    return FetchedIntake(StorageScp(store, notes, trail, on_stored), instance_limit)
