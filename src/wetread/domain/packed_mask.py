"""A mask as text, small enough for a row of the index.

In: a mask, or text.  Out: text, or a mask.  Never: pickle; more voxels than a volume may have.
"""

from __future__ import annotations

import base64
import json
import math
import zlib

import numpy as np

from wetread.domain.mask import Mask

#: Of the largest volume.
_MOST_VOXELS = 1 << 29
_LONGEST_HEAD = 1000


def pack_mask(mask: Mask) -> str:
    """Return a mask as text."""
    head = json.dumps([mask.shape, mask.offset, mask.voxels.shape])
    bits = zlib.compress(np.packbits(mask.voxels).tobytes())
    return f"{head}\n{base64.b64encode(bits).decode()}"


def unpack_mask(text: str) -> Mask:
    """Return the mask again.

    Raises
    ------
    ValueError
        If the text is none.
    """
    head, _, bits = text.partition("\n")
    if len(head) > _LONGEST_HEAD:
        raise ValueError("this text is no mask")
    shape, offset, size = (tuple(map(int, one)) for one in json.loads(head))
    count = math.prod(size)
    if len(shape) != 3 or len(offset) != 3 or len(size) != 3 or not 0 <= count <= _MOST_VOXELS:
        raise ValueError("a mask is a box of a volume")
    length = -(-count // 8)
    plain = zlib.decompressobj().decompress(base64.b64decode(bits), length + 1)
    if len(plain) != length:
        raise ValueError("a mask is cut short")
    flat = np.unpackbits(np.frombuffer(plain, dtype=np.uint8), count=count)
    return Mask(
        shape=(shape[0], shape[1], shape[2]),
        offset=(offset[0], offset[1], offset[2]),
        voxels=flat.reshape(size).astype(bool),
    )
