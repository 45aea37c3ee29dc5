"""A DICOM file opened at its data set.

In: a file, written by anybody.  Out: a place to read on from, and how the data set is encoded.
Never: a deflated data set in memory; more of it than a real one inflates to.
"""

from __future__ import annotations

import io
import os
import re
import zlib
from dataclasses import dataclass
from typing import BinaryIO, cast

from pydicom.filereader import ENCODED_VR

from wetread.dicom.scan import Cursor, Scan, cut_short
from wetread.errors import UnreadableInstance

IMPLICIT, EXPLICIT, BIG_ENDIAN = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
_DEFLATED = "1.2.840.10008.1.2.1.99"
TRANSFER_SYNTAX = 0x00020010
_LONGEST_UID = 128
_UID = re.compile(r"[0-9]+(?:\.[0-9]+)*")
#: The buffer in front of the inflater.
_BUFFER = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class InflateLimits:
    """How much a deflated data set may become, in bytes: deflate reaches a ratio of 1032 on zeros."""

    size: int = 1 << 30
    #: Inflated size by packed size, once ``harmless`` bytes are inflated.
    ratio: float = 200.0
    harmless: int = 64 << 20


INFLATE_LIMITS = InflateLimits()


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSetFile:
    """An open data set, positioned at its first element."""

    cursor: Cursor
    #: ``""`` where the file does not say it.
    declared_syntax_uid: str
    transfer_syntax_uid: str
    is_implicit: bool
    is_little_endian: bool
    #: Positions are then those in the inflated data set, not in the file.
    is_deflated: bool
    #: The UIDs of the meta header, by tag.
    meta: dict[int, str]


def read_meta(file: BinaryIO) -> dict[int, str]:
    """Return the UIDs of the meta header by tag; the file is left at the data set.

    Parameters
    ----------
    file
        Seekable, at its beginning. A file without preamble and meta header is taken if it begins like a
        data set.

    Raises
    ------
    UnreadableInstance
        If it is no DICOM, or broken off before the data set.
    """
    head = file.read(132)
    if head[128:] != b"DICM":
        if not _begins_like_dicom(head):
            raise UnreadableInstance("Not a DICOM file: it lacks the DICM prefix and a data set's beginning")
        file.seek(0)
    scan = Scan(cursor=Cursor(file, _size(file)), is_implicit=False, longest=_LONGEST_UID, only_group=2)
    meta = {
        element.tag: element.value.decode("ascii", "replace").strip("\0 ")
        for element in scan
        if element.vr == "UI" and element.value and not element.path
    }
    file.seek(scan.end)
    return meta


def open_data_set(file: BinaryIO, limits: InflateLimits = INFLATE_LIMITS) -> DataSetFile:
    """Read preamble and meta header, and settle the encoding.

    Parameters
    ----------
    file
        As for ``read_meta``. It must stay open while the data set is read.

    Raises
    ------
    UnreadableInstance
        If it is no DICOM, or broken off before the data set.

    References
    ----------
    PS3.10 section 7.1; PS3.5 annex A.
    """
    meta = read_meta(file)
    declared = meta.get(TRANSFER_SYNTAX, "")
    is_deflated = declared == _DEFLATED
    inflated = io.BufferedReader(_Inflater(file, limits), _BUFFER) if is_deflated else None
    first = _peek(file) if inflated is None else inflated.peek(8)[:8]
    # Some writers declare one encoding and use the other: the first element tells (PS3.5 section 7.1).
    is_implicit = first[4:6] not in ENCODED_VR
    uid = declared if _UID.fullmatch(declared) else _guess(first, is_implicit=is_implicit)
    return DataSetFile(
        cursor=Cursor(file, _size(file)) if inflated is None else Cursor(cast(BinaryIO, inflated), None),
        declared_syntax_uid=declared,
        transfer_syntax_uid=uid,
        is_implicit=is_implicit,
        is_little_endian=uid != BIG_ENDIAN,
        is_deflated=is_deflated,
        meta=meta,
    )


def _size(file: BinaryIO) -> int:
    start = file.tell()
    size = file.seek(0, os.SEEK_END)
    file.seek(start)
    return size


def _peek(file: BinaryIO) -> bytes:
    start = file.tell()
    data = file.read(8)
    file.seek(start)
    return data


def _begins_like_dicom(head: bytes) -> bool:
    # The first element of a data set lies in group 0002 or 0008, in either byte order.
    return head[:2] in {b"\x02\x00", b"\x08\x00", b"\x00\x08"} and len(head) > 16


def _guess(first: bytes, *, is_implicit: bool) -> str:
    if is_implicit:
        return IMPLICIT
    return BIG_ENDIAN if first[:1] == b"\0" else EXPLICIT


class _Inflater(io.RawIOBase):
    """Inflates as it is read (PS3.5 section A.5)."""

    def __init__(self, file: BinaryIO, limits: InflateLimits) -> None:
        super().__init__()
        self._file = file
        self._limits = limits
        self._stream = zlib.decompressobj(-zlib.MAX_WBITS)
        self._packed = self._size = 0

    def readable(self) -> bool:
        """True."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # typeshed has Buffer
        """Fill the buffer as far as one piece of the file reaches; 0 at the end."""
        data = b""
        while not data and not self._stream.eof:
            data = self._inflate(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def _inflate(self, most: int) -> bytes:
        packed = self._stream.unconsumed_tail or self._file.read(_BUFFER)
        if not packed:
            raise cut_short()
        if not self._stream.unconsumed_tail:
            self._packed += len(packed)
        try:
            data = self._stream.decompress(packed, most)
        except zlib.error as error:
            raise UnreadableInstance("The deflated data set is damaged: send it again") from error
        self._size += len(data)
        allowed = min(self._limits.size, max(self._limits.harmless, int(self._limits.ratio * self._packed)))
        if self._size > allowed:
            message = "The deflated data set inflates to more than any real one: send it uncompressed"
            raise UnreadableInstance(message, limit=allowed)
        return data
