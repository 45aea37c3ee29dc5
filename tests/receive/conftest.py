"""A store, a receiver and DCMTK as sender."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file

from tests.stores import open_store
from wetread.receive.cstore import Receiver, ReceiverOptions, start_receiver
from wetread.store import Store

Send = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path / "data")
    yield opened
    opened.close()


@pytest.fixture
def receiver(store: Store) -> Iterator[Receiver]:
    running = start_receiver(ReceiverOptions(port=0), store)
    yield running
    running.stop()


@pytest.fixture
def send(receiver: Receiver) -> Send:
    """Run storescu (or another DCMTK sender) against the receiver."""

    def run(*arguments: object, tool: str = "storescu", aec: str = "WETREAD", **environment: str) -> Any:
        require_tool(tool)
        command = [tool, "-v", "-aec", aec, "127.0.0.1", str(receiver.port), *map(str, arguments)]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=60, env=os.environ | environment, check=False
        )

    return run


@pytest.fixture
def ct(tmp_path: Path) -> Path:
    """Return a small CT in a folder of its own."""
    path = tmp_path / "ct.dcm"
    shutil.copy(get_testdata_file("CT_small.dcm"), path)
    return path


def require_tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed (apt install dcmtk).")
    return found


def uid_of(path: Path) -> str:
    return str(dcmread(path, stop_before_pixels=True, force=True).SOPInstanceUID)
