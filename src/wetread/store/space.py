"""Room that is kept free on the disk.

In: a folder and how much must stay free.  Out: an error before the disk is full.
Never: an image that takes the room which the index needs to say that there is none.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from wetread.errors import StorageError

#: Of the whole disk: a small disk keeps no more free than this, whatever the settings say.
_LARGEST_SHARE = 0.02


def measure_disk(folder: Path) -> tuple[int, int]:
    """Return size and free room of the disk on which a folder lies, in bytes."""
    disk = os.statvfs(folder)
    return disk.f_blocks * disk.f_frsize, disk.f_bavail * disk.f_frsize


@dataclass(slots=True)
class Space:
    """The free room of the disk on which a folder lies."""

    folder: Path
    reserve_mb: int = 0
    #: Returns size and free room of the disk below a folder, in bytes.
    measure: Callable[[Path], tuple[int, int]] = measure_disk
    #: How old what is known of the disk may be.
    age_s: float = 1.0
    _asked_at: float = field(default=float("-inf"), repr=False)
    _is_short: bool = field(default=False, repr=False)

    def check(self) -> None:
        """Refuse to begin what takes room; cheap.

        Raises
        ------
        StorageError
            If less is free than must stay free.
        """
        if not self.reserve_mb:
            return
        now = time.monotonic()
        if now - self._asked_at >= self.age_s:
            size, free = self.measure(self.folder)
            self._is_short = free < min(self.reserve_mb << 20, int(size * _LARGEST_SHARE))
            self._asked_at = now
        if self._is_short:
            raise StorageError("The disk is nearly full: free space or enlarge it.")
