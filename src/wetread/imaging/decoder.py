"""Compressed frames to pixels, decoded by other processes.

In: the stored bytes of a frame, its layout.  Out: its pixels, or an error of the object.
Never: a decoder in this process, where a hostile code stream could end it; a wait without a limit.
"""

from __future__ import annotations

import atexit
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from wetread.errors import UndecodablePixels
from wetread.imaging.codestream import find_size
from wetread.imaging.exchange import LARGEST_BYTES, receive, send
from wetread.imaging.layout import PixelLayout

_YBR_422 = "YBR_FULL_422"
#: What the processes get beside their code: the working folder and nothing of our environment.
_NO_ENVIRONMENT: dict[str, str] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """The pixels of a frame: little endian, colours by pixel, Bits Allocated as its header says."""

    data: bytes
    photometric: str


class _Died(Exception):
    """The process ended or had to be ended."""


class _Hung(_Died):
    """It had its time."""


@dataclass(slots=True)
class _Worker:
    """One process."""

    process: subprocess.Popen[bytes]
    channel: socket.socket
    #: Frames so far.
    count: int = 0

    def ask(self, header: dict[str, Any], data: bytes, timeout_s: float) -> tuple[dict[str, Any], bytes]:
        """Return its answer; raises _Died where there is none in time."""
        deadline = time.monotonic() + timeout_s
        self.count += 1
        try:
            send(self.channel, header, data, deadline)
            answer = receive(self.channel, deadline)
        except TimeoutError as error:
            raise _Hung from error
        except (OSError, ValueError) as error:
            raise _Died from error
        if answer is None:
            raise _Died
        return answer

    def end(self) -> None:
        """End the process."""
        self.channel.close()
        self.process.kill()
        self.process.wait()


@dataclass(slots=True)
class DecoderPool:
    """A few processes that decode, started when they are needed, restarted when they die.

    Notes
    -----
    Whoever finds all of them busy waits for one; since each frame has its limit, that ends.
    """

    size: int = 2
    memory_mb: int = 2048
    timeout_s: float = 30.0
    _idle: list[_Worker] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _places: threading.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        """Settle how many may decode at a time."""
        self._places = threading.Semaphore(self.size)

    def decode(self, layout: PixelLayout, data: bytes) -> Decoded:
        """Decode a frame.

        Raises
        ------
        UndecodablePixels
            If it cannot be decoded, is larger than any real frame, is not what the header says, or the
            decoder died of it.
        UnreadableInstance
            If the header does not tell the size of a frame.
        """
        _check(layout, data)
        try:
            header, pixels = self._ask(_image(layout), data)
        except _Died as error:
            raise _undecodable(layout, "decoder died") from error
        if "error" in header:
            raise _undecodable(layout, str(header["error"])[:40])
        if len(pixels) != layout.decoded_bytes:
            raise UndecodablePixels("The compressed image has another size than its header says.")
        return Decoded(data=pixels, photometric=_after(layout, str(header.get("photometric", ""))))

    def close(self) -> None:
        """End the processes that are idle."""
        with self._lock:
            workers, self._idle = self._idle, []
        for worker in workers:
            worker.end()

    @property
    def pids(self) -> tuple[int, ...]:
        """Of the processes that are idle."""
        with self._lock:
            return tuple(worker.process.pid for worker in self._idle)

    def _ask(self, header: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
        with self._places:
            worker = self._take()
            was_used = worker.count > 0
            try:
                return self._ask_one(worker, header, data)
            except _Died as error:
                # An earlier frame may have left it ill: this one dies of its own only in a fresh process.
                if not was_used or isinstance(error, _Hung):
                    raise
            return self._ask_one(self._start(), header, data)

    def _ask_one(self, worker: _Worker, header: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
        try:
            answer = worker.ask(header, data, self.timeout_s)
        except BaseException:
            worker.end()
            raise
        with self._lock:
            self._idle.append(worker)
        return answer

    def _take(self) -> _Worker:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return self._start()

    def _start(self) -> _Worker:
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-I", "-m", "wetread.imaging.decoding"]
        command += [str(theirs.fileno()), str(self.memory_mb), str(self.timeout_s)]
        with theirs:
            process = subprocess.Popen(  # noqa: S603 - our own interpreter and module, no shell
                command,
                env=_NO_ENVIRONMENT,
                cwd="/",
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        return _Worker(process, ours)


#: Of this process.
DECODERS = DecoderPool()
atexit.register(DECODERS.close)


def _check(layout: PixelLayout, data: bytes) -> None:
    """Refuse what need not be tried."""
    if max(layout.decoded_bytes, len(data)) > LARGEST_BYTES:
        raise UndecodablePixels("The compressed image is larger than any that is decoded.")
    if layout.bits_allocated not in (8, 16, 32) or layout.is_float:
        raise UndecodablePixels("Compressed pixels of this Bits Allocated are not decoded.")
    if not data:
        raise UndecodablePixels("The compressed image is empty: send it again.")
    size = find_size(data)
    if size is not None and size != (layout.rows, layout.columns):
        raise UndecodablePixels("The compressed image has another size than its header says.")


def _image(layout: PixelLayout) -> dict[str, Any]:
    return {
        "transfer_syntax_uid": layout.transfer_syntax_uid,
        "rows": layout.rows,
        "columns": layout.columns,
        "samples_per_pixel": layout.samples,
        "bits_allocated": layout.bits_allocated,
        "bits_stored": layout.bits_stored,
        "pixel_representation": int(layout.is_signed),
        "photometric_interpretation": layout.photometric,
        "planar_configuration": int(layout.is_planar),
    }


def _after(layout: PixelLayout, photometric: str) -> str:
    """Return the photometric interpretation: decoders give every pixel its own colours."""
    if not photometric.isascii() or len(photometric) > 16:
        return layout.photometric
    return "YBR_FULL" if photometric == _YBR_422 else photometric


def _undecodable(layout: PixelLayout, reason: str) -> UndecodablePixels:
    return UndecodablePixels(transfer_syntax_uid=layout.transfer_syntax_uid, reason=reason)
