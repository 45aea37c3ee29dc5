"""A Reading as bytes: what crosses process borders and lies in the store.

In: a Reading, or bytes.  Out: bytes, or a Reading.  Never: pickle, in either direction.

A zip of ``reading.json`` and, for each mask, ``<digest>.npy`` (uint8, packed bits).
"""

from __future__ import annotations

import io
import json
import math
import zipfile
import zlib
from typing import Any

import numpy as np

from wetread.domain.jsonable import from_jsonable, to_jsonable
from wetread.domain.mask import Mask
from wetread.domain.reading import Reading

# Fixed, so that the same Reading always gives the same bytes.
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)
_LONGEST_JSON_BYTES = 64 << 20
#: Of one mask: that of the largest volume.
_MOST_VOXELS = 1 << 29
# What zip, JSON and values raise on bytes that another process made up.
_UNPACK_ERRORS = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    zipfile.BadZipFile,
    zlib.error,
)


def pack_reading(reading: Reading) -> bytes:
    """Return the Reading as bytes; the same Reading gives the same bytes."""
    masks = {segment.mask.digest: segment.mask for segment in reading.segments}
    places = {
        digest: {"shape": mask.shape, "offset": mask.offset, "size": mask.voxels.shape}
        for digest, mask in masks.items()
    }
    plain = json.dumps({"reading": to_jsonable(reading), "masks": to_jsonable(places)}, sort_keys=True)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr(zipfile.ZipInfo("reading.json", _ZIP_TIME), plain)
        for digest, mask in masks.items():
            info = zipfile.ZipInfo(f"{digest}.bits", _ZIP_TIME)
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, np.packbits(mask.voxels).tobytes())
    return buffer.getvalue()


def unpack_reading(data: bytes) -> Reading:
    """Return the Reading again.

    Raises
    ------
    ValueError
        If the bytes are no Reading, larger than any, or a mask is not the one whose digest it carries.
    """
    try:
        return _unpack(data)
    except _UNPACK_ERRORS as error:
        raise ValueError(f"these bytes are no Reading ({type(error).__name__})") from error


def _unpack(data: bytes) -> Reading:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        text = _read_member(archive, "reading.json", _LONGEST_JSON_BYTES)
        content: dict[str, Any] = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
        masks = {
            digest: _unpack_mask(place, archive, f"{digest}.bits")
            for digest, place in content["masks"].items()
        }
    for digest, mask in masks.items():
        if mask.digest != digest:
            raise ValueError("a mask does not match its digest")
    reading: Reading = from_jsonable(Reading, content["reading"], masks)
    return reading


def _unpack_mask(place: dict[str, Any], archive: zipfile.ZipFile, name: str) -> Mask:
    shape, offset, size = (tuple(map(_index, place[key])) for key in ("shape", "offset", "size"))
    if len(shape) != 3 or len(offset) != 3 or len(size) != 3 or math.prod(size) > _MOST_VOXELS:
        raise ValueError("a mask is no box of a volume")
    count = math.prod(size)
    bits = _read_member(archive, name, -(-count // 8))
    flat = np.unpackbits(np.frombuffer(bits, dtype=np.uint8), count=count)
    return Mask(shape=shape, offset=offset, voxels=flat.reshape(size).astype(bool))


def _read_member(archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    # What is read counts, not what the archive claims.
    with archive.open(name) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise ValueError("a part is larger than it may be")
    return data


def _index(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _MOST_VOXELS:
        raise ValueError("an index is none")
    return value


def _refuse_constant(text: str) -> float:
    raise ValueError(f"{text} is no number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("a number is not finite")
    return value
