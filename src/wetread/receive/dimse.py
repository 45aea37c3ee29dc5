"""C-STORE within pynetdicom's associations (PS3.7 9.3.1, PS3.8 Annex E).

In: presentation data values.  Out: a ``StoreRequest`` with a filled spool; the encoded answer.
Never: a large data set in memory; a message of a service that nobody registered.

pynetdicom would keep the whole data set. Here the thread that reads the connection stores and answers;
every other message goes pynetdicom's way.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.pdu_primitives import P_DATA

from wetread.dicom.plain import MOST_BYTES
from wetread.receive.command import (
    C_CANCEL_RQ,
    C_ECHO_RQ,
    C_STORE_RQ,
    COMMAND_FIELD,
    COMMAND_LIMIT,
    DATA_SET_TYPE,
    MESSAGE_ID,
    MOVE_ORIGINATOR,
    NO_DATA_SET,
    SOP_CLASS_UID,
    SOP_INSTANCE_UID,
    StoreAnswer,
    StoreRequest,
    command_number,
    command_text,
    decode_command,
    encode_answer,
)
from wetread.receive.services import Services
from wetread.receive.spool import Spools, encode_file_meta

#: Longest wait for our own thread that accepts.
_ESTABLISHED_S = 30.0
#: How long a look for a message lasts at most.
_WAIT_S = 0.05
#: A message that is no C-STORE has no business to be larger, ...
_OTHER_LIMIT = 1 << 20
#: ... unless it names instances (N-EVENT-REPORT, N-SET, N-ACTION, N-CREATE): of its data set so much is kept
#: (``MOST_BYTES``), the rest is read and thrown away, so that who serves can answer.
_NAMING = frozenset({0x0100, 0x0120, 0x0130, 0x0140})
_NAMING_LIMIT = 64 << 20
_ALWAYS_PASSED_ON = frozenset({C_ECHO_RQ, C_CANCEL_RQ})


logger = logging.getLogger(__name__)

OnStore = Callable[[StoreRequest], StoreAnswer]


class WaitingQueue(queue.Queue[Any]):
    """Received messages; even a look without blocking waits a little, for something to wake it."""

    def __init__(self) -> None:
        super().__init__()
        self._nudged = False

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Return the next message."""
        if block:
            return super().get(True, timeout)
        with self.not_empty:
            if not self._qsize() and not self._nudged:
                self.not_empty.wait(_WAIT_S)
            self._nudged = False
        return super().get(False)

    def nudge(self) -> None:
        """End the wait: something other than a message has come."""
        with self.not_empty:
            self._nudged = True
            self.not_empty.notify()


class NudgingQueue(queue.Queue[Any]):
    """Requests, releases and aborts; putting one in ends the wait for a message."""

    def __init__(self, waiting: WaitingQueue, is_closed: Callable[[], bool]) -> None:
        super().__init__()
        self._waiting = waiting
        self._is_closed = is_closed

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Return the next item; who has hung up is not waited for, he would hold a place of others."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while block:
            with contextlib.suppress(queue.Empty):
                return super().get(True, _WAIT_S)
            if self._is_closed() or (deadline is not None and time.monotonic() > deadline):
                break
        return super().get(False)

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Add an item and nudge."""
        super().put(item, block, timeout)
        self._waiting.nudge()


class House(Protocol):
    """What associations share."""

    spools: Spools
    on_store: OnStore
    instance_limit: int
    services: Services


class StoringDimse(DIMSEServiceProvider):
    """Messages of one association; C-STORE is served as it comes in."""

    #: Of elements in command sets.
    groups: tuple[int, ...] = (0x0000,)

    def __init__(self, assoc: Any, house: House) -> None:
        super().__init__(assoc)
        self.waiting = WaitingQueue()
        self.msg_queue = self.waiting
        self._house = house
        self._passed_on = _ALWAYS_PASSED_ON | house.services.commands
        #: Clear while our thread that accepts is not done with it.
        self.negotiated = threading.Event()
        self.negotiated.set()
        self._command = bytearray()
        self._request: StoreRequest | None = None
        self._other_size = self._kept = 0
        self._is_naming = False
        self._awaits_other = False
        #: Whether the peer has sent a whole message.
        self.has_served = False

    @property
    def is_within_message(self) -> bool:
        """Whether more of a message is to come."""
        return self._request is not None or bool(self._command) or self._awaits_other

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Take the next fragments; what is no message ends the association with an A-ABORT."""
        try:
            self._take_values(primitive)
        except (ValueError, LookupError) as error:
            logger.info("Not a DIMSE message: %s", error)
            # PS3.8 Table 9-10: invalid PDU.
            self.dul.event_queue.put("Evt19")

    def _take_values(self, primitive: P_DATA) -> None:
        for context_id, value in primitive.presentation_data_value_list:
            # PS3.8 E.2: bit 0 says command, bit 1 says last fragment.
            control, fragment = value[0], memoryview(value)[1:]
            is_last = bool(control & 2)
            if control & 1:
                self._take_command(context_id, fragment, is_last)
            elif self._request is not None:
                self._take_data(self._request, fragment, is_last)
            else:
                self._pass_on(context_id, value)
                self._end_other(awaits_more=not is_last)

    def _take_command(self, context_id: int, fragment: memoryview, is_last: bool) -> None:
        self._command += fragment
        if self._request is not None or len(self._command) > COMMAND_LIMIT:
            raise ValueError("A command where a data set was due, or without an end.")
        if not is_last:
            return
        command, self._command = bytes(self._command), bytearray()
        elements = decode_command(command, self.groups)
        field = command_number(elements, COMMAND_FIELD)
        has_data = command_number(elements, DATA_SET_TYPE) != NO_DATA_SET
        if field != C_STORE_RQ:
            if field not in self._passed_on:
                # pynetdicom would answer "success" to a C-FIND where C-ECHO was agreed on.
                raise ValueError("A service that was not agreed on.")
            self._other_size = self._kept = 0
            self._is_naming = field in _NAMING
            self._pass_on(context_id, b"\x03" + command)
            self._end_other(awaits_more=has_data)
            return
        self._request = self._begin(context_id, elements)
        if not has_data:
            self._take_data(self._request, memoryview(b""), is_last=True)

    def _end_other(self, *, awaits_more: bool) -> None:
        self._awaits_other = awaits_more
        self.has_served = self.has_served or not awaits_more

    def _begin(self, context_id: int, elements: dict[int, bytes]) -> StoreRequest:
        # An unknown context is a KeyError, and that no message.
        transfer_syntax_uid = str(self.assoc._accepted_cx[context_id].transfer_syntax[0])
        sop_class_uid = command_text(elements, SOP_CLASS_UID)
        sop_instance_uid = command_text(elements, SOP_INSTANCE_UID)
        spool = self._house.spools.open(threading.current_thread().is_alive)
        spool.begin(encode_file_meta(sop_class_uid[:64], sop_instance_uid[:64], transfer_syntax_uid))
        return StoreRequest(
            context_id=context_id,
            message_id=command_number(elements, MESSAGE_ID),
            sop_class_uid=sop_class_uid,
            sop_instance_uid=sop_instance_uid,
            calling_aet=str(self.assoc.requestor.ae_title or ""),
            address=address_of(self.assoc),
            association=self.assoc,
            move_originator=command_text(elements, MOVE_ORIGINATOR),
            spool=spool,
        )

    def _take_data(self, request: StoreRequest, fragment: memoryview, is_last: bool) -> None:
        spool = request.spool
        spool.write(fragment)
        if spool.size > self._house.instance_limit and spool.error is None:
            # The rest is read and thrown away, so that the sender hears why.
            spool.fail(OSError(errno.EFBIG, "The instance is too large."))
        if not is_last:
            return
        self._request = None
        self.has_served = True
        request.spool.finish()
        try:
            answer = self._house.on_store(request)
        finally:
            self._house.spools.discard(request.spool)
        connection = self.dul.socket
        if connection is not None:
            maximum_length = self.assoc.requestor.maximum_length or 0
            connection.send(encode_answer(request, answer, maximum_length))

    def _pass_on(self, context_id: int, value: bytes) -> None:
        # pynetdicom serves reports in a thread of their own, at once. A peer may be quicker than our thread
        # that has just accepted: its report would be served too early, and not be answered.
        self.negotiated.wait(_ESTABLISHED_S)
        self._other_size += len(value)
        if self._other_size > (_NAMING_LIMIT if self._is_naming else _OTHER_LIMIT):
            raise ValueError("A message that is no C-STORE is too large.")
        if self._is_naming and not value[0] & 1:
            value = value[: 1 + max(0, MOST_BYTES - self._kept)]
            self._kept += len(value) - 1
        primitive = P_DATA()
        primitive.presentation_data_value_list.append((context_id, value))
        super().receive_primitive(primitive)


def address_of(assoc: Any) -> str:
    """Return where the other end of an association is, "" where that is not known."""
    return assoc.requestor.address if assoc.requestor.address_info else ""
