"""Functional groups of multi-frame objects, as flat header values.

In: the merged macros of each item.  Out: ``"SharedFunctionalGroupsSequence.PixelSpacing"`` and
the like; per frame the values of all frames in a row.  Never: attributes that no reader needs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from wetread.dicom.values import Plain

SHARED = "SharedFunctionalGroupsSequence"
PER_FRAME = "PerFrameFunctionalGroupsSequence"
SHARED_AND_PER_FRAME = frozenset({SHARED, PER_FRAME})

#: What placing and reading the pixels needs (PS3.3 C.7.6.16.2), with its number of values.
KEPT = {
    "PixelSpacing": 2,
    "SliceThickness": 1,
    "SpacingBetweenSlices": 1,
    "ImagePositionPatient": 3,
    "ImageOrientationPatient": 6,
    "RescaleSlope": 1,
    "RescaleIntercept": 1,
    "FrameType": 4,
    "ConvolutionKernel": 1,
}
MAX_FRAMES = 8192


def flatten_groups(keyword: str, items: Sequence[Mapping[str, Plain]]) -> dict[str, Plain]:
    """Return the kept attributes; those that not every frame has are left out.

    Parameters
    ----------
    keyword
        ``SharedFunctionalGroupsSequence`` or ``PerFrameFunctionalGroupsSequence``.
    items
        Keyword -> value of each item, in frame order.
    """
    if len(items) > MAX_FRAMES:
        return {}
    flat: dict[str, Plain] = {}
    for name, count in KEPT.items():
        values = [_several(item.get(name)) for item in items]
        if values and all(len(value) == count for value in values):
            flat[f"{keyword}.{name}"] = tuple(one for value in values for one in value)
    return {name: _single(name, value) for name, value in flat.items()}


def _several(value: Plain | None) -> tuple[str | int | float, ...]:
    if value is None:
        return ()
    return value if isinstance(value, tuple) else (value,)


def _single(name: str, value: Plain) -> Plain:
    is_shared = name.startswith(SHARED)
    return value[0] if is_shared and isinstance(value, tuple) and len(value) == 1 else value
