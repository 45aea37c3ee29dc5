"""One data set on its way from the network to the disk.

In: fragments.  Out: a Part 10 file in the store's incoming folder, its digest, size and header.
Never: more than ``MEMORY_LIMIT`` of it in memory; a name from the sender; a file left behind; plaintext on
the disk where the store is encrypted.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import secrets
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from wetread import __version__
from wetread.dicom.header import EarlyHeader, read_early
from wetread.domain.study import open_plain
from wetread.sealed import SealedWriter
from wetread.store.cipher import Vault

#: Names this implementation (PS3.7 D.3.3.2); derived from a UUID (PS3.5 B.2).
IMPLEMENTATION_CLASS_UID = "2.25.279426617338126514617337128904517716337"
IMPLEMENTATION_VERSION_NAME = f"WETREAD_{__version__}"[:16]

#: Of one data set in memory, for each association; beyond, it goes to its file in pieces of this size.
MEMORY_LIMIT = 2 << 20
_SMALLEST = 64 << 10
#: What has gathered in memory goes on to the file, while the sender gets the next ready.
_PIECE = 128 << 10


def encode_file_meta(sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str) -> bytes:
    """Return preamble, prefix and File Meta Information (PS3.10 7.1) of an instance."""
    elements = b"".join(
        (
            struct.pack("<HH2sHI", 0x0002, 0x0001, b"OB", 0, 2) + b"\x00\x01",
            _element(0x0002, b"UI", sop_class_uid, b"\0"),
            _element(0x0003, b"UI", sop_instance_uid, b"\0"),
            _element(0x0010, b"UI", transfer_syntax_uid, b"\0"),
            _element(0x0012, b"UI", IMPLEMENTATION_CLASS_UID, b"\0"),
            _element(0x0013, b"SH", IMPLEMENTATION_VERSION_NAME, b" "),
        )
    )
    group_length = struct.pack("<HH2sHI", 0x0002, 0x0000, b"UL", 4, len(elements))
    return bytes(128) + b"DICM" + group_length + elements


def _element(number: int, vr: bytes, text: str, padding: bytes) -> bytes:
    value = text.encode("ascii", "replace")
    value += padding * (len(value) % 2)
    return struct.pack("<HH2sH", 0x0002, number, vr, len(value)) + value


class Basin:
    """Memory for one data set after the other: an association fills it again and again."""

    def __init__(self) -> None:
        self._data = bytearray(_SMALLEST)

    def view(self, start: int, end: int) -> memoryview:
        """Return a part of it."""
        return memoryview(self._data)[start:end]

    def reach(self, wanted: int, kept: int) -> int:
        """Grow to so many bytes if that is allowed, keeping the first ``kept``; returns the size."""
        size = len(self._data)
        if wanted > size < MEMORY_LIMIT:
            # Those who still look at the old memory keep it.
            grown = bytearray(min(max(2 * size, wanted), MEMORY_LIMIT))
            grown[:kept] = memoryview(self._data)[:kept]
            self._data = grown
        return len(self._data)


class Spool:
    """A data set being received: in memory while it is small, then in a file.

    Errors of the disk are kept and not raised: the association must live to answer with them.
    """

    def __init__(self, folder: Path, vault: Vault, basin: Basin | None = None) -> None:
        self.path = folder / f"{secrets.token_hex(16)}.part"
        #: Opens the file for reading, once it is finished.
        self.opener = vault.open if vault.keyring else open_plain
        self.error: OSError | None = None
        #: Bytes of the data set so far.
        self.size = 0
        #: What its first piece told, read while the rest came; None where that was not enough.
        self.early_header: EarlyHeader | None = None
        self._meta_size = 0
        self._vault = vault
        self._digest = hashlib.sha256()
        self._basin = basin or Basin()
        self._filled = self._written = 0
        self._is_spilled = self._is_finished = False
        self._file: io.FileIO | SealedWriter | None = None

    @property
    def digest(self) -> str:
        """sha256 over the encoded data set, not encrypted, without preamble and file meta."""
        return self._digest.hexdigest()

    @property
    def file_size(self) -> int:
        """Bytes of the file, not encrypted, so far."""
        return self._meta_size + self.size

    @property
    def content(self) -> memoryview | None:
        """The whole file, where it was small enough for the memory; valid until the next data set begins."""
        return None if self._is_spilled else self._basin.view(0, self._filled)

    def begin(self, meta: bytes) -> None:
        """Take what stands before the data set."""
        self._basin.reach(len(meta), 0)
        self._basin.view(0, len(meta))[:] = meta
        self._filled = self._meta_size = len(meta)

    def space(self, wanted: int) -> memoryview:
        """Return room for at most so many bytes of the data set, for at least one."""
        size = self._basin.reach(self._filled + wanted, self._filled)
        if self._filled == size:
            self._spill()
        return self._basin.view(self._filled, min(self._filled + wanted, size))

    def took(self, count: int) -> None:
        """Take so many bytes that were written into ``space``."""
        self._digest.update(self._basin.view(self._filled, self._filled + count))
        self._filled += count
        self.size += count
        if self.error is None and self._filled - self._written >= _PIECE:
            if self._file is None and self._meta_size:
                self.early_header = read_early(self._basin.view(0, self._filled), self.path, self.opener)
            self._flush()

    def write(self, fragment: memoryview) -> None:
        """Take the next fragment."""
        while fragment:
            space = self.space(len(fragment))
            space[:] = fragment[: len(space)]
            self.took(len(space))
            fragment = fragment[len(space) :]

    def fail(self, error: OSError) -> None:
        """Keep nothing of it; what still comes is thrown away."""
        self.error = error
        self.discard()

    def finish(self) -> None:
        """Have everything in the file and close it; it stays where it is."""
        if not self._is_finished:
            self._is_finished = True
            self._flush()
            self._close()

    def discard(self) -> None:
        """Close the file and remove it if nobody took it."""
        self._is_finished = True
        if self._file is not None:
            self._file.close()
            self._file = None
        # A disk that takes nothing gives nothing back either: the next start clears the folder.
        with contextlib.suppress(OSError):
            self.path.unlink()

    def _spill(self) -> None:
        self._is_spilled = True
        self._flush()
        self._filled = self._written = 0

    def _flush(self) -> None:
        if self.error is not None:
            return
        try:
            if self._file is None:
                self._file = self._open()
            rest = self._basin.view(self._written, self._filled)
            self._written = self._filled
            while rest:
                rest = rest[self._file.write(rest) or 0 :]
        except OSError as error:
            self.error = error

    def _open(self) -> io.FileIO | SealedWriter:
        seal = self._vault.seal(self.path)
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        plain = io.FileIO(descriptor, "wb")
        try:
            return SealedWriter(plain, seal) if seal else plain
        except OSError:
            plain.close()
            raise

    def _close(self) -> None:
        if self._file is None:
            return
        try:
            if isinstance(self._file, SealedWriter) and self.error is None:
                self._file.finish()
        except OSError as error:
            self.error = error
        finally:
            self._file.close()
            self._file = None


@dataclass(frozen=True, slots=True)
class Spools:
    """The spools that are open, so that a broken association leaves nothing behind."""

    folder: Path
    vault: Vault
    _open: dict[Spool, Callable[[], bool]] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def open(self, is_alive: Callable[[], bool]) -> Spool:
        """Return a new spool.

        Parameters
        ----------
        is_alive
            Whether the association that fills it still lives.
        """
        spool = Spool(self.folder, self.vault)
        with self._lock:
            self._open[spool] = is_alive
        return spool

    def discard(self, spool: Spool) -> None:
        """Close a spool and remove its file if it was not taken."""
        with self._lock:
            self._open.pop(spool, None)
        spool.discard()

    def sweep(self) -> None:
        """Discard what broken associations left."""
        with self._lock:
            dead = [spool for spool, is_alive in self._open.items() if not is_alive()]
        for spool in dead:
            self.discard(spool)
