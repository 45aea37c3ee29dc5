"""Which keys a backup needs, before anything of it is restored.

In: a backup, the keys that are configured.  Out: its tables opened; identifiers of the keys that it needs.
Never: half a restore because a key is missing; a backup refused because one of its images is damaged.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import suppress
from typing import BinaryIO, cast

from wetread.errors import ConfigError, StorageError
from wetread.sealed import HEADER_SIZE, SealError
from wetread.store.cipher import Vault, decode_header
from wetread.store.inside import Inside
from wetread.store.keys import NOTES_NAME, Keyring, decode_key_notes
from wetread.store.manifest import Manifest
from wetread.store.secrets import find_secret_key


def check_keys(source: Inside, manifest: Manifest, keyring: Keyring | None) -> set[str]:
    """Return the identifiers of the keys that the restored folder needs: all of them are here.

    Raises
    ------
    ConfigError
        If one is missing; it is named.
    StorageError
        If a table does not open with its key.
    """
    noted = _read_notes(source, manifest)
    tables = set(manifest.tables.values())
    needed = _ours(_iter_files(source, tables), keyring, None)
    # An identifier that nobody noted is no key: the header of that image is damaged.
    needed |= _ours(_iter_files(source, set(manifest.files) - tables), keyring, noted)
    try:
        return needed | _ours(_iter_secrets(source, manifest, keyring), keyring, noted)
    except SealError as error:
        raise _unopened(manifest.tables["account"], error) from error


def open_table(source: Inside, name: str, keyring: Keyring | None) -> BinaryIO:
    """Open the file of a table, encrypted or not.

    Raises
    ------
    StorageError
        If it does not open with its key.
    """
    raw = cast(io.BufferedReader, source.open(name)).detach()
    try:
        return Vault(source.root, keyring).open_file(cast(io.FileIO, raw), source.root / name)
    except SealError as error:
        raise _unopened(name, error) from error


def _unopened(name: str, error: SealError) -> StorageError:
    return StorageError("A table of the backup does not open.", file=name, reason=error.strerror)


def _ours(found: Iterator[tuple[str, ...]], keyring: Keyring | None, noted: set[str] | None) -> set[str]:
    """Return those of our keys that open what was found."""
    needed: set[str] = set()
    missing: set[str] = set()
    for key_ids in found:
        known = {one for one in key_ids if keyring is not None and keyring.find(bytes.fromhex(one))}
        needed |= known
        if not known:
            missing.update(key_ids)
    if noted is not None:
        missing &= noted
    if missing:
        raise ConfigError(
            "Nothing was restored: the backup is encrypted with a key that is not configured. Name it in"
            " [encryption] of the configuration (--config), an earlier one in old_key_files.",
            missing_key=", ".join(sorted(missing)),
        )
    return needed


def _read_notes(source: Inside, manifest: Manifest) -> set[str]:
    if NOTES_NAME not in manifest.files:
        return set()
    with source.open(NOTES_NAME) as file:
        text = file.read()
    try:
        return set(decode_key_notes(text.decode()))
    except ValueError as error:
        raise StorageError("The backup does not say which keys it needs.", file=NOTES_NAME) from error


def _iter_files(source: Inside, names: set[str]) -> Iterator[tuple[str, ...]]:
    """Yield for each encrypted file the keys of which any opens it."""
    for name in sorted(names):
        with source.open(name) as file, suppress(SealError):
            header = decode_header(file.read(HEADER_SIZE))
            if header is not None:
                yield tuple(one.hex() for one in header.key_ids)


def _iter_secrets(source: Inside, manifest: Manifest, keyring: Keyring | None) -> Iterator[tuple[str, ...]]:
    if "account" not in manifest.tables:
        return
    with open_table(source, manifest.tables["account"], keyring) as file:
        for line in file:
            # What is no row is found when it is loaded.
            with suppress(ValueError, LookupError, TypeError, AttributeError, RecursionError, SealError):
                key_id = find_secret_key(json.loads(line)["totp_secret"])
                if key_id:
                    yield (key_id,)
