"""Bring files and secrets of a data folder under the current key, while the service goes on.

In: a data folder and its keys.  Out: encrypted files and secrets, and counts.
Never: a moment in which a file is neither old nor new on the disk; a file brought back that was removed.

What is encrypted already only gets a new header (``Vault.rewrap``). What is plain is written anew beside
its place, synced, and moved there. Both can be interrupted at any time and begun again: each file tells
by itself how far it is.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from wetread.errors import ConfigError
from wetread.sealed import SealError
from wetread.store.accounts import DAMAGED, Accounts, Renewal
from wetread.store.blobs import storage_error, sync_folder, write_file
from wetread.store.cipher import Vault
from wetread.store.keys import write_key_notes

#: Where files lie for good; what passes through other folders is gone at the next start.
AREAS = ("instances", "conflicts", "readings", "documents", "shadows")
_SUFFIX = ".sealing"
_PIECE = 1 << 20

#: (files done)
Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Census:
    """How many files which key opens."""

    #: By the key's identifier; a file that was left between two keys counts for both.
    keys: dict[str, int]
    plain: int
    #: Files that are neither plain nor readable headers.
    damaged: int
    #: TOTP secrets by their key, ``""`` for plain text, ``damaged`` where nobody can open them.
    secrets: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """What was done."""

    encrypted: int
    rewrapped: int
    #: Files that no key of ours opens, by their place in the data folder: nothing was done to them.
    failed: tuple[str, ...]
    secrets: Renewal = field(default_factory=lambda: Renewal(sealed=0, failed=()))


def count_keys(vault: Vault, accounts: Accounts | None = None) -> Census:
    """Look at the header of every file, and at the secrets of the accounts."""
    keys: Counter[str] = Counter()
    plain = damaged = 0
    for path in _iter_files(vault.root):
        try:
            found = vault.list_keys(path)
        except FileNotFoundError:
            continue
        except SealError:
            damaged += 1
            continue
        keys.update(found)
        plain += not found
    secrets = accounts.count_secret_keys() if accounts else {}
    return Census(keys=dict(keys), plain=plain, damaged=damaged, secrets=secrets)


def rotate_keys(vault: Vault, accounts: Accounts | None = None, progress: Progress | None = None) -> Rotation:
    """Encrypt what is plain and wrap every other file's key with the current key; secrets are sealed anew.

    The data folder then needs the current key alone, unless something failed.

    Raises
    ------
    ConfigError
        If no key is configured, another run is under way, or a service still uses another key.
    StorageError
        If the disk refuses.
    """
    if vault.keyring is None:
        raise ConfigError("No key is configured: set it in [encryption].")
    current = vault.key_id
    with _alone(vault.root):
        _check_service(vault.root, current)
        for left in vault.root.glob(f"*/??/.*{_SUFFIX}"):
            left.unlink(missing_ok=True)
        renewal = accounts.renew_secrets() if accounts else Renewal(sealed=0, failed=())
        counts: Counter[str] = Counter()
        failed = []
        for number, path in enumerate(_iter_files(vault.root), start=1):
            try:
                counts[_renew(vault, path)] += 1
            except SealError:
                failed.append(str(path.relative_to(vault.root)))
            except OSError as error:
                raise storage_error(error) from error
            if progress:
                progress(number)
        if not failed and not renewal.failed:
            # Looked at anew: what a process with an earlier configuration wrote meanwhile still counts.
            census = count_keys(vault, accounts)
            write_key_notes(vault.root, (current, *census.keys, *(set(census.secrets) - {"", DAMAGED})))
    return Rotation(
        encrypted=counts["encrypted"], rewrapped=counts["rewrapped"], failed=tuple(failed), secrets=renewal
    )


def _renew(vault: Vault, path: Path) -> str:
    try:
        if vault.list_keys(path):
            return "rewrapped" if vault.rewrap(path) else "done"
        return "encrypted" if _encrypt(vault, path) else "gone"
    except FileNotFoundError:
        return "gone"


def _encrypt(vault: Vault, path: Path) -> bool:
    """Put an encrypted copy in a plain file's place; False where it was removed or replaced meanwhile."""
    part = path.with_name(f".{secrets.token_hex(8)}{_SUFFIX}")
    with io.FileIO(path) as plain:
        write_file(part, iter(lambda: plain.read(_PIECE), b""), vault.seal(path))
        # Who removes it (``Blobs.remove``) holds this lock as well: it is not brought back.
        fcntl.flock(plain.fileno(), fcntl.LOCK_EX)
        is_there = _is_same_file(plain, path)
        if is_there:
            part.replace(path)
            sync_folder(path.parent)
    part.unlink(missing_ok=True)
    return is_there


def _is_same_file(file: io.FileIO, path: Path) -> bool:
    with contextlib.suppress(FileNotFoundError), io.FileIO(path) as now:
        return _identity(now) == _identity(file)
    return False


def _identity(file: io.FileIO) -> tuple[int, int]:
    status = os.fstat(file.fileno())
    return status.st_dev, status.st_ino


def _iter_files(root: Path) -> Iterator[Path]:
    for area in AREAS:
        yield from (root / area).glob("??/[!.]*")


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    with (root / "encryption.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ConfigError("Keys are being changed in this data folder already.", data=root) from error
        yield


def _check_service(root: Path, current: str) -> None:
    """Hold that a running service uses the current key: what it writes would need the old one."""
    with (root / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError as error:
            lock.seek(0)
            if lock.read().strip() != current:
                raise ConfigError(
                    "The running service uses another key: restart it with this configuration first."
                ) from error
