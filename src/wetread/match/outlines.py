"""Which finding each segment of a segmentation that came back is about.

In: what was outlined in a Reading, segments that somebody sent.  Out: pairs, and what was not taken and why.
Never: a guess: a segment that could be two findings', or none's, is not taken.

Viewers keep the label of a segment and drop its tracking UID (OHIF 3.13), others number anew: a name counts
only where the outlines overlap, a number only where they are mostly the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from wetread.domain.mask import Mask
from wetread.imaging.segments import MarkedSegment, NamedSegment

#: Of the smaller of two outlines that bear one name: less is something else.
_LEAST_SHARED = 0.25
#: Dice of two outlines that only bear one number.
_LEAST_ALIKE = 0.5
_AUTOMATIC = "AUTOMATIC"
_NO_FINDING = "no finding of ours; add what was missed by hand."
#: In one sentence.
_MOST_TOLD = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """One thing that a Reading outlines."""

    reading_digest: str
    #: Of the finding; ``""``: a normal part.
    tracking_uid: str
    #: As documents and segment call it.
    name: str
    number: int
    #: The model's, and that of the last reader.
    masks: tuple[Mask, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A finding with its new outline."""

    held: Held
    segment: MarkedSegment


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlined:
    """What a segmentation says of what we outlined."""

    pairs: tuple[Pair, ...] = ()
    #: Outlines that are as they were.
    unchanged: int = 0
    #: Sentences: what was not taken, and why.
    not_taken: tuple[str, ...] = ()


def is_named(one: NamedSegment, held: Iterable[Held]) -> bool:
    """Tell whether a segment is named as something of ours, and not by another program of its own."""
    return any(_is_name_of(one, other) for other in held)


def may_be_ours(one: NamedSegment, held: Iterable[Held]) -> bool:
    """Tell whether it is worth to look at the pixels of a segment."""
    others = list(held)
    by_hand = one.algorithm_type != _AUTOMATIC
    return is_named(one, others) or (by_hand and any(one.number == other.number for other in others))


def tell_others(names: Iterable[NamedSegment], held: Sequence[Held]) -> tuple[str, ...]:
    """Return one sentence on the segments that somebody drew and that are none of ours."""
    found = [
        str(one.number) for one in names if one.algorithm_type != _AUTOMATIC and not may_be_ours(one, held)
    ]
    if not found:
        return ()
    more = len(found) - _MOST_TOLD
    which = ", ".join(found[:_MOST_TOLD]) + (f" and {more} more" if more > 0 else "")
    return (f"{'Segments' if len(found) > 1 else 'Segment'} {which}: {_NO_FINDING}",)


def match_outlines(segments: Iterable[MarkedSegment], held: Sequence[Held]) -> Outlined:
    """Find what each segment is about.

    Parameters
    ----------
    segments
        One after the other: each holds a mask.
    """
    pairs: list[Pair] = []
    unchanged, not_taken = 0, []
    for one in segments:
        found = _find(one, held)
        reason = _refuse(one, held, found)
        if reason:
            not_taken.append(f"Segment {one.number}: {reason}")
        elif found and one.mask.digest == found[0].masks[-1].digest:
            unchanged += 1
        elif found:
            pairs.append(Pair(held=found[0], segment=one))
    return _without_doubles(pairs, unchanged, not_taken)


def _refuse(one: MarkedSegment, held: Sequence[Held], found: Sequence[Held]) -> str:
    """Return why a segment is not taken; ``""``: it is, or it is none of our business."""
    if not found:
        if is_named(one, held):
            return (
                "it is empty; reject the finding instead."
                if not one.mask.voxel_count
                else "it lies apart from the finding whose name it bears."
            )
        return _NO_FINDING
    if len(found) > 1:
        return "it could be several findings."
    if not found[0].tracking_uid and one.mask.digest != found[0].masks[-1].digest:
        return f"{found[0].name} is a normal part, which is not measured anew."
    if any(_covers(one.mask, other) > _covers(one.mask, found[0]) for other in held if other.tracking_uid):
        return f"it covers more of another finding than of {found[0].name}, whose name it bears."
    return ""


def _without_doubles(pairs: list[Pair], unchanged: int, not_taken: list[str]) -> Outlined:
    places = [(one.held.reading_digest, one.held.tracking_uid) for one in pairs]
    for one, place in zip(pairs, places, strict=True):
        if places.count(place) > 1:
            not_taken.append(f"Segment {one.segment.number}: {one.held.name} is outlined twice.")
    alone = [one for one, place in zip(pairs, places, strict=True) if places.count(place) == 1]
    return Outlined(pairs=tuple(alone), unchanged=unchanged, not_taken=tuple(not_taken))


def _find(one: MarkedSegment, held: Sequence[Held]) -> list[Held]:
    """Return what a segment can be about: by its UID, else by its name, else by its number."""
    named = [other for other in held if _is_same_uid(one, other)]
    named = named or [other for other in held if _is_name_of(one, other)]
    if named:
        return [other for other in named if _share(one.mask, other) >= _LEAST_SHARED]
    return [
        other
        for other in held
        if one.number == other.number and any(_dice(one.mask, mask) >= _LEAST_ALIKE for mask in other.masks)
    ]


def _is_name_of(one: NamedSegment, held: Held) -> bool:
    if _is_same_uid(one, held):
        return True
    same = " ".join(one.label.split()).casefold() == held.name.casefold()
    return same and one.algorithm_type != _AUTOMATIC


def _is_same_uid(one: NamedSegment, held: Held) -> bool:
    return bool(one.tracking_uid) and one.tracking_uid == held.tracking_uid


def _share(mask: Mask, held: Held) -> float:
    """Share of the smaller outline that both cover."""
    return max(
        _shared_voxels(mask, other) / max(1, min(mask.voxel_count, other.voxel_count)) for other in held.masks
    )


def _covers(mask: Mask, held: Held) -> int:
    return max(_shared_voxels(mask, other) for other in held.masks)


def _dice(one: Mask, other: Mask) -> float:
    return 2 * _shared_voxels(one, other) / max(1, one.voxel_count + other.voxel_count)


def _shared_voxels(one: Mask, other: Mask) -> int:
    low = np.maximum(one.offset, other.offset)
    high = np.minimum(np.add(one.offset, one.voxels.shape), np.add(other.offset, other.voxels.shape))
    if np.any(high <= low):
        return 0
    first, second = (
        mask.voxels[tuple(slice(a, b) for a, b in zip(low - mask.offset, high - mask.offset, strict=True))]
        for mask in (one, other)
    )
    return int(np.count_nonzero(first & second))
