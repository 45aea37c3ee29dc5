"""STOW-RS: instances handed in over HTTP.

In: the pieces of a request's body.  Out: instances in the store, and what became of each.
Never: success before file, folder and index row are durable; an address from the body that is opened; more of
a body in memory than its metadata and one piece; a file left behind.

``storage`` has the table of statuses; these are ours besides:

====== ==========================================================================================
0x0124 the study is another sender's
0xA901 the instance belongs to another study than the address names (PS3.18 Table I.2-2 has no code
       of its own for it; A9xx: the data set does not match)
0xC122 bulk data in a transfer syntax that is not taken
====== ==========================================================================================

References
----------
PS3.18 10.5 (Store), annex I.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace

from wetread.errors import StorageError
from wetread.receive.notes import Notes
from wetread.receive.storage import OnStored, StorageScp
from wetread.receive.stow_request import Handing, StowRefusal, StowRequest
from wetread.receive.trail import ReceiveTrail
from wetread.store import Store
from wetread.store.history import History


@dataclass(frozen=True, slots=True, kw_only=True)
class StowOptions:
    """How instances are taken in over HTTP."""

    #: What we call ourselves in the audit trail.
    aet: str = "WETREAD"
    #: Longest data set in bytes.
    instance_limit: int = 4096 << 20
    maximum_requests: int = 32
    #: Parts of one request.
    maximum_parts: int = 20_000
    #: Longest silence within a request.
    network_timeout_s: float = 60.0


@dataclass(slots=True)
class Stow:
    """Takes requests, as many at once as there are places."""

    options: StowOptions
    _scp: StorageScp
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _busy: int = 0
    is_stopping: bool = False

    def open(self, handing: Handing, content_type: str, content_encoding: str = "") -> StowRequest:
        """Begin a request; whoever gets it closes it.

        Raises
        ------
        StowRefusal
            If it cannot be taken: nothing of its body need be read then.
        """
        if content_encoding.lower() not in ("", "identity"):
            raise StowRefusal(415, "A compressed body is not taken: send it without Content-Encoding.")
        try:
            self._scp.store.intake.space.check()
        except StorageError as error:
            raise StowRefusal(507, error.message) from error
        self._take_place()
        try:
            limits = self.options.instance_limit, self.options.maximum_parts
            return StowRequest(self._scp, handing, content_type, limits, self._leave_place)
        except BaseException:
            self._leave_place()
            raise

    def stop(self) -> None:
        """Take nothing more; who sends is told so as soon as it is noticed."""
        self.is_stopping = True

    def close(self) -> None:
        """Record what is still open; nothing is recorded afterwards."""
        self.stop()
        self._scp.notes.close()
        self._scp.trail.close()

    def _take_place(self) -> None:
        with self._lock:
            if self.is_stopping or self._busy >= self.options.maximum_requests:
                raise StowRefusal(503, "No more requests are taken just now: send it again later.")
            self._busy += 1

    def _leave_place(self) -> None:
        with self._lock:
            self._busy -= 1


def start_stow(options: StowOptions, store: Store, on_stored: OnStored | None = None) -> Stow:
    """Get ready for requests.

    Parameters
    ----------
    on_stored
        As for ``start_receiver``.
    """
    store.intake.prepare()
    # As impatient as the intake: a sender waits for both.
    notes = Notes(History(store.intake.engine))
    record = replace(store.audit, engine=store.intake.engine).record
    trail = ReceiveTrail(record, options.aet, put_off=notes.put_off)
    return Stow(options, StorageScp(store, notes, trail, on_stored))
