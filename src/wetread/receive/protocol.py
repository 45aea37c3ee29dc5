"""The receiving end of an association for C-STORE and C-ECHO, without a socket (PS3.8 9.2, PS3.7 9.1).

In: bytes, in whatever pieces they come.  Out: steps for whoever has the connection: fill this, send that,
store this.
Never: input or output of its own; a length that is believed; a data set's byte copied.

``Protocol.run`` is a generator. Each ``Fill`` is answered with the number of bytes that came (0: the peer has
hung up), each ``Store`` with a ``StoreAnswer``, each ``Send`` with nothing. It returns how the association
ended. Of PS3.8's states it knows 6 (established); what comes before is the lobby's, what comes after is
``connection``'s.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Generator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from wetread.receive.associate import (
    ABORT,
    DATA_TF,
    HEADER,
    RELEASE_RQ,
    Abort,
    encode_abort,
    encode_release,
)
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
    VALUE_HEADER,
    StoreAnswer,
    StoreRequest,
    command_number,
    command_text,
    decode_command,
    encode_answer,
    encode_echo_answer,
)
from wetread.receive.negotiate import VERIFICATION, Agreement, AnsweredContext
from wetread.receive.spool import Spool, encode_file_meta

#: Longest PDU that is read, whatever its header says. Well above what we advertise.
PDU_LIMIT = 1 << 20


@dataclass(frozen=True, slots=True)
class Fill:
    """Read something into this view, as much as is there."""

    view: memoryview
    #: Whether a PDU begins here: the peer may take its time.
    begins: bool = False


@dataclass(frozen=True, slots=True)
class Send:
    """Send these bytes."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Store:
    """Store this and say what became of it."""

    request: StoreRequest


class Ending(Enum):
    """How an association ends."""

    #: It was released and we have said yes: the peer hangs up.
    RELEASED = auto()
    #: We have ended it, or the peer has in the middle of a message: the peer hangs up.
    BROKEN = auto()
    #: The peer has sent an A-ABORT or hung up.
    LOST = auto()


Step = Fill | Send | Store
#: What a step is answered with is of another type for each, which no generator can say.
Steps = Generator[Step, Any, Ending]
_Part = Generator[Step, Any, None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What an association needs to know of its surroundings."""

    #: Of PDUs that we like to get, in bytes.
    maximum_length: int
    #: Of a data set, in bytes.
    instance_limit: int
    open_spool: Callable[[], Spool]
    #: Where the peer is: an IP address.
    address: str
    #: Tells associations apart.
    association: object


class _Violation(Exception):
    def __init__(self, reason: Abort) -> None:
        super().__init__(reason.name)
        self.reason = reason


class _HungUp(Exception):
    pass


class Protocol:
    """One association."""

    def __init__(self, agreement: Agreement, setting: Setting) -> None:
        self._agreement = agreement
        self._setting = setting
        self._contexts = agreement.accepted
        self._maximum_length = agreement.request.maximum_length
        self._head = memoryview(bytearray(HEADER.size + VALUE_HEADER.size))
        self._command = bytearray()
        self._command_context: int | None = None
        self._request: StoreRequest | None = None
        #: Whether the peer has sent a whole message.
        self.has_served = False

    @property
    def is_within_message(self) -> bool:
        """Whether more of a message is to come."""
        return self._request is not None or self._command_context is not None

    def run(self) -> Steps:
        """Accept, then serve until the association ends; close the generator in any case."""
        try:
            yield Send(self._agreement.encode(self._setting.maximum_length))
            while True:
                ending = yield from self._take_pdu()
                if ending is not None:
                    return ending
        except _Violation as violation:
            yield Send(encode_abort(violation.reason))
            return Ending.BROKEN
        except _HungUp:
            return Ending.LOST
        finally:
            if self._request is not None:
                self._request.spool.discard()

    def _take_pdu(self) -> Generator[Step, Any, Ending | None]:
        # As much as is there, up to where data would begin: A-RELEASE-RQ and A-ABORT are shorter than that.
        filled = yield from self._fill_head(0, HEADER.size)
        kind, _, length = HEADER.unpack_from(self._head)
        if kind == DATA_TF:
            if not VALUE_HEADER.size <= length <= PDU_LIMIT:
                raise _Violation(Abort.INVALID_PARAMETER)
            yield from self._take_values(length, filled)
            return None
        if kind not in (RELEASE_RQ, ABORT):
            raise _Violation(Abort.UNEXPECTED_PDU if 1 <= kind < ABORT else Abort.UNRECOGNIZED_PDU)
        if length != 4:
            raise _Violation(Abort.INVALID_PARAMETER)
        yield from self._fill_head(filled, HEADER.size + length)
        if kind == ABORT:
            return Ending.LOST
        yield Send(encode_release())
        # PS3.8 7.2: nobody releases in the middle of a message.
        return Ending.BROKEN if self.is_within_message else Ending.RELEASED

    def _fill_head(self, filled: int, least: int) -> Generator[Step, Any, int]:
        """Read until so much of the head is there; more may come with it, but only if it is one PDU's."""
        while filled < least:
            count = yield Fill(self._head[filled:], begins=filled == 0)
            if not count:
                raise _HungUp
            filled += count
        return filled

    def _take_values(self, left: int, filled: int) -> _Part:
        while left:
            if left < VALUE_HEADER.size:
                raise _Violation(Abort.INVALID_PARAMETER)
            yield from self._fill_head(filled, len(self._head))
            length, context_id, control = VALUE_HEADER.unpack_from(self._head, HEADER.size)
            left -= VALUE_HEADER.size
            # The length counts context and control too (PS3.8 Table 9-23).
            size = length - 2
            if not 0 <= size <= left:
                raise _Violation(Abort.INVALID_PARAMETER)
            left -= size
            yield from self._take_value(context_id, control, size)
            # The next value's head goes where this one's was.
            filled = HEADER.size

    def _take_value(self, context_id: int, control: int, size: int) -> _Part:
        # PS3.8 E.2: bit 0 says command, bit 1 says last fragment.
        is_last = bool(control & 2)
        request = self._request
        if control & 1:
            yield from self._take_command(context_id, size, is_last=is_last)
        elif request is None or request.context_id != context_id:
            raise _Violation(Abort.UNEXPECTED_PDU)
        else:
            yield from self._take_data(request, size)
            if is_last:
                yield from self._store(request)

    def _take_command(self, context_id: int, size: int, *, is_last: bool) -> _Part:
        if self._request is not None or self._command_context not in (None, context_id):
            raise _Violation(Abort.UNEXPECTED_PDU)
        if context_id not in self._contexts or len(self._command) + size > COMMAND_LIMIT:
            raise _Violation(Abort.INVALID_PARAMETER)
        self._command_context = context_id
        fragment = memoryview(bytearray(size))
        while fragment:
            count = yield Fill(fragment)
            if not count:
                raise _HungUp
            self._command += fragment[:count]
            fragment = fragment[count:]
        if is_last:
            command, self._command, self._command_context = bytes(self._command), bytearray(), None
            yield from self._obey(self._contexts[context_id], command)

    def _obey(self, context: AnsweredContext, command: bytes) -> _Part:
        try:
            elements = decode_command(command)
        except ValueError as error:
            raise _Violation(Abort.INVALID_PARAMETER) from error
        field = command_number(elements, COMMAND_FIELD)
        has_data = command_number(elements, DATA_SET_TYPE) != NO_DATA_SET
        is_echo = context.abstract_syntax == VERIFICATION
        if field == C_STORE_RQ and not is_echo:
            self._request = self._begin(context, elements)
            if not has_data:
                yield from self._store(self._request)
        elif field == C_ECHO_RQ and is_echo and not has_data:
            self.has_served = True
            message_id = command_number(elements, MESSAGE_ID)
            yield Send(encode_echo_answer(context.id, message_id, VERIFICATION, self._maximum_length))
        elif field != C_CANCEL_RQ or has_data:
            # A service that was not agreed on. (What is to be cancelled is done already.)
            raise _Violation(Abort.UNEXPECTED_PDU)

    def _begin(self, context: AnsweredContext, elements: dict[int, bytes]) -> StoreRequest:
        sop_class_uid = command_text(elements, SOP_CLASS_UID)
        sop_instance_uid = command_text(elements, SOP_INSTANCE_UID)
        spool = self._setting.open_spool()
        spool.begin(encode_file_meta(sop_class_uid[:64], sop_instance_uid[:64], context.transfer_syntax))
        return StoreRequest(
            context_id=context.id,
            message_id=command_number(elements, MESSAGE_ID),
            sop_class_uid=sop_class_uid,
            sop_instance_uid=sop_instance_uid,
            calling_aet=self._agreement.request.calling_aet,
            address=self._setting.address,
            association=self._setting.association,
            move_originator=command_text(elements, MOVE_ORIGINATOR),
            spool=spool,
        )

    def _take_data(self, request: StoreRequest, left: int) -> _Part:
        spool = request.spool
        while left:
            count = yield Fill(spool.space(left))
            if not count:
                raise _HungUp
            spool.took(count)
            left -= count
        if spool.size > self._setting.instance_limit and spool.error is None:
            # The rest is read and thrown away, so that the sender hears why.
            spool.fail(OSError(errno.EFBIG, "The instance is too large."))

    def _store(self, request: StoreRequest) -> _Part:
        self.has_served = True
        request.spool.finish()
        answer: StoreAnswer = yield Store(request)
        self._request = None
        request.spool.discard()
        yield Send(encode_answer(request, answer, self._maximum_length))
