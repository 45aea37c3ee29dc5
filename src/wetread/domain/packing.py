"""A Reading as bytes: what crosses process borders and lies in the store.

In: a Reading, or bytes.  Out: bytes, or a Reading.  Never: pickle, in either direction.

A zip of ``reading.json`` and, for each mask, ``<digest>.npy`` (uint8, packed bits).
"""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import numpy as np

from wetread.domain.jsonable import from_jsonable, to_jsonable
from wetread.domain.mask import Mask
from wetread.domain.reading import Reading

# Fixed, so that the same Reading always gives the same bytes.
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)


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
        If a mask is not the one whose digest it carries.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        content: dict[str, Any] = json.loads(archive.read("reading.json"))
        masks = {
            digest: _unpack_mask(place, archive.read(f"{digest}.bits"))
            for digest, place in content["masks"].items()
        }
    for digest, mask in masks.items():
        if mask.digest != digest:
            raise ValueError("a mask does not match its digest")
    reading: Reading = from_jsonable(Reading, content["reading"], masks)
    return reading


def _unpack_mask(place: dict[str, Any], bits: bytes) -> Mask:
    size = tuple(place["size"])
    count = int(np.prod(size))
    flat = np.unpackbits(np.frombuffer(bits, dtype=np.uint8), count=count)
    return Mask(
        shape=tuple(place["shape"]),
        offset=tuple(place["offset"]),
        voxels=flat.reshape(size).astype(bool),
    )
