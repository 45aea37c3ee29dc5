"""One data set on its way from the network to the disk.

In: fragments.  Out: a Part 10 file in the store's incoming folder, its digest and size.
Never: a whole instance in memory; a name from the sender; a file left behind; plaintext on the disk where
the store is encrypted.
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
from wetread.domain.study import open_plain
from wetread.sealed import SealedWriter
from wetread.store.cipher import Vault

#: Names this implementation (PS3.7 D.3.3.2); derived from a UUID (PS3.5 B.2).
IMPLEMENTATION_CLASS_UID = "2.25.279426617338126514617337128904517716337"
IMPLEMENTATION_VERSION_NAME = f"WETREAD_{__version__}"[:16]


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


class Spool:
    """A data set being received.

    Errors of the disk are kept and not raised: the association must live to answer with them.
    """

    def __init__(self, folder: Path, vault: Vault) -> None:
        self.path = folder / f"{secrets.token_hex(16)}.part"
        #: Opens the file for reading, once it is finished.
        self.opener = vault.open if vault.keyring else open_plain
        self.error: OSError | None = None
        #: Bytes of the data set so far.
        self.size = 0
        self._digest = hashlib.sha256()
        self._file: io.FileIO | SealedWriter | None = None
        try:
            seal = vault.seal(self.path)
            descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            plain = io.FileIO(descriptor, "wb")
            self._file = SealedWriter(plain, seal) if seal else plain
        except OSError as error:
            self.error = error

    @property
    def digest(self) -> str:
        """sha256 over the encoded data set, not encrypted, without preamble and file meta."""
        return self._digest.hexdigest()

    def begin(self, meta: bytes) -> None:
        """Write what stands before the data set."""
        self._write(memoryview(meta))

    def write(self, fragment: memoryview) -> None:
        """Take the next fragment."""
        self._digest.update(fragment)
        self.size += len(fragment)
        self._write(fragment)

    def finish(self) -> None:
        """Close the file; it stays where it is."""
        if self._file is not None:
            self._seal()
            # The disk begins to write while the header is read: the sync that follows waits half as long.
            if hasattr(os, "posix_fadvise"):
                os.posix_fadvise(self._file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            self._file.close()
            self._file = None

    def discard(self) -> None:
        """Close the file and remove it if nobody took it."""
        self.finish()
        # A disk that takes nothing gives nothing back either: the next start clears the folder.
        with contextlib.suppress(OSError):
            self.path.unlink()

    def _seal(self) -> None:
        if isinstance(self._file, SealedWriter) and self.error is None:
            try:
                self._file.finish()
            except OSError as error:
                self.error = error

    def _write(self, rest: memoryview) -> None:
        if self._file is None or self.error is not None:
            return
        try:
            while rest:
                rest = rest[self._file.write(rest) or 0 :]
        except OSError as error:
            self.error = error


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
