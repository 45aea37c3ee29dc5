"""Who may vouch for model packages.

In: ``[registry]`` of ``wetread.toml``.  Out: ``RegistrySettings``.  Never: a private key.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrySettings:
    """``[registry]``: which signatures count."""

    #: Public keys, as `wetread models key` writes them. With one or more, a package without a signature by
    #: one of them is refused.
    trusted_keys: tuple[Path, ...] = ()
