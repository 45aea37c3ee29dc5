"""Decoders die, hang and eat memory in processes of their own."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.imaging.objects import open_file, read_pixels
from wetread.errors import UndecodablePixels, WetreadError
from wetread.imaging.decoder import DecoderPool
from wetread.imaging.frames import iter_frames
from wetread.imaging.layout import PixelLayout, read_layout

NAME = "MR_small_RLE.dcm"


@pytest.fixture
def pool() -> Iterator[DecoderPool]:
    one = DecoderPool(size=1, timeout_s=60)
    yield one
    one.close()


def stored(name: str = NAME) -> tuple[PixelLayout, bytes]:
    with open_file(name) as file:
        return read_layout(file), next(iter_frames(file, [1])).data


def decode(pool: DecoderPool) -> None:
    """Decode a frame and look at it."""
    data = pool.decode(*stored()).data
    assert np.array_equal(np.frombuffer(data, "<i2").reshape(64, 64), read_pixels(NAME)[1][0])


def children() -> set[int]:
    tasks = Path("/proc/self/task").iterdir()
    return {int(pid) for task in tasks for pid in (task / "children").read_text().split()}


class Decoding(threading.Thread):
    """Decodes beside the test."""

    error: BaseException | None = None

    def __init__(self, pool: DecoderPool) -> None:
        super().__init__(daemon=True)
        self.pool = pool

    def run(self) -> None:
        try:
            decode(self.pool)
        except (AssertionError, WetreadError) as error:
            self.error = error


def await_new_child(before: set[int]) -> int:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if new := children() - before:
            return new.pop()
    raise AssertionError("no process was started")


def test_one_process_decodes_frame_after_frame(pool: DecoderPool) -> None:
    decode(pool)
    first = pool.pids
    decode(pool)
    assert len(first) == 1
    assert pool.pids == first


def test_the_memory_of_the_process_that_started_it_is_not_counted() -> None:
    pool = DecoderPool(size=1, memory_mb=512, timeout_s=60)
    large = np.ones(300 << 20, np.uint8)
    decode(pool)
    first = pool.pids
    decode(pool)
    assert large.all()
    assert pool.pids == first
    pool.close()


def test_several_at_a_time_share_the_processes(pool: DecoderPool) -> None:
    threads = [Decoding(pool) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [thread.error for thread in threads] == [None] * 6
    assert len(pool.pids) == 1


def test_a_process_that_died_between_frames_is_replaced(pool: DecoderPool) -> None:
    decode(pool)
    (pid,) = pool.pids
    os.kill(pid, signal.SIGKILL)
    decode(pool)
    assert pool.pids
    assert pool.pids != (pid,)


def test_a_process_that_an_earlier_frame_left_ill_does_not_fail_the_next(pool: DecoderPool) -> None:
    decode(pool)
    (pid,) = pool.pids
    os.kill(pid, signal.SIGSTOP)
    thread = Decoding(pool)
    thread.start()
    await_condition(lambda: pool.pids == ())
    os.kill(pid, signal.SIGKILL)
    thread.join(60)
    assert thread.error is None
    assert pool.pids != (pid,)


def test_a_frame_that_a_fresh_process_dies_of_is_an_error_of_the_object(pool: DecoderPool) -> None:
    before = children()
    thread = Decoding(pool)
    thread.start()
    os.kill(await_new_child(before), signal.SIGSEGV)
    thread.join(60)
    assert isinstance(thread.error, UndecodablePixels)
    decode(pool)


def test_a_process_that_hangs_is_ended() -> None:
    pool = DecoderPool(size=1, timeout_s=60)
    decode(pool)
    (pid,) = pool.pids
    os.kill(pid, signal.SIGSTOP)
    pool.timeout_s = 0.2
    with pytest.raises(UndecodablePixels):
        decode(pool)
    assert not Path(f"/proc/{pid}").exists()
    pool.timeout_s = 60
    decode(pool)
    pool.close()


def test_the_process_has_limits_and_none_of_our_environment(
    pool: DecoderPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WETREAD_SECRET", "a password")
    decode(pool)
    (pid,) = pool.pids
    lines = Path(f"/proc/{pid}/limits").read_text().splitlines()[1:]
    limits = {line[:26].strip(): line[26:].split()[0] for line in lines}
    assert limits["Max data size"] == str(pool.memory_mb << 20)
    assert limits["Max core file size"] == limits["Max file size"] == "0"
    assert b"WETREAD_SECRET" not in Path(f"/proc/{pid}/environ").read_bytes()


def test_a_process_that_lacks_memory_is_an_error_of_the_object() -> None:
    pool = DecoderPool(size=1, memory_mb=1, timeout_s=60)
    with pytest.raises(UndecodablePixels):
        pool.decode(*stored("examples_jpeg2k.dcm"))
    pool.close()


def test_the_process_ends_with_the_pool(pool: DecoderPool) -> None:
    decode(pool)
    (pid,) = pool.pids
    pool.close()
    assert not Path(f"/proc/{pid}").exists()


def test_what_need_not_be_tried_is_not_tried(pool: DecoderPool) -> None:
    layout, data = stored("JPEG2000.dcm")
    for wrong in (
        replace(layout, rows=1025),
        replace(layout, bits_allocated=64),
        replace(layout, rows=65535, columns=65535),
    ):
        with pytest.raises(UndecodablePixels):
            pool.decode(wrong, data)
    with pytest.raises(UndecodablePixels):
        pool.decode(layout, b"")
    assert pool.pids == ()


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.4.103", "1.2.3", ""])
def test_what_no_decoder_is_for(pool: DecoderPool, syntax: str) -> None:
    layout, data = stored()
    with pytest.raises(UndecodablePixels):
        pool.decode(replace(layout, transfer_syntax_uid=syntax), data)
    decode(pool)


def await_condition(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline
