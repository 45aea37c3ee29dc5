"""A wall clock that jumps under a running process: builds `wall_clock.c` and sets it.

In: a folder.  Out: an environment for the process, jumps at will.  Never: a monotonic clock that jumps; no
machine's does.
"""

from __future__ import annotations

import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

HOUR_S = 3600
DAY_S = 24 * HOUR_S


@dataclass(frozen=True, kw_only=True)
class WallClock:
    """What one process takes for the time."""

    library: Path
    offset: Path

    def environment(self) -> dict[str, str]:
        return {"LD_PRELOAD": str(self.library), "WETREAD_CLOCK": str(self.offset)}

    def set(self, offset_s: int) -> None:
        """Set the clock so far ahead of the true time, in s."""
        # In place: the process has this very file mapped.
        with self.offset.open("r+b") as file:
            file.write(struct.pack("q", offset_s))


def make_wall_clock(folder: Path) -> WallClock:
    """Return a clock that is right."""
    clock = WallClock(library=folder / "wall_clock.so", offset=folder / "offset")
    clock.offset.write_bytes(struct.pack("q", 0))
    source = Path(__file__).with_name("wall_clock.c")
    command = ["gcc", "-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-o", clock.library, source, "-ldl"]
    subprocess.run(command, check=True)
    return clock
