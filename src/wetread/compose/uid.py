"""UIDs of what is composed, derived from what it is composed of.

In: the digest of a Reading, a kind, an ordinal.  Out: the same UID every time.  Never: chance, the clock.
"""

from __future__ import annotations

import hashlib

from wetread.domain.document import DocumentKind

#: Grows with every change that alters the bytes composed from the same Reading.
COMPOSER_VERSION = "3"


def derive_uid(*parts: object) -> str:
    """Return ``2.25.`` and the sha256 of the parts, modulo 2**128 (PS3.5 B.2)."""
    text = "\x1f".join(str(part) for part in parts)
    number = int(hashlib.sha256(text.encode()).hexdigest(), 16) % 2**128
    return f"2.25.{number}"


def derive_instance_uid(reading_digest: str, kind: DocumentKind, ordinal: int) -> str:
    """Return the SOP Instance UID of the ordinal-th document (from 1) of a kind."""
    return derive_uid(reading_digest, COMPOSER_VERSION, kind.value, ordinal)


def derive_series_uid(reading_digest: str, kind: DocumentKind) -> str:
    """Return the Series Instance UID that all documents of a kind share."""
    return derive_uid(reading_digest, COMPOSER_VERSION, kind.value, "series")
