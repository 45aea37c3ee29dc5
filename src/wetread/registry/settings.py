"""Who may vouch for model packages, and how often they may fail.

In: ``[registry]`` of ``wetread.toml``.  Out: ``RegistrySettings``.  Never: a private key.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrySettings:
    """``[registry]``: which signatures count, and when a model goes out of service."""

    #: Public keys, as `wetread models key` writes them. With one or more, a package without a signature by
    #: one of them is refused.
    trusted_keys: tuple[Path, ...] = ()
    #: Readings in a row, of different studies, that a model version fails at before it goes out of service;
    #: 0: never.
    failures_in_a_row: int = 3
    #: ``HOST:PORT`` beyond this machine that packages may send images to (``kserve``, ``dicom-peer``).
    may_send_to: tuple[str, ...] = ()
