"""What of an association request is accepted (PS3.8 9.3.3, PS3.7 annex D).

In: a welcome request.  Out: its contexts with a transfer syntax each; A-ASSOCIATE-AC.
Never: a service that is not C-STORE or C-ECHO (``services`` has those); a promise that nobody keeps.

Roles: not answered, so the requestor is SCU (PS3.7 D.3.3.4). Asynchronous operations: not answered, so one
after the other (D.3.3.3). User identity: not answered, whether or not a response is asked for, because nobody
here looks at it; a requestor that insists on being identified hears so (D.3.3.7: who does not support it
accepts without a positive response).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from pydicom._uid_dict import UID_dictionary
from pynetdicom import sop_class

from wetread.receive.associate import (
    ASSOCIATE_AC,
    HEADER,
    AssociateRequest,
    ProposedContext,
    encode_item,
)
from wetread.receive.spool import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

VERIFICATION = "1.2.840.10008.1.1"
_UNCOMPRESSED = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2")
TRANSFER_SYNTAXES = frozenset(uid for uid, entry in UID_dictionary.items() if entry[1] == "Transfer Syntax")
STORAGE_CLASSES = frozenset(str(uid) for uid in sop_class._STORAGE_CLASSES.values())
#: What services of other kinds are asked for with, by the tables of pynetdicom, which serves them. Everything
#: else is taken for a storage SOP class: new ones, retired ones, private ones (PS3.4 B.5).
_OTHER_SERVICES = frozenset(
    str(uid)
    for name, table in vars(sop_class).items()
    if name.endswith("_CLASSES")
    for uid in (table.values() if name != "_SERVICE_CLASSES" else table)
) - (STORAGE_CLASSES | {VERIFICATION})


class Result(IntEnum):
    """What becomes of a presentation context (PS3.8 Table 9-18)."""

    ACCEPTED = 0
    TRANSFER_SYNTAXES_NOT_SUPPORTED = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweredContext:
    """A presentation context with its answer."""

    id: int
    abstract_syntax: str
    transfer_syntax: str
    result: Result = Result.ACCEPTED


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """An association as it is accepted."""

    request: AssociateRequest = field(repr=False)
    contexts: tuple[AnsweredContext, ...]

    @property
    def accepted(self) -> dict[int, AnsweredContext]:
        """The contexts that may be used, by number."""
        return {one.id: one for one in self.contexts if one.result is Result.ACCEPTED}

    def encode(self, maximum_length: int) -> bytes:
        """Return A-ASSOCIATE-AC; ``maximum_length`` is that of the PDUs that we like to get."""
        user = (
            encode_item(0x51, maximum_length.to_bytes(4, "big"))
            + encode_item(0x52, IMPLEMENTATION_CLASS_UID.encode())
            + encode_item(0x55, IMPLEMENTATION_VERSION_NAME.encode())
        )
        body = (
            bytes((0, 1, 0, 0))
            + self.request.titles
            + encode_item(0x10, self.request.application_context.encode())
            + b"".join(map(_encode_context, self.contexts))
            + encode_item(0x50, user)
        )
        return HEADER.pack(ASSOCIATE_AC, 0, len(body)) + body


def is_storage(abstract_syntax: str) -> bool:
    """Tell whether an abstract syntax is taken for a storage SOP class."""
    return abstract_syntax != VERIFICATION and abstract_syntax not in _OTHER_SERVICES


def stores_only(request: AssociateRequest) -> bool:
    """Tell whether nothing but C-STORE and C-ECHO is asked for."""
    return not any(context.abstract_syntax in _OTHER_SERVICES for context in request.contexts)


def agree(request: AssociateRequest) -> Agreement:
    """Return how a request for C-STORE and C-ECHO is accepted."""
    return Agreement(request=request, contexts=tuple(map(_answer, request.contexts)))


def _answer(context: ProposedContext) -> AnsweredContext:
    wanted = TRANSFER_SYNTAXES if is_storage(context.abstract_syntax) else _UNCOMPRESSED
    known = [syntax for syntax in context.transfer_syntaxes if syntax in wanted]
    # Images are kept as they come, so the sender's first choice is ours; a private one if there is no other.
    is_accepted = bool(known) or is_storage(context.abstract_syntax)
    return AnsweredContext(
        id=context.id,
        abstract_syntax=context.abstract_syntax,
        transfer_syntax=(known or context.transfer_syntaxes)[0],
        result=Result.ACCEPTED if is_accepted else Result.TRANSFER_SYNTAXES_NOT_SUPPORTED,
    )


def _encode_context(context: AnsweredContext) -> bytes:
    syntax = encode_item(0x40, context.transfer_syntax.encode("ascii", "replace"))
    return encode_item(0x21, bytes((context.id, 0, context.result, 0)) + syntax)
