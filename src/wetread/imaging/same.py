"""Are two files the same object in different transfer syntaxes?

In: two DICOM files of one SOP Instance UID.  Out: yes only where every value and every pixel is equal.
Never: a guess: what cannot be read or compared is not the same.
"""

from __future__ import annotations

import hashlib
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from pydicom.datadict import dictionary_has_tag, dictionary_VR

from wetread.dicom.header import read_instance
from wetread.dicom.part10 import open_data_set
from wetread.dicom.scan import Element, Scan
from wetread.dicom.values import Encoding, plain_value
from wetread.domain.study import Instance, Opener, open_plain
from wetread.errors import InputError, UnreadableInstance
from wetread.imaging.pixels import read_frames

#: What an encoder may change without changing the image (PS3.5 8.2, PS3.3 C.7.6.3): Planar
#: Configuration, Specific Character Set.
_OF_THE_ENCODING = frozenset({0x00280006, 0x00080005})
_LONGEST_VALUE_BYTES = 16 << 20
#: Compared by value in memory: more is not looked at.
_LARGEST_BYTES = 256 << 20
_MEMORY_BYTES = 2 << 30
_TIMEOUT_S = 60.0
_PIECE = 1 << 20


def is_same_object(one: Path, other: Path, opener: Opener = open_plain) -> bool:
    """Tell whether two files differ in their transfer syntax alone.

    Notes
    -----
    Pixels are decoded in a process of their own: a hostile code stream can end the process of a decoder.
    """
    if max(one.stat().st_size, other.stat().st_size) > _LARGEST_BYTES:
        return False
    try:
        first, second = read_instance(one, opener), read_instance(other, opener)
        if first.transfer_syntax_uid == second.transfer_syntax_uid:
            return False
        if _digest_header(first) != _digest_header(second):
            return False
        if not all("Rows" in instance.header for instance in (first, second)):
            return True
        return _have_same_pixels(first, second)
    except (InputError, OSError):
        return False


def main(one: Path, other: Path) -> int:
    """Compare the pixels of two files within limits; the process' exit status is 0 where they are equal."""
    resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY_BYTES, _MEMORY_BYTES))
    # A memory image would hold the patient's.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    first, second = (read_frames(read_instance(path)) for path in (one, other))
    return 0 if np.array_equal(first, second) else 1


def _have_same_pixels(one: Instance, other: Instance) -> bool:
    with one.open() as first, other.open() as second, _in_memory(first) as a, _in_memory(second) as b:
        command = [
            sys.executable,
            "-I",
            "-m",
            "wetread.imaging.same",
            *(f"/proc/self/fd/{n}" for n in (a, b)),
        ]
        try:
            done = subprocess.run(  # noqa: S603 - our own interpreter and module, no shell
                command,
                pass_fds=(a, b),
                env={},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return False
    return done.returncode == 0


@contextmanager
def _in_memory(file: BinaryIO) -> Iterator[int]:
    """Copy a file to where only we and the other process can read it, and no disk keeps it."""
    descriptor = os.memfd_create("object")
    try:
        with os.fdopen(descriptor, "wb", closefd=False) as copy:
            shutil.copyfileobj(file, copy, _PIECE)
        yield descriptor
    finally:
        os.close(descriptor)


def _digest_header(instance: Instance) -> bytes:
    """Return a digest of all public values, whatever they are encoded in."""
    digest = hashlib.sha256()
    with instance.open() as file:
        source = open_data_set(file)
        scan = Scan(
            cursor=source.cursor,
            is_implicit=source.is_implicit,
            is_little_endian=source.is_little_endian,
            longest=_LONGEST_VALUE_BYTES,
            deepest=255,
        )
        encoding = Encoding(is_little_endian=source.is_little_endian)
        for element in scan:
            tags = [*(tag for tag, _ in element.path), element.tag]
            if _OF_THE_ENCODING.isdisjoint(tags) and not any(_is_private_or_length(tag) for tag in tags):
                digest.update(repr((element.path, element.tag, _comparable(element, encoding))).encode())
    return digest.digest()


def _is_private_or_length(tag: int) -> bool:
    return bool(tag >> 16 & 1) or tag & 0xFFFF == 0


def _comparable(element: Element, encoding: Encoding) -> object:
    if element.value is None:
        raise UnreadableInstance("A value is too long to be compared")
    # The dictionary's, which both encodings share: implicit files name none.
    vr = dictionary_VR(element.tag) if dictionary_has_tag(element.tag) else element.vr
    plain = plain_value(vr, element.value, encoding)
    return element.value.rstrip(b"\0 ") if plain is None else plain


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
