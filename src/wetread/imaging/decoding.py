"""The decoder's process: take a compressed frame, decode it, give it back, again and again.

In: frames on a socket.  Out: their pixels on the same.  Never: files, pickle, error texts; more memory or
time than its limits; life beyond the process that started it.

Messages are those of ``exchange``.
"""

from __future__ import annotations

import logging
import resource
import signal
import socket
import sys
import warnings
from typing import Any

import numpy as np
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID

from wetread.imaging.exchange import receive, send

_JPEG_EXTENDED, _JPEG_LOSSLESS = "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.57"


def main(descriptor: int, memory_mb: int, timeout_s: float) -> int:
    """Decode until the other end is closed."""
    _limit(memory_mb)
    with socket.socket(fileno=descriptor) as channel:
        while (request := receive(channel)) is not None:
            # Ends this process also where C code hangs and nobody is left who would.
            signal.setitimer(signal.ITIMER_REAL, timeout_s)
            header, data = _answer(*request)
            send(channel, header, data)
            signal.setitimer(signal.ITIMER_REAL, 0)
            if _peak_kib() > memory_mb << 9:
                # Half of it was in use, and may be in pieces: the next frame gets a fresh process.
                break
    return 0


def decode(image: dict[str, Any], data: bytes) -> tuple[str, bytes]:
    """Decode one frame.

    Parameters
    ----------
    image
        Image Pixel module, by the names of pydicom's options, and ``transfer_syntax_uid``.

    Returns
    -------
    tuple
        Photometric Interpretation of the decoded pixels, and these: little endian, colours by pixel, Bits
        Allocated as asked for.
    """
    options: dict[str, Any] = {"number_of_frames": 1, "pixel_keyword": "PixelData", **image}
    bits = options["bits_allocated"]
    decoder = get_decoder(_syntax(options.pop("transfer_syntax_uid"), options["bits_stored"]))
    # Unused bits are the business of whoever shows the pixels.
    options["correct_unused_bits"] = False
    pixels, properties = decoder.as_array(encapsulate([data], has_bot=False), index=0, raw=True, **options)
    kind = "i" if options["pixel_representation"] == 1 else "u"
    whole = np.ascontiguousarray(pixels, dtype=f"<{kind}{bits // 8}")
    return str(properties["photometric_interpretation"]), whole.tobytes()


def _syntax(uid: str, bits_stored: int) -> UID:
    # pydicom keeps 12 bits from GDCM, which goes by the code stream and decodes them as DCMTK does.
    return UID(_JPEG_LOSSLESS if uid == _JPEG_EXTENDED and bits_stored > 8 else uid)


def _answer(image: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
    try:
        photometric, pixels = decode(image, data)
    except Exception as error:  # noqa: BLE001 - the boundary: whatever a decoder raises becomes an answer
        return {"error": type(error).__name__}, b""
    return {"photometric": photometric}, pixels


def _peak_kib() -> int:
    """Return the most memory that was in use at a time."""
    try:
        with open("/proc/self/status") as lines:  # noqa: PTH123 - each frame comes by here
            return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        # On Linux this would count what the process had that started us.
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _limit(memory_mb: int) -> None:
    limit = memory_mb << 20
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    # No file is written, and no memory image of a patient left on the disk.
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
