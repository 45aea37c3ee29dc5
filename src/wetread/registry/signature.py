"""Who vouches for a model package: an Ed25519 signature over its digest (RFC 8032).

In: a package's identity, keys.  Out: ``model.sig`` in its folder; who signed.
Never: a key that came with the package; trust in a file because of its name.

Built-in packages lie in wetread itself and are vouched for by whoever installed that.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

from cryptography.exceptions import InvalidSignature as WrongSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from wetread.domain.model import ModelIdentity
from wetread.errors import ConfigError, InvalidSignature

SIGNATURE_NAME = "model.sig"
#: A signature is a line; a key file is a few.
_LIMIT_BYTES = 8192


def make_key(path: Path) -> Path:
    """Write a new private key to ``path`` (readable by its owner only) and its public key beside it.

    Returns
    -------
    Path
        Of the public key: ``path`` with ``.pub`` appended.

    Raises
    ------
    ConfigError
        If one of the files exists or cannot be written.
    """
    private = Ed25519PrivateKey.generate()
    public_path = path.with_name(f"{path.name}.pub")
    pem, raw = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    try:
        _write_new(
            path,
            private.private_bytes(
                pem, serialization.PrivateFormat.PKCS8, encryption_algorithm=serialization.NoEncryption()
            ),
            0o600,
        )
        _write_new(public_path, private.public_key().public_bytes(pem, raw), 0o644)
    except OSError as error:
        raise ConfigError(
            "The key cannot be written: choose a new file name.", reason=error.strerror
        ) from error
    return public_path


def sign_package(folder: Path, identity: ModelIdentity, key_file: Path) -> None:
    """Write ``model.sig`` into a package folder.

    Raises
    ------
    ConfigError
        If the key file is no Ed25519 private key, or the signature cannot be written.
    """
    try:
        key = serialization.load_pem_private_key(_read(key_file), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError("The signing key cannot be read.", key=key_file.name) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError("The signing key is no Ed25519 key: make one by `wetread models key`.")
    signature = key.sign(_statement(identity))
    content = {"key": key_name(key.public_key()), "signature": base64.b64encode(signature).decode()}
    try:
        (folder / SIGNATURE_NAME).write_text(json.dumps(content) + "\n", encoding="ascii")
    except OSError as error:
        raise ConfigError("The signature cannot be written.", reason=error.strerror) from error


def verify_package(folder: Path, identity: ModelIdentity, trusted_keys: Sequence[Path]) -> str:
    """Return the name of the trusted key that signed a package.

    Raises
    ------
    InvalidSignature
        If there is no signature by a trusted key, or it is of another content.
    ConfigError
        If a trusted key cannot be read.
    """
    keys = {key_name(key): key for key in map(_read_public, trusted_keys)}
    try:
        content = json.loads(_read(folder / SIGNATURE_NAME))
        name, signature = str(content["key"]), base64.b64decode(content["signature"], validate=True)
    except OSError as error:
        raise InvalidSignature(
            "The package is not signed: let somebody you trust sign it by `wetread models sign`.",
            model=identity.name,
        ) from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InvalidSignature("The signature file is not one.", model=identity.name) from error
    if name not in keys:
        raise InvalidSignature(
            "The package is signed by a key that is not trusted here.", model=identity.name
        )
    try:
        keys[name].verify(signature, _statement(identity))
    except WrongSignature as error:
        raise InvalidSignature(model=identity.name, version=identity.version) from error
    return name


def key_name(key: Ed25519PublicKey) -> str:
    """Return what a key is called: the first 16 hex digits of the sha256 of its 32 bytes."""
    raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return hashlib.sha256(raw).hexdigest()[:16]


def _statement(identity: ModelIdentity) -> bytes:
    # The first line keeps the signature from meaning anything elsewhere.
    return f"wetread model package\n{identity.name}\n{identity.version}\n{identity.digest}\n".encode()


def _read_public(path: Path) -> Ed25519PublicKey:
    try:
        key = serialization.load_pem_public_key(_read(path))
    except (OSError, ValueError) as error:
        raise ConfigError(
            "A trusted key cannot be read: see registry.trusted_keys.", key=path.name
        ) from error
    if not isinstance(key, Ed25519PublicKey):
        raise ConfigError("A trusted key is no Ed25519 public key.", key=path.name)
    return key


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_LIMIT_BYTES)


def _write_new(path: Path, data: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
