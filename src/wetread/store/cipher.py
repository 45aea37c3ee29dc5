"""Which key opens which file: the headers of encrypted files.

In: a path in the data folder.  Out: its plaintext, or what it takes to write it encrypted.
Never: a file opened in another one's place; a header whose loss of power half-way loses the file.

Every file has a random key of its own. It stands in the file's header, wrapped (AES-256-GCM) with the key
of the configuration, together with the file's name: so a file put in another's place does not open, and a
new key of the configuration means new headers, not new files. The header::

    8   magic and version
    32  sha256 of the file's path in the data folder
    68  slot: identifier of the wrapping key (8), nonce (12), wrapped key of the file (32 + 16)
    68  slot: the same for another wrapping key, or zeros

Who wraps anew fills the empty slot, syncs, and only then clears the other: whenever power goes, one of
them opens. The header lies within one sector of the disk, which is written whole or not at all.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, cast

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from wetread.errors import StorageError
from wetread.sealed import HEADER_SIZE, KEY_SIZE, Seal, SealError, wrap_sealed
from wetread.store.keys import KEY_ID_SIZE, Keyring, name_key

MAGIC = b"WETSEAL\x01"
_NAME_END = len(MAGIC) + hashlib.sha256().digest_size
_NONCE_SIZE = 12
_SLOT_SIZE = KEY_ID_SIZE + _NONCE_SIZE + KEY_SIZE + 16
_EMPTY = bytes(_SLOT_SIZE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What stands before the chunks of an encrypted file."""

    #: sha256 of the path in the data folder.
    name: bytes
    slots: tuple[bytes, bytes]

    @property
    def key_ids(self) -> tuple[bytes, ...]:
        """The keys that it is wrapped with."""
        return tuple(slot[:KEY_ID_SIZE] for slot in self.slots if slot != _EMPTY)

    def encode(self) -> bytes:
        """Return its bytes."""
        return MAGIC + self.name + b"".join(self.slots)


def decode_header(data: bytes) -> Header | None:
    """Return the header that a file begins with, None where it is not encrypted.

    Raises
    ------
    SealError
        If it is cut short.
    """
    if data[: len(MAGIC)] != MAGIC:
        return None
    if len(data) < HEADER_SIZE:
        raise SealError("An encrypted file is cut short.")
    middle = _NAME_END + _SLOT_SIZE
    return Header(name=data[len(MAGIC) : _NAME_END], slots=(data[_NAME_END:middle], data[middle:HEADER_SIZE]))


@dataclass(frozen=True, slots=True)
class Vault:
    """Opens and seals the files of one data folder, encrypted or not."""

    root: Path
    #: None: new files are not encrypted.
    keyring: Keyring | None = field(default=None, repr=False)
    refuse_plain: bool = False
    #: Whether files here are encrypted that we have no key for: then nothing may be written.
    is_locked: bool = False

    @property
    def key_id(self) -> str:
        """Identifier of the key that new files are wrapped with, ``""`` where they are plain."""
        return name_key(self.keyring.current).hex() if self.keyring else ""

    def seal(self, path: Path) -> Seal | None:
        """Return what it takes to write a file at a path; None: it is written as it is.

        Raises
        ------
        StorageError
            If the folder is encrypted and the key is not here.
        """
        if self.keyring is None:
            if self.is_locked:
                raise StorageError("The data folder is encrypted and its key was not given.")
            return None
        key = secrets.token_bytes(KEY_SIZE)
        name = self._name(path)
        header = Header(name=name, slots=(_wrap(self.keyring.current, name, key), _EMPTY))
        return Seal(header=header.encode().hex(), key=key.hex())

    def open(self, path: Path) -> BinaryIO:
        """Open a file's plaintext for reading, wherever in it.

        Raises
        ------
        SealError
            If it was damaged or changed, is another file's, no key of ours opens it, or it should be
            encrypted and is not.
        OSError
            If it cannot be opened.
        """
        return self.open_file(io.FileIO(path), path)

    def open_file(self, file: io.FileIO, path: Path) -> BinaryIO:
        """Open a file that is open already, as ``open``; it is closed on errors."""
        try:
            key = self._key(file, path)
        except BaseException:
            file.close()
            raise
        if key is None:
            return cast(BinaryIO, io.BufferedReader(file))
        return wrap_sealed(file, key)

    def size_of(self, path: Path) -> int | None:
        """Return the length of a file's plaintext, None where it may be encrypted.

        Raises
        ------
        OSError
            If there is none.
        """
        return path.stat().st_size if self.keyring is None else None

    def find_key(self, path: Path) -> str:
        """Return the key, hexadecimal, that opens this file alone; ``""`` where it is not encrypted.

        Raises
        ------
        SealError, OSError
            As ``open``.
        """
        with io.FileIO(path) as file:
            key = self._key(file, path)
        return "" if key is None else key.hex()

    def rename(self, source: Path, target: Path) -> None:
        """Let an encrypted file open at another path; call it before it is moved there.

        Raises
        ------
        SealError, OSError
            As ``open``.
        """
        if self.keyring is None:
            return
        with _lock(source) as file:
            header = decode_header(_read_head(file))
            name = self._name(target)
            if header is None or header.name == name:
                return
            key = self._unwrap(header)
            moved = Header(name=name, slots=(_wrap(self.keyring.current, name, key), _EMPTY))
            _write_head(file, moved)

    def rewrap(self, path: Path) -> bool:
        """Wrap a file's key with the current key, and with no other; tell whether anything had to be done.

        Raises
        ------
        SealError, OSError
            As ``open``.
        """
        if self.keyring is None:
            return False
        current = name_key(self.keyring.current)
        with _lock(path) as file:
            header = decode_header(_read_head(file))
            if header is None or header.key_ids == (current,):
                return False
            slot = _wrap(self.keyring.current, header.name, self._unwrap(header))
            opening, _ = self._opener(header)
            # The slot that opens stays until the new one is on the disk.
            for kept in (opening, _EMPTY):
                slots = (kept, slot) if opening == header.slots[0] else (slot, kept)
                _write_head(file, Header(name=header.name, slots=slots))
                os.fsync(file.fileno())
            return True

    def list_keys(self, path: Path) -> tuple[str, ...]:
        """Return the identifiers of the keys that open a file; none: it is not encrypted."""
        with io.FileIO(path) as file:
            header = decode_header(_read_head(file))
        return () if header is None else tuple(one.hex() for one in header.key_ids)

    def _key(self, file: io.FileIO, path: Path) -> bytes | None:
        header = decode_header(_read_head(file))
        if header is None:
            if self.refuse_plain:
                raise SealError("A file in the data folder should be encrypted and is not.")
            return None
        if header.name != self._name(path):
            raise SealError("An encrypted file lies in the place of another.")
        return self._unwrap(header)

    def _unwrap(self, header: Header) -> bytes:
        slot, key = self._opener(header)
        nonce, wrapped = slot[KEY_ID_SIZE : KEY_ID_SIZE + _NONCE_SIZE], slot[KEY_ID_SIZE + _NONCE_SIZE :]
        try:
            return AESGCM(key).decrypt(nonce, wrapped, MAGIC + header.name)
        except InvalidTag as error:
            raise SealError("The header of an encrypted file is damaged or was changed.") from error

    def _opener(self, header: Header) -> tuple[bytes, bytes]:
        """Return the slot that a key of ours opens, and the key."""
        for slot in header.slots:
            key = self.keyring.find(slot[:KEY_ID_SIZE]) if self.keyring and slot != _EMPTY else None
            if key is not None:
                return slot, key
        missing = ", ".join(one.hex() for one in header.key_ids)
        raise SealError(f"The key of an encrypted file is not here: {missing}.")

    def _name(self, path: Path) -> bytes:
        return hashlib.sha256(path.relative_to(self.root).as_posix().encode()).digest()


def _wrap(key: bytes, name: bytes, file_key: bytes) -> bytes:
    nonce = secrets.token_bytes(_NONCE_SIZE)
    return name_key(key) + nonce + AESGCM(key).encrypt(nonce, file_key, MAGIC + name)


@contextmanager
def _lock(path: Path) -> Iterator[io.FileIO]:
    """Open a file for changing its header, alone."""
    with io.FileIO(path, "r+") as file:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX)
        yield file


def _read_head(file: io.FileIO) -> bytes:
    return os.pread(file.fileno(), HEADER_SIZE, 0)


def _write_head(file: io.FileIO, header: Header) -> None:
    os.pwrite(file.fileno(), header.encode(), 0)
