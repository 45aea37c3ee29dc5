"""Make a data folder with the code of an earlier version, as an upgrade finds one.

In: the source folder of that version.  Out: its data folder after kill -9, packed.
Never: today's code (it runs as a program of its own, with nothing but the old source to import).

Run once per released version, the result is committed::

    git worktree add /tmp/old e82135f
    python tests/upgrade/make_data.py --source /tmp/old/src --out tests/upgrade/data-0.1.0.tar.xz

All studies hold the same pixels under other UIDs: xz packs them as one.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pydicom
from pydicom.uid import generate_uid
from pynetdicom import AE, StoragePresentationContexts, evt

PAUSE = threading.Event()
#: Named in test_upgrade.py too.
STUDIES = ("delivered", "waiting", "killed", "arriving")
PHANTOM = (
    *("--matrix", "96", "--spacing-mm", "3.5", "--step-mm", "3", "--thickness-mm", "3"),
    *("--length-mm", "240", "--healthy"),
)
#: Values are rounded to this step: noise does not pack.
STEP_HU = 160


class Old:
    """The earlier version: its command, its service."""

    def __init__(self, source: Path, folder: Path) -> None:
        self.folder = folder
        self.environment = os.environ | {"PYTHONPATH": str(source)}
        self.port = free_port()

    def command(self, *arguments: str, check: bool = True) -> None:
        subprocess.run(self._line(*arguments), env=self.environment, check=check)

    @contextmanager
    def serve(self, pacs_port: int) -> Iterator[subprocess.Popen[bytes]]:
        """Run the service; it is killed at the end, as a power cut would."""
        config = self.folder / "wetread.toml"
        config.write_text(
            f'data = "data"\n[dicom]\nport = {self.port}\n[web]\nport = {free_port()}\n[study]\nquiet_s = 2\n'
            f'[[destinations]]\nname = "pacs"\nto = "PACS@127.0.0.1:{pacs_port}"\nverify = "none"\n'
        )
        process = subprocess.Popen(self._line("serve", "--config", str(config)), env=self.environment)
        try:
            await_true(self._is_listening)
            yield process
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()

    def send(self, folder: Path, *, check: bool = True) -> None:
        self.command("send", str(folder), f"WETREAD@127.0.0.1:{self.port}", check=check)

    def ask(self, question: str, *values: str) -> list[tuple[object, ...]]:
        with closing(sqlite3.connect(self.folder / "data" / "index.sqlite", timeout=30)) as connection:
            return connection.execute(question, values).fetchall()

    def _line(self, *arguments: str) -> list[str]:
        return [sys.executable, "-c", "from wetread.cli import main; main()", *arguments]

    def _is_listening(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def await_true(condition: Callable[[], object], timeout_s: float = 300) -> None:
    limit = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > limit:
            raise TimeoutError("it did not come")
        PAUSE.wait(0.01)


def copy_study(files: list[Path], name: str, folder: Path) -> str:
    """Write the same images as a study of another patient; return its UID."""
    folder.mkdir()
    study, series = generate_uid(entropy_srcs=[name, "study"]), generate_uid(entropy_srcs=[name, "series"])
    for number, path in enumerate(files):
        image = pydicom.dcmread(path)
        rounded = (image.pixel_array.astype(int) + STEP_HU // 2) // STEP_HU * STEP_HU
        image.PixelData = rounded.astype(image.pixel_array.dtype).tobytes()
        image.StudyInstanceUID, image.SeriesInstanceUID = study, series
        image.SOPInstanceUID = generate_uid(entropy_srcs=[name, str(number)])
        image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
        image.PatientID, image.PatientName = f"OLD-{name}", f"Old^{name.capitalize()}"
        image.AccessionNumber = f"A-{name}"
        image.save_as(folder / path.name)
    return str(study)


def make_studies(old: Old) -> dict[str, str]:
    old.command("phantom", "--out", str(old.folder / "phantom"), *PHANTOM)
    files = sorted((old.folder / "phantom").rglob("*.dcm"))
    return {name: copy_study(files, name, old.folder / name) for name in STUDIES}


def fill(old: Old, studies: dict[str, str]) -> None:
    """Bring each study as far as its name says; the service is dead afterwards."""
    ae = AE("PACS")
    for context in StoragePresentationContexts:
        ae.add_supported_context(context.abstract_syntax)
    pacs = ae.start_server(
        ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, lambda _event: 0x0000)]
    )
    with old.serve(pacs.server_address[1]):
        old.send(old.folder / "delivered")
        await_true(lambda: _states(old, studies["delivered"]) == {"sent"})
        conflict(old)
    pacs.shutdown()
    with old.serve(free_port()):
        old.send(old.folder / "waiting")
        await_true(lambda: _tries(old, studies["waiting"]) > 0)
        old.send(old.folder / "killed")
        await_true(lambda: _stages(old, studies["killed"]) >= {"match"})
        for path in sorted((old.folder / "arriving").iterdir())[-3:]:
            path.unlink()
        old.send(old.folder / "arriving")
    assert "infer" not in _stages(old, studies["killed"])
    assert _states(old, studies["arriving"]) == set()


def conflict(old: Old) -> None:
    """Send one image again with another content."""
    folder = old.folder / "conflict"
    folder.mkdir()
    path = sorted((old.folder / "delivered").iterdir())[0]
    image = pydicom.dcmread(path)
    image.PatientName = "Old^Changed"
    image.save_as(folder / path.name)
    # It is kept aside and the sender told so.
    old.send(folder, check=False)
    await_true(lambda: old.ask("SELECT 1 FROM conflict"))


def _states(old: Old, study: str) -> set[object]:
    rows = old.ask("SELECT state FROM delivery WHERE study_instance_uid = ?", study)
    return {state for (state,) in rows}


def _tries(old: Old, study: str) -> int:
    ((tries,),) = old.ask(
        "SELECT COALESCE(MIN(attempts), 0) FROM delivery WHERE study_instance_uid = ?", study
    )
    return int(str(tries))


def _stages(old: Old, study: str) -> set[object]:
    return {stage for (stage,) in old.ask("SELECT stage FROM event WHERE study_instance_uid = ?", study)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--source", type=Path, required=True, help="src folder of the earlier version")
    parser.add_argument("--out", type=Path, required=True, help="tar.xz to write")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        old = Old(options.source.resolve(), Path(folder))
        fill(old, make_studies(old))
        with tarfile.open(options.out, "w:xz", preset=9) as archive:
            for path in sorted((old.folder / "data").rglob("*")):
                archive.add(path, arcname=path.relative_to(old.folder), recursive=False)


if __name__ == "__main__":
    main()
