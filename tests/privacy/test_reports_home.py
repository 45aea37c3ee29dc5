"""No library that we use tells its makers of us: nothing is kept for that, nothing is looked up for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

RUN = """
import socket, sys
asked = []
def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo"):
        asked.append(arguments)
sys.addaudithook(watch)
from wetread.infer.runtimes.onnx import open_onnx
from wetread.registry.package import BUILTIN_FOLDER
open_onnx(str(BUILTIN_FOLDER / "chest-xray-pneumonia/model.onnx"))
print(asked)
"""


def test_onnx_runtime_keeps_and_sends_nothing(tmp_path: Path) -> None:
    # As a service runs it: on a build machine these libraries are quiet by themselves.
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-I", "-c", RUN],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stdout.strip() == "[]"
    # What it would send is collected in a file of its user first.
    assert list(tmp_path.rglob("*")) == []
