"""One part of a STOW-RS request on its way to the disk.

In: a part's bytes.  Out: a spool with a Part 10 file, metadata, or a spool with bulk data.
Never: more of a part in memory than its file's meta header, or metadata within their limit.
"""

from __future__ import annotations

import errno
import io
from collections.abc import Callable
from typing import Protocol

from wetread.dicom.part10 import TRANSFER_SYNTAX, read_meta
from wetread.errors import InputError, UnreadableInstance
from wetread.receive.json_instance import Model
from wetread.receive.multipart import PartHead
from wetread.receive.spool import Spool, encode_file_meta

#: Preamble and File Meta Information: real ones have some hundred bytes.
_LONGEST_META = 64 << 10
_PREFIX_END = 132
_SOP_CLASS_UID, _SOP_INSTANCE_UID = 0x00020002, 0x00020003

OpenSpool = Callable[[], Spool]


class Part(Protocol):
    """A part that is being received."""

    def write(self, data: memoryview) -> None:
        """Take the next bytes."""

    def discard(self) -> None:
        """Leave nothing of it behind."""


class InstancePart:
    """A DICOM file: its data set goes to the disk behind a meta header of ours.

    A preamble may hold a program, and a meta header whatever its writer liked: neither is kept.
    """

    def __init__(self, open_spool: OpenSpool, limit: int) -> None:
        self._open_spool = open_spool
        self._limit = limit
        self._head = bytearray()
        self.spool: Spool | None = None
        #: Why it is no DICOM file; None: not known yet, or it is one.
        self.error: InputError | None = None
        self.sop_class_uid = self.sop_instance_uid = ""

    def write(self, data: memoryview) -> None:
        """Take the next bytes of the file."""
        if self.spool is not None:
            write_within(self.spool, data, self._limit)
        elif self.error is None:
            self._head += data
            if len(self._head) >= _LONGEST_META:
                self._begin()

    def finish(self) -> Spool | None:
        """Return the finished spool, None where it is no DICOM file."""
        if self.spool is None and self.error is None:
            self._begin()
        if self.spool is not None:
            self.spool.finish()
        return self.spool

    def discard(self) -> None:
        """Leave nothing of it behind."""
        if self.spool is not None:
            self.spool.discard()

    def _begin(self) -> None:
        head, self._head = bytes(self._head), bytearray()
        try:
            meta, start = self._read_meta(head)
        except InputError as error:
            self.error = error
            return
        self.spool = self._open_spool()
        self.spool.begin(meta)
        write_within(self.spool, memoryview(head)[start:], self._limit)

    def _read_meta(self, head: bytes) -> tuple[bytes, int]:
        # Without a prefix it could be guessed what it is. PS3.18 8.7.3.2 asks for a whole file.
        if head[128:_PREFIX_END] != b"DICM":
            raise UnreadableInstance("A part is no DICOM file: it lacks the DICM prefix.")
        file = io.BytesIO(head)
        meta = read_meta(file)
        self.sop_class_uid = meta.get(_SOP_CLASS_UID, "")
        self.sop_instance_uid = meta.get(_SOP_INSTANCE_UID, "")
        syntax = meta.get(TRANSFER_SYNTAX, "")
        if not (self.sop_class_uid and self.sop_instance_uid and syntax):
            raise UnreadableInstance("A file's meta header lacks class, instance or transfer syntax.")
        encoded = encode_file_meta(self.sop_class_uid[:64], self.sop_instance_uid[:64], syntax[:64])
        return encoded, file.tell()


class MetadataPart:
    """Metadata, in JSON or XML."""

    def __init__(self, grow: Callable[[int], None], parse: Callable[[bytes], list[Model]]) -> None:
        # Raises where there are too many.
        self._grow = grow
        #: Returns the data sets of a part.
        self.parse = parse
        self.data = bytearray()

    def write(self, data: memoryview) -> None:
        """Take the next bytes."""
        self._grow(len(data))
        self.data += data

    def discard(self) -> None:
        """Forget it."""
        self.data = bytearray()


class BulkPart:
    """Bulk data that metadata of the same request refer to."""

    def __init__(self, spool: Spool, head: PartHead, limit: int) -> None:
        self.spool = spool
        self.head = head
        self._limit = limit

    def write(self, data: memoryview) -> None:
        """Take the next bytes."""
        write_within(self.spool, data, self._limit)

    def discard(self) -> None:
        """Leave nothing of it behind."""
        self.spool.discard()


class SkippedPart:
    """What is not wanted: read and thrown away, so that the sender hears why."""

    def write(self, data: memoryview) -> None:
        """Throw the bytes away."""

    def discard(self) -> None:
        """Do nothing: there is nothing."""


def write_within(spool: Spool, data: memoryview, limit: int) -> None:
    """Write, unless it becomes too large: the rest is thrown away then, so that the sender hears why."""
    if spool.error is not None:
        return
    spool.write(data)
    if spool.size > limit:
        spool.fail(OSError(errno.EFBIG, "The instance is too large."))
