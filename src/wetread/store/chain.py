"""The chain of the audit trail: what each digest covers, its key, and the note of its end.

In: a key, numbers, messages.  Out: digests; the files ``audit.key`` and ``audit.head``.
Never: a key that others can read; an end that goes back.

Each digest is an HMAC (RFC 2104) over the digest before it, the entry's number and its message: who has no
key can change no entry without breaking the chain from there on. A chain alone cannot show that its last
entries were cut off: the end, number and digest of the last entry, is noted outside of the database.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import hmac
import os
import secrets
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from wetread.errors import StorageError
from wetread.store.blobs import sync_folder

KEY_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """The last entry of a trail: its number (0: none yet) and digest."""

    sequence: int
    digest: str


def genesis(key: bytes) -> End:
    """Return the end of a trail without entries."""
    return End(sequence=0, digest=_mac(key, b"wetread audit trail"))


def next_digest(key: bytes, previous: str, sequence: int, message: str) -> str:
    """Return the digest of an entry.

    Parameters
    ----------
    previous
        Digest of the entry before it.
    """
    return _mac(key, f"{previous}\n{sequence}\n{message}".encode())


def read_key(path: Path) -> bytes | None:
    """Return the key, None where there is none.

    Raises
    ------
    StorageError
        If the file cannot be read or is no key.
    """
    try:
        key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise StorageError("The audit key cannot be read.", reason=type(error).__name__) from error
    if len(key) != KEY_BYTES:
        raise StorageError("The audit key is not one: put back the file that belongs here.")
    return key


def make_key(path: Path) -> bytes:
    """Make a key, or return the one that another process made at the same moment.

    Raises
    ------
    StorageError
        If it cannot be written.
    """
    try:
        with _written(path, secrets.token_hex(KEY_BYTES) + "\n") as new, contextlib.suppress(FileExistsError):
            # A link, not a rename: it never replaces a key.
            os.link(new, path)
        sync_folder(path.parent)
    except OSError as error:
        raise StorageError("The audit key cannot be written.", reason=type(error).__name__) from error
    key = read_key(path)
    assert key is not None  # noqa: S101 - it was linked above
    return key


def read_end(path: Path, key: bytes) -> End | None:
    """Return the end that the file notes, None where there is no file.

    Raises
    ------
    ValueError
        If the file was not written with this key.
    StorageError
        If it cannot be read.
    """
    try:
        words = path.read_text(encoding="ascii").split()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(
            "The end of the audit trail cannot be read.", reason=type(error).__name__
        ) from error
    if len(words) != 3 or not words[0].isdecimal():
        raise ValueError("It is not the end of an audit trail.")
    end = End(sequence=int(words[0]), digest=words[1])
    if not hmac.compare_digest(_end_mac(key, end), words[2]):
        raise ValueError("It was written with another key or changed.")
    return end


def write_end(path: Path, key: bytes, end: End) -> None:
    """Note the end, unless a later one is noted.

    Raises
    ------
    StorageError
        If it cannot be written.
    """
    with prepare_end(path, key, end) as new:
        place_end(path, key, end, new)


@contextlib.contextmanager
def prepare_end(path: Path, key: bytes, end: End) -> Iterator[Path]:
    """Write a note of the end, synced, that ``place_end`` puts into its place; else it is gone afterwards.

    Raises
    ------
    StorageError
        If it cannot be written.
    """
    try:
        with _written(path, f"{end.sequence} {end.digest} {_end_mac(key, end)}\n") as new:
            yield new
    except OSError as error:
        raise StorageError(
            "The end of the audit trail cannot be noted.", reason=type(error).__name__
        ) from error


def place_end(path: Path, key: bytes, end: End, new: Path) -> None:
    """Let the end be noted by a file that was prepared, unless a later one is noted.

    Raises
    ------
    OSError
        If it cannot be; within ``prepare_end`` it becomes a StorageError.
    """
    with _locked(path):
        noted = None
        with contextlib.suppress(ValueError):
            noted = read_end(path, key)
        if noted is None or noted.sequence < end.sequence:
            new.replace(path)


@contextlib.contextmanager
def _written(path: Path, text: str) -> Iterator[Path]:
    """Yield a synced file beside ``path``, readable by us alone; it is gone afterwards."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    new = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        yield new
    finally:
        new.unlink(missing_ok=True)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    # Of two processes that commit one after the other, the later one may come here first.
    with path.with_name(f"{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _end_mac(key: bytes, end: End) -> str:
    return _mac(key, f"end\n{end.sequence}\n{end.digest}".encode())


def _mac(key: bytes, text: bytes) -> str:
    return hmac.new(key, text, hashlib.sha256).hexdigest()
