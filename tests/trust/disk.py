"""A disk that can lose power and fail under a process: builds `disk.c` and reads its durable picture.

In: a folder.  Out: an environment for the service, faults at will, and the folder as a power cut leaves it.
"""

from __future__ import annotations

import errno
import random
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

requires_gcc = pytest.mark.skipif(
    shutil.which("gcc") is None, reason="gcc is not installed (apt install gcc libc6-dev)."
)

_FAULT_BYTES = 512
#: Of these the last, which count what failed.
_COUNT_BYTES = 8


def build_disk(folder: Path) -> Path:
    """Compile the library that is preloaded."""
    library = folder / "disk.so"
    command = ["gcc", "-O2", "-Wall", "-Werror", "-Wno-format-truncation", "-U_FORTIFY_SOURCE"]
    source = Path(__file__).with_name("disk.c")
    subprocess.run([*command, "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return library


@dataclass(frozen=True, kw_only=True)
class Disk:
    """One folder that stands for a disk."""

    library: Path
    #: The data folder lies in it. It is there for good, as a mounted disk is.
    root: Path
    shadow: Path
    fault: Path

    def environment(self, *, ignores_sync: bool = False, is_pictured: bool = True) -> dict[str, str]:
        """Return what a process needs.

        Parameters
        ----------
        is_pictured
            Whether the durable picture is kept. That opens and closes files that the process has open, which
            gives up its POSIX locks: then no other process may open its SQLite index.
        """
        values = {
            "LD_PRELOAD": str(self.library),
            "WETREAD_DISK_ROOT": str(self.root),
            "WETREAD_DISK_SHADOW": str(self.shadow),
            "WETREAD_DISK_FAULT": str(self.fault),
        }
        if not is_pictured:
            del values["WETREAD_DISK_SHADOW"]
        return values | ({"WETREAD_DISK_IGNORE_SYNC": "1"} if ignores_sync else {})

    def fail(self, number: int, part: str = "/", let_pass: int = 0) -> None:
        """From now on what writes to a path with this part fails."""
        text = f"{number} {let_pass} {part}".encode()
        self._tell(text)

    def mend(self) -> None:
        self._tell(b"0")

    def refusals(self) -> int:
        """Return how many calls failed so far."""
        return int.from_bytes(self.fault.read_bytes()[-_COUNT_BYTES:], sys.byteorder)

    def _tell(self, text: bytes) -> None:
        # In place: the process has this very file mapped.
        with self.fault.open("r+b") as file:
            file.write(text.ljust(_FAULT_BYTES - _COUNT_BYTES, b"\0"))

    def after_power_cut(self, target: Path, dice: random.Random | None = None) -> None:
        """Build the folder as the power cut left it.

        With dice: of the names that were not synced some are there all the same, with whatever of the
        content; a disk may write early.
        """
        target.mkdir()
        self._rebuild(self.root, _key(self.root), target, dice)

    def _rebuild(self, live: Path, key: str, target: Path, dice: random.Random | None) -> None:
        listing = self.shadow / "folders" / key
        entries = dict(_entry(line) for line in listing.read_text().splitlines()) if listing.exists() else {}
        if dice is not None and live.is_dir():
            now = {one.name: (_key(one), "d" if one.is_dir() else "f") for one in live.iterdir()}
            for name in sorted({*entries, *now}):
                if entries.get(name) != now.get(name) and dice.random() < 0.5:
                    entries.pop(name, None)
                    entries |= {name: now[name]} if name in now else {}
        for name, (one, kind) in entries.items():
            if kind == "d":
                (target / name).mkdir()
                self._rebuild(live / name, one, target / name, dice)
            else:
                self._place(one, live / name, target / name, dice)

    def _place(self, key: str, live: Path, target: Path, dice: random.Random | None) -> None:
        kept = self.shadow / "files" / key
        if kept.exists():
            shutil.copyfile(kept, target)
            return
        # A name whose content was never synced: anything from nothing on.
        content = live.read_bytes() if dice is not None and live.is_file() else b""
        target.write_bytes(content[: dice.randint(0, len(content))] if dice is not None else b"")


def make_disk(library: Path, folder: Path) -> Disk:
    """Return a disk below a folder."""
    disk = Disk(library=library, root=folder / "disk", shadow=folder / "shadow", fault=folder / "fault")
    for one in (disk.root, disk.shadow / "files", disk.shadow / "folders"):
        one.mkdir(parents=True)
    disk.fault.write_bytes(b"0".ljust(_FAULT_BYTES, b"\0"))
    return disk


def _entry(line: str) -> tuple[str, tuple[str, str]]:
    name, key, kind = line.rsplit(" ", 2)
    return name, (key, kind)


def _key(path: Path) -> str:
    """Return the key that `disk.c` gives: inode and time of birth."""
    # Python knows no time of birth on Linux.
    answer = subprocess.run(["stat", "-c", "%i %.9W", path], capture_output=True, text=True, check=True)
    inode, birth = answer.stdout.split()
    seconds, nanoseconds = birth.split(".")
    return f"{inode}-{seconds}.{int(nanoseconds)}"


FULL, READ_ONLY, BROKEN = errno.ENOSPC, errno.EROFS, errno.EIO
