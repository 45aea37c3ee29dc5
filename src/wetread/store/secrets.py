"""Short secrets that stand in the index, sealed with the key of the data folder.

In: a secret, and whose it is.  Out: text for a column, and back.
Never: a secret opened as another's; one written in plain text where a key is configured.

A sealed one is ``sealed1:`` and base64 of: identifier of the key (8), nonce (12), the secret in AES-256-GCM.
What it belongs to is authenticated with it: a row's secret copied into another row does not open.
"""

from __future__ import annotations

import base64
import binascii
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from wetread.errors import StorageError
from wetread.sealed import SealError
from wetread.store.cipher import Vault
from wetread.store.keys import KEY_ID_SIZE, name_key

_PREFIX = "sealed1:"
_NONCE_SIZE = 12


def seal_secret(vault: Vault, owner: str, secret: str) -> str:
    """Return what a column takes; as it is where no key is configured.

    Raises
    ------
    StorageError
        If the data folder is encrypted and its key was not given.
    """
    if not secret:
        return ""
    if vault.keyring is None:
        if vault.is_locked:
            raise StorageError("The data folder is encrypted and its key was not given.")
        return secret
    key, nonce = vault.keyring.current, secrets.token_bytes(_NONCE_SIZE)
    sealed = name_key(key) + nonce + AESGCM(key).encrypt(nonce, secret.encode(), _name(owner))
    return _PREFIX + base64.b64encode(sealed).decode()


def open_secret(vault: Vault, owner: str, text: str) -> str:
    """Return the secret that a column holds.

    Raises
    ------
    SealError
        If no key of ours opens it, it was changed, or it is another owner's.
    """
    if not text.startswith(_PREFIX):
        return text
    key_id, nonce, sealed = _split(text)
    key = vault.keyring.find(key_id) if vault.keyring else None
    if key is None:
        raise SealError(f"The key of a secret is not here: {key_id.hex()}.")
    try:
        return AESGCM(key).decrypt(nonce, sealed, _name(owner)).decode()
    except (InvalidTag, ValueError) as error:
        raise SealError("A secret was changed, or is another's.") from error


def find_secret_key(text: str) -> str:
    """Return the identifier of the key that opens a column's secret, ``""`` where it is not sealed.

    Raises
    ------
    SealError
        If it was cut short or changed.
    """
    return _split(text)[0].hex() if text.startswith(_PREFIX) else ""


def _split(text: str) -> tuple[bytes, bytes, bytes]:
    try:
        data = base64.b64decode(text.removeprefix(_PREFIX), validate=True)
    except (ValueError, binascii.Error) as error:
        raise SealError("A secret was changed.") from error
    end = KEY_ID_SIZE + _NONCE_SIZE
    if len(data) < end:
        raise SealError("A secret was cut short.")
    return data[:KEY_ID_SIZE], data[KEY_ID_SIZE:end], data[end:]


def _name(owner: str) -> bytes:
    return _PREFIX.encode() + owner.encode()
