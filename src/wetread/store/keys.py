"""The keys that the keys of files are wrapped with: where they come from, which ones are in use.

In: ``[encryption]`` of the configuration.  Out: ``Keyring``.
Never: a key in a log, an error, an argument or the data folder; a shell; a wait without a limit.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import json
import os
import secrets
import stat
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from wetread.errors import ConfigError
from wetread.sealed import KEY_SIZE

#: Bytes of a key's identifier.
KEY_ID_SIZE = 8
#: Names the keys in use, in the data folder.
NOTES_NAME = "encryption.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class EncryptionSettings:
    """``[encryption]``: the key of the data folder; without one nothing is encrypted."""

    #: A file that only its owner can read, as ``wetread keys make`` writes it.
    key_file: Path | None = None
    #: An environment variable that holds the key.
    key_variable: str = ""
    #: A program, with its arguments, that prints the key: asks a key management system.
    key_command: tuple[str, ...] = ()
    key_command_timeout_s: float = 10.0
    #: Keys of before, until ``wetread keys rotate`` is through.
    old_key_files: tuple[Path, ...] = ()
    #: Whether files that are not encrypted are refused; for when ``wetread keys encrypt`` is through.
    refuse_plain: bool = False


@dataclass(frozen=True, slots=True)
class Keyring:
    """The key that is used, and those that still open."""

    current: bytes = field(repr=False)
    old: tuple[bytes, ...] = field(default=(), repr=False)

    def find(self, key_id: bytes) -> bytes | None:
        """Return the key of an identifier, None where it is not ours."""
        for key in (self.current, *self.old):
            if name_key(key) == key_id:
                return key
        return None


def name_key(key: bytes) -> bytes:
    """Return a key's identifier: short, public, and no help in finding the key."""
    return hashlib.sha256(b"wetread key " + key).digest()[:KEY_ID_SIZE]


def read_keyring(settings: EncryptionSettings) -> Keyring | None:
    """Fetch the keys; None where none is configured.

    Raises
    ------
    ConfigError
        If two sources are given, or one does not give a key; never with the key in it.
    """
    given = [word for word in ("key_file", "key_variable", "key_command") if getattr(settings, word)]
    if not given:
        if settings.old_key_files or settings.refuse_plain:
            raise ConfigError("[encryption] names no key: set key_file, key_variable or key_command.")
        return None
    if len(given) > 1:
        raise ConfigError("[encryption] names several keys: keep one.", given=", ".join(given))
    old = tuple(_read_key_file(path) for path in settings.old_key_files)
    return Keyring(_read_current(settings), old)


def make_key_file(path: Path) -> str:
    """Write a new random key to a new file that only its owner can read; return its identifier.

    Raises
    ------
    ConfigError
        If the file exists or cannot be written.
    """
    key = secrets.token_bytes(KEY_SIZE)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise ConfigError(
            "The key file cannot be made.", path=path, reason=os.strerror(error.errno or 0)
        ) from error
    with io.FileIO(descriptor, "w") as file:
        file.write(base64.b64encode(key) + b"\n")
        os.fsync(descriptor)
    return name_key(key).hex()


def read_key_notes(data: Path) -> tuple[str, ...]:
    """Return the identifiers of the keys that files of a data folder may be encrypted with."""
    try:
        return decode_key_notes((data / NOTES_NAME).read_text())
    except FileNotFoundError:
        return ()
    except (OSError, ValueError) as error:
        raise ConfigError(f"{NOTES_NAME} in the data folder cannot be read: restore it.") from error


def decode_key_notes(text: str) -> tuple[str, ...]:
    """Return the identifiers of keys that notes name.

    Raises
    ------
    ValueError
        If they are none.
    """
    try:
        return tuple(str(one) for one in json.loads(text)["keys"])
    except (LookupError, TypeError, RecursionError) as error:
        raise ValueError("no notes about keys") from error


def encode_key_notes(key_ids: Iterable[str]) -> str:
    """Return the notes about keys as they are kept."""
    return json.dumps({"keys": sorted(set(key_ids))})


def write_key_notes(data: Path, key_ids: Iterable[str]) -> None:
    """Note which keys the data folder needs from now on, synced."""
    part = data / f".{NOTES_NAME}.{secrets.token_hex(4)}"
    with part.open("x") as file:
        file.write(encode_key_notes(key_ids))
        file.flush()
        os.fsync(file.fileno())
    part.replace(data / NOTES_NAME)
    descriptor = os.open(data, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def check_keys(data: Path, keyring: Keyring | None) -> None:
    """Hold that every key that the data folder needs is here, and note the one used from now on.

    Raises
    ------
    ConfigError
        If one is missing; its identifier is named.
    """
    noted = read_key_notes(data)
    known = {name_key(key).hex() for key in (keyring.current, *keyring.old)} if keyring else set()
    missing = sorted(set(noted) - known)
    if missing:
        raise ConfigError(
            "Files in the data folder are encrypted with a key that is not configured: set it in"
            " [encryption], an earlier one in old_key_files.",
            missing_key=", ".join(missing),
        )
    if keyring is not None:
        current = name_key(keyring.current).hex()
        if current not in noted:
            write_key_notes(data, (*noted, current))


def _read_current(settings: EncryptionSettings) -> bytes:
    if settings.key_file is not None:
        return _read_key_file(settings.key_file)
    if settings.key_variable:
        if settings.key_variable not in os.environ:
            raise ConfigError("The environment variable of the key is not set.", name=settings.key_variable)
        return _parse(os.environ[settings.key_variable], settings.key_variable)
    return _ask(settings.key_command, settings.key_command_timeout_s)


def _read_key_file(path: Path) -> bytes:
    try:
        with path.open() as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(1024)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError("A key file cannot be read.", path=path, reason=type(error).__name__) from error
    if stat.S_IMODE(mode) & 0o077:
        raise ConfigError("Others can read a key file: chmod 600 it.", path=path)
    return _parse(text, str(path))


def _ask(command: tuple[str, ...], timeout_s: float) -> bytes:
    try:
        answer = subprocess.run(  # noqa: S603 - our operator's own program, no shell
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=timeout_s,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        # Without its cause: that holds what the program printed.
        raise ConfigError(
            "The key command did not run to its end.", program=command[0], reason=type(error).__name__
        ) from None
    if answer.returncode:
        raise ConfigError("The key command failed.", program=command[0], status=answer.returncode)
    return _parse(answer.stdout.decode("ascii", "replace"), command[0])


def _parse(text: str, where: str) -> bytes:
    """Return the key that a text is, hexadecimal or base64."""
    text = text.strip()
    try:
        key = bytes.fromhex(text) if len(text) == 2 * KEY_SIZE else base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        key = b""
    if len(key) != KEY_SIZE:
        message = f"This is no key: it must be {KEY_SIZE} bytes, in hexadecimal or base64."
        raise ConfigError(message, where=where)
    return key
