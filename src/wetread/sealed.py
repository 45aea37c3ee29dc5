"""Encrypted files: bytes that only the file's own key opens.

In: plaintext or a file, and a key that is this file's alone.  Out: the other, with seeking.
Never: a byte that was not authenticated; a nonce twice under one key; a key that opens two files.

A file is a header of ``HEADER_SIZE`` bytes (``store.cipher`` knows what it means) and chunks of 64 KiB,
each encrypted by AES-256-GCM. A chunk's nonce is its number and whether it is the last one (STREAM), so
that a file that was cut, lengthened, reordered or changed in any bit cannot be read.

References
----------
NIST SP 800-38D (GCM); V. T. Hoang, R. Reyhanitabar, P. Rogaway, D. Vizár, "Online Authenticated-Encryption
and its Nonce-Reuse Misuse-Resistance", CRYPTO 2015, doi:10.1007/978-3-662-47989-6_24 (STREAM).
"""

from __future__ import annotations

import errno
import io
import os
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

#: Bytes before the first chunk.
HEADER_SIZE = 176
KEY_SIZE = 32
#: Plaintext bytes of every chunk but the last.
CHUNK_SIZE = 1 << 16
_TAG_SIZE = 16
_SEALED_SIZE = CHUNK_SIZE + _TAG_SIZE


class SealError(OSError):
    """An encrypted file was damaged or changed, or is another file than it should be."""

    def __init__(self, what: str) -> None:
        # An OSError: to whoever reads, it is a file that cannot be read.
        super().__init__(errno.EBADMSG, what)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """What it takes to write one encrypted file; hexadecimal, so that it can be handed on as JSON."""

    header: str
    #: Opens this file and no other.
    key: str = field(repr=False)


class SealedReader(io.RawIOBase):
    """Reads an encrypted file at any place; holds one chunk in memory."""

    def __init__(self, file: io.FileIO, key: bytes) -> None:
        """Take over an open file.

        Raises
        ------
        SealError
            If it ends elsewhere than it was written to end.
        """
        self._file = file
        self._cipher = AESGCM(key)
        body = os.fstat(file.fileno()).st_size - HEADER_SIZE
        self._count = max(1, -(-body // _SEALED_SIZE))
        last = body - (self._count - 1) * _SEALED_SIZE
        # Only a file without content has an empty chunk.
        if last < _TAG_SIZE or (last == _TAG_SIZE and self._count > 1):
            raise SealError("An encrypted file is cut short.")
        self._size = body - self._count * _TAG_SIZE
        self._position = 0
        self._number = -1
        self._chunk = b""
        # The last chunk says so of itself: from here on the size is known to be true.
        self._load(self._count - 1)

    @property
    def name(self) -> object:
        """What was opened, as files say it."""
        return self._file.name

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place in the plaintext."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        if start + offset < 0:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        self._position = start + offset
        return self._position

    def tell(self) -> int:
        """Return the place in the plaintext."""
        return self._position

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fill a buffer as far as the plaintext goes.

        Raises
        ------
        SealError
            If a chunk was changed.
        """
        view = memoryview(buffer).cast("B")
        wanted = max(0, min(len(view), self._size - self._position))
        done = 0
        while done < wanted:
            number, offset = divmod(self._position, CHUNK_SIZE)
            piece = memoryview(self._load(number))[offset : offset + wanted - done]
            view[done : done + len(piece)] = piece
            done += len(piece)
            self._position += len(piece)
        return done

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()

    def _load(self, number: int) -> bytes:
        if number != self._number:
            place = HEADER_SIZE + number * _SEALED_SIZE
            sealed = os.pread(self._file.fileno(), _SEALED_SIZE, place)
            nonce = _nonce(number, is_last=number == self._count - 1)
            try:
                self._chunk = self._cipher.decrypt(nonce, sealed, None)
            except InvalidTag as error:
                raise SealError("An encrypted file is damaged or was changed.") from error
            self._number = number
        return self._chunk


class SealedWriter(io.RawIOBase):
    """Encrypts while it writes; what was not ``finish``-ed cannot be read."""

    def __init__(self, file: io.FileIO | BinaryIO, seal: Seal) -> None:
        """Take over an open, empty file and write the header."""
        self._file = file
        self._cipher = AESGCM(bytes.fromhex(seal.key))
        self._buffer = bytearray(CHUNK_SIZE)
        self._filled = 0
        self._number = 0
        self._write_all(bytes.fromhex(seal.header))

    def writable(self) -> bool:
        """Return True."""
        return True

    def fileno(self) -> int:
        """Return the descriptor of the encrypted file."""
        return self._file.fileno()

    def write(self, data: ReadableBuffer) -> int:
        """Take plaintext."""
        view = memoryview(data).cast("B")
        done = 0
        while done < len(view):
            # A full chunk waits until there is more: only then it is not the last.
            if self._filled == CHUNK_SIZE:
                self._seal_chunk(is_last=False)
            piece = view[done : done + CHUNK_SIZE - self._filled]
            self._buffer[self._filled : self._filled + len(piece)] = piece
            self._filled += len(piece)
            done += len(piece)
        return done

    def finish(self) -> None:
        """Write the last chunk; without it the file counts as cut short."""
        self._seal_chunk(is_last=True)

    def close(self) -> None:
        """Close the file as it is."""
        self._file.close()
        super().close()

    def _seal_chunk(self, *, is_last: bool) -> None:
        nonce = _nonce(self._number, is_last=is_last)
        self._write_all(self._cipher.encrypt(nonce, memoryview(self._buffer)[: self._filled], None))
        self._number += 1
        self._filled = 0

    def _write_all(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) or 0 :]


def open_sealed(path: Path, key: bytes) -> BinaryIO:
    """Open an encrypted file for reading, with the key that is its own.

    Raises
    ------
    SealError
        If it was damaged or changed, or the key is another file's.
    OSError
        If it cannot be opened.
    """
    return wrap_sealed(io.FileIO(path), key)


def wrap_sealed(file: io.FileIO, key: bytes) -> BinaryIO:
    """Return the plaintext of an open encrypted file, as ``open_sealed``; it is closed on errors."""
    try:
        return cast(BinaryIO, io.BufferedReader(SealedReader(file, key), CHUNK_SIZE))
    except BaseException:
        file.close()
        raise


def _nonce(number: int, *, is_last: bool) -> bytes:
    return struct.pack(">3xQB", number, is_last)
