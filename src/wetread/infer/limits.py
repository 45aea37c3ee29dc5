"""What a model's process may take.

In: megabytes.  Out: limits on the process that calls; its age.  Never: the serving process.
"""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path

#: ``imaging.volume.MAX_VOXELS`` as float32, and a header.
_LARGEST_FILE_BYTES = (2 << 30) + (1 << 20)


def age_s() -> float:
    """Return how long ago this process was started; its limit counts from there."""
    # proc(5): field 22, in clock ticks since the machine started; the name before may hold anything.
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    return time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")


def limit_process(memory_mb: int) -> None:
    """Limit memory and files of this process, for good."""
    limit = memory_mb * 1024 * 1024
    # RLIMIT_DATA and not RLIMIT_AS: thread pools reserve address space that they never use.
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    # No file beyond the largest volume, and no memory image of a patient left on the disk.
    resource.setrlimit(resource.RLIMIT_FSIZE, (_LARGEST_FILE_BYTES, _LARGEST_FILE_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
