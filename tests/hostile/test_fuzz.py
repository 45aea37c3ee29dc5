"""A bounded fuzz run over what reads what others wrote: only our own errors, in time and memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hostile.fuzz import TARGETS

ROOT = Path(__file__).parents[2]
SECONDS = 5
SEED = 20261124


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_but_our_own_errors(name: str, tmp_path: Path) -> None:
    last = tmp_path / "last"
    command = [sys.executable, "-m", "tests.hostile.fuzz", name, str(SECONDS), str(SEED), str(last)]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ.copy(), capture_output=True, text=True, timeout=300, check=False
    )
    found = last.read_bytes()[:2000] if last.exists() else b""
    assert done.returncode == 0, f"{done.stderr[-3000:]}\nlast input: {found!r}"
    assert int(done.stdout) > 20
