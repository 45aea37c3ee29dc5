"""Unique identifiers that follow from the options.

In: ``PhantomOptions``, what it names.  Out: UIDs below 2.25 (PS3.5 B.2).  Never: chance.
"""

from __future__ import annotations

import hashlib

from wetread.phantom.options import PhantomOptions


def patient_key(options: PhantomOptions) -> str:
    """Return ten hexadecimal digits that tell patients of different options apart."""
    return hashlib.sha256(repr(options).encode()).hexdigest()[:10]


def make_uid(options: PhantomOptions, *name: object) -> str:
    """Return the UID of something: the same options and name always give the same one."""
    text = "|".join([repr(options), *(str(part) for part in name)])
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:16])
    # As a version 8 UUID (RFC 9562), of which 2.25 wants the decimal form.
    number = number & ~(0xF << 76) | (8 << 76)
    number = number & ~(0x3 << 62) | (2 << 62)
    return f"2.25.{number}"
