"""C-STORE messages, from their fragments to their answer (PS3.7 9.3.1, PS3.8 Annex E).

In: presentation data values.  Out: a ``StoreRequest`` with a filled spool; the encoded answer.
Never: a data set in memory; a second thread between the last fragment and the answer.

pynetdicom hands each message to another thread, decodes the command with pydicom and hands the answer
back: two waits for the scheduler for every image, which on a busy machine is most of the time. Here
the thread that reads the connection stores and answers; every other message goes pynetdicom's way.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import queue
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.pdu_primitives import P_DATA

from wetread.receive.spool import Spool, Spools, encode_file_meta

#: How long a look for a message lasts at most.
_WAIT_S = 0.05
#: A command, and a message that is no C-STORE, have no business to be larger.
_COMMAND_LIMIT = 1 << 16
_OTHER_LIMIT = 1 << 20

_C_STORE_RQ, _C_STORE_RSP = 0x0001, 0x8001
#: C-ECHO and C-CANCEL requests (PS3.7 E.1): what is served beside C-STORE.
_PASSED_ON = frozenset({0x0030, 0x0FFF})
_NO_DATA_SET = 0x0101

# Elements of the command set, group 0000 (PS3.7 E.1).
_SOP_CLASS_UID, _COMMAND_FIELD, _MESSAGE_ID = 0x0002, 0x0100, 0x0110
_ANSWERED_MESSAGE_ID, _DATA_SET_TYPE, _STATUS = 0x0120, 0x0800, 0x0900
_ERROR_COMMENT, _SOP_INSTANCE_UID = 0x0902, 0x1000


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreRequest:
    """A C-STORE request; its data set is in the spool when it is handed on."""

    context_id: int
    message_id: int
    sop_class_uid: str
    sop_instance_uid: str
    calling_aet: str
    #: Where the sender is: an IP address.
    address: str
    #: Tells associations apart.
    association: object
    spool: Spool


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreAnswer:
    """The status of a C-STORE, and the reason in the sender's words."""

    status: int
    comment: str = ""


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


class StoringDimse(DIMSEServiceProvider):
    """Messages of one association; C-STORE is served as it comes in."""

    def __init__(self, assoc: Any, spools: Spools, on_store: OnStore, instance_limit: int) -> None:
        super().__init__(assoc)
        self.waiting = WaitingQueue()
        self.msg_queue = self.waiting
        self._spools = spools
        self._on_store = on_store
        self._instance_limit = instance_limit
        self._command = bytearray()
        self._request: StoreRequest | None = None
        self._next_spool: Spool | None = None
        self._other_size = 0
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
        if self._request is not None or len(self._command) > _COMMAND_LIMIT:
            raise ValueError("A command where a data set was due, or without an end.")
        if not is_last:
            return
        command, self._command = bytes(self._command), bytearray()
        elements = decode_command(command)
        field = _number(elements, _COMMAND_FIELD)
        if field != _C_STORE_RQ:
            if field not in _PASSED_ON:
                # pynetdicom would answer "success" to a C-FIND where C-ECHO was agreed on.
                raise ValueError("A service that was not agreed on.")
            self._other_size = 0
            self._pass_on(context_id, b"\x03" + command)
            self._end_other(awaits_more=_number(elements, _DATA_SET_TYPE) != _NO_DATA_SET)
            return
        self._request = self._begin(context_id, elements)
        if _number(elements, _DATA_SET_TYPE) == _NO_DATA_SET:
            self._take_data(self._request, memoryview(b""), is_last=True)

    def _end_other(self, *, awaits_more: bool) -> None:
        self._awaits_other = awaits_more
        self.has_served = self.has_served or not awaits_more

    def _begin(self, context_id: int, elements: dict[int, bytes]) -> StoreRequest:
        # An unknown context is a KeyError, and that no message.
        transfer_syntax_uid = str(self.assoc._accepted_cx[context_id].transfer_syntax[0])
        sop_class_uid = _text(elements, _SOP_CLASS_UID)
        sop_instance_uid = _text(elements, _SOP_INSTANCE_UID)
        meta = encode_file_meta(sop_class_uid[:64], sop_instance_uid[:64], transfer_syntax_uid)
        return StoreRequest(
            context_id=context_id,
            message_id=_number(elements, _MESSAGE_ID),
            sop_class_uid=sop_class_uid,
            sop_instance_uid=sop_instance_uid,
            calling_aet=str(self.assoc.requestor.ae_title or ""),
            address=address_of(self.assoc),
            association=self.assoc,
            spool=self._take_spool(meta),
        )

    def _take_spool(self, meta: bytes) -> Spool:
        spool, self._next_spool = self._next_spool, None
        if spool is None or spool.error is not None:
            spool = self._open_spool()
        spool.begin(meta)
        return spool

    def _open_spool(self) -> Spool:
        return self._spools.open(threading.current_thread().is_alive)

    def _take_data(self, request: StoreRequest, fragment: memoryview, is_last: bool) -> None:
        spool = request.spool
        spool.write(fragment)
        if spool.size > self._instance_limit and spool.error is None:
            # The rest is read and thrown away, so that the sender hears why.
            spool.discard()
            spool.error = OSError(errno.EFBIG, "The instance is too large.")
        if not is_last:
            return
        self._request = None
        self.has_served = True
        request.spool.finish()
        try:
            answer = self._on_store(request)
        finally:
            self._spools.discard(request.spool)
        connection = self.dul.socket
        if connection is not None:
            connection.send(encode_answer(request, answer))
            # Making a file takes longer than filling it: do it while the sender prepares its next image.
            self._next_spool = self._open_spool()

    def _pass_on(self, context_id: int, value: bytes) -> None:
        self._other_size += len(value)
        if self._other_size > _OTHER_LIMIT:
            raise ValueError("A message that is no C-STORE is too large.")
        primitive = P_DATA()
        primitive.presentation_data_value_list.append((context_id, value))
        super().receive_primitive(primitive)


def address_of(assoc: Any) -> str:
    """Return where the other end of an association is, "" where that is not known."""
    return assoc.requestor.address if assoc.requestor.address_info else ""


def decode_command(command: bytes) -> dict[int, bytes]:
    """Return the elements of a command set by number (PS3.7 6.3.1: implicit VR little endian).

    Raises
    ------
    ValueError
        If it is no command set.
    """
    elements = {}
    offset = 0
    while offset < len(command):
        if offset + 8 > len(command):
            raise ValueError("The command set is cut short.")
        group, number, length = struct.unpack_from("<HHI", command, offset)
        offset += 8
        if group != 0 or offset + length > len(command):
            raise ValueError("The command set is not one.")
        elements[number] = command[offset : offset + length]
        offset += length
    return elements


def encode_answer(request: StoreRequest, answer: StoreAnswer) -> bytes:
    """Return C-STORE-RSP (PS3.7 9.3.1.2) as a P-DATA-TF PDU (PS3.8 9.3.5)."""
    elements = [
        _element(_SOP_CLASS_UID, _even(request.sop_class_uid, b"\0")),
        _element(_COMMAND_FIELD, struct.pack("<H", _C_STORE_RSP)),
        _element(_ANSWERED_MESSAGE_ID, struct.pack("<H", request.message_id)),
        _element(_DATA_SET_TYPE, struct.pack("<H", _NO_DATA_SET)),
        _element(_STATUS, struct.pack("<H", answer.status)),
    ]
    if answer.comment:
        # LO: at most 64 characters.
        elements.append(_element(_ERROR_COMMENT, _even(answer.comment[:64], b" ")))
    elements.append(_element(_SOP_INSTANCE_UID, _even(request.sop_instance_uid, b"\0")))
    body = b"".join(elements)
    command = _element(0x0000, struct.pack("<I", len(body))) + body
    value = struct.pack(">IBB", len(command) + 2, request.context_id, 0x03) + command
    return struct.pack(">BBI", 0x04, 0, len(value)) + value


def _element(number: int, value: bytes) -> bytes:
    return struct.pack("<HHI", 0x0000, number, len(value)) + value


def _even(text: str, padding: bytes) -> bytes:
    value = text.encode("ascii", "replace")
    return value + padding * (len(value) % 2)


def _number(elements: dict[int, bytes], number: int) -> int:
    value = elements.get(number, b"")
    return int.from_bytes(value[:2], "little")


def _text(elements: dict[int, bytes], number: int) -> str:
    return elements.get(number, b"").decode("ascii", "replace").strip("\0 ")
