"""An authority, and certificates by it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from wetread.certificates import Signed, make_authority, sign


@pytest.fixture(scope="session")
def authority() -> Signed:
    return make_authority("Test authority", 2)


@pytest.fixture
def issue(authority: Signed, tmp_path: Path) -> Callable[..., Path]:
    """Write NAME.pem and NAME.key by the authority (or another); return the path without its suffix."""

    def run(name: str, *, by: Signed | None = None, days: float = 1, hosts: tuple[str, ...] = ()) -> Path:
        folder = tmp_path / "certificates"
        folder.mkdir(exist_ok=True)
        if not (folder / "authority.pem").exists():
            authority.write(folder, "authority")
        hosts = hosts or ("localhost", "127.0.0.1")
        sign(by or authority, name, hosts=hosts, days=days, server=True).write(folder, name)
        return folder / name

    return run
