"""A real Orthanc of its own for a test."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.ports import free_port

ORTHANC = shutil.which("Orthanc") or "/usr/sbin/Orthanc"
PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")

requires_orthanc = pytest.mark.skipif(
    not Path(ORTHANC).exists(), reason="Orthanc is not installed (apt install orthanc orthanc-dicomweb)."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Orthanc:
    """A running Orthanc."""

    aet: str
    dicom_port: int
    http_port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def dicomweb_url(self) -> str:
        return f"{self.url}/dicom-web"

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            return json.loads(answer.read())

    def get_bytes(self, path: str) -> bytes:
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            return bytes(answer.read())


@contextlib.contextmanager
def running_orthanc(
    folder: Path, config: dict[str, Any] | None = None, *, dicomweb: bool = True, aet: str = "ORTHANC"
) -> Iterator[Orthanc]:
    """Run an Orthanc on free ports with its data below ``folder``; ``config`` goes over the defaults."""
    folder.mkdir(parents=True, exist_ok=True)
    orthanc = Orthanc(aet=aet, dicom_port=free_port(), http_port=free_port())
    settings = {
        "Name": "test",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "DicomAet": aet,
        "DicomPort": orthanc.dicom_port,
        "HttpPort": orthanc.http_port,
        "HttpBindAddresses": ["127.0.0.1"],
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomAlwaysAllowFind": True,
        "Plugins": [str(PLUGIN)] if dicomweb and PLUGIN.exists() else [],
    } | (config or {})
    path = folder / "orthanc.json"
    path.write_text(json.dumps(settings))
    with (folder / "orthanc.log").open("wb") as log:
        process = subprocess.Popen(
            [ORTHANC, str(path)], stdout=log, stderr=log, env=os.environ | {"TCP_NODELAY": "1"}
        )
        try:
            _await(orthanc, process, folder / "orthanc.log")
            yield orthanc
        finally:
            process.terminate()
            process.wait(20)


def _await(orthanc: Orthanc, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with contextlib.suppress(urllib.error.URLError, OSError):
            orthanc.get("/system")
            return
        if process.poll() is not None:
            break
        time.sleep(0.05)
    raise RuntimeError(log.read_text()[-2000:])
