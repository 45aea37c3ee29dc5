"""Which nodule of one CT is which of another: one to one, with a confidence.

In: places and sizes in both, a registration.  Out: pairs; what is new, gone, split, merged or was not shown.
Never: a pair that is farther apart than registration and growth explain; pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from scipy.optimize import linear_sum_assignment

from wetread.domain.volume import FloatArray, Grid, Triple
from wetread.measure.outline import Texture
from wetread.measure.registration import Registration

#: Standard deviation of the distance after registration, and of the logarithm of the radii's ratio.
_APART_MM, _APART_SHARE, _RATIO = 2.5, 0.25, 0.4
#: Farther apart, in mm or in radii, nothing is the same.
_MOST_MM, _MOST_RADII = 8.0, 1.2
#: How well another type fits: solid may become part-solid, ground glass may get a solid core.
_OTHER_TYPE = 0.5
_SOLID_TO_GLASS = 0.2
#: Less likely pairs are none; and how likely it is that two neighbours are like each other by chance.
_LEAST = 0.01
_CHANCE = 0.05
#: What nobody would have seen without the other scan must fit better.
_LEAST_CONFIRMED = 0.1
_MOST_CONFIRMED_MM, _MOST_CONFIRMED_RADII = 4.0, 0.75
#: The scan ends this near to its last planes, for whoever asks whether a place was shown.
_EDGE_MM = 2.0


class Match(StrEnum):
    """What became of a nodule between two CTs."""

    SAME = "same"
    SPLIT = "split"
    MERGED = "merged"
    NEW = "new"
    RESOLVED = "resolved"
    #: The other scan does not show the place.
    NOT_SCANNED = "not-scanned"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """A nodule as it is matched."""

    center_lps_mm: Triple
    volume_mm3: float
    texture: Texture

    @property
    def radius_mm(self) -> float:
        """Radius of the sphere of the same volume."""
        return float((3.0 * self.volume_mm3 / (4.0 * math.pi)) ** (1 / 3))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Nodules of the current and of the prior CT that are one; indices."""

    match: Match
    current: tuple[int, ...]
    prior: tuple[int, ...]
    #: 0 to 1; that it is not another one.
    confidence: float
    #: After registration; 0 where only one CT shows it.
    apart_mm: float = 0.0


def pair_spots(
    current: Sequence[Spot], prior: Sequence[Spot], registration: Registration
) -> tuple[Pair, ...]:
    """Match nodules.

    Returns
    -------
    tuple of Pair
        Each nodule stands in one of them; those in one CT only are ``NEW`` or ``RESOLVED``, whatever
        the other scan shows of their place (see ``is_shown``).
    """
    apart = _distances(current, prior, registration)
    likely = _likelihoods(current, prior, apart)
    rows, columns = linear_sum_assignment(-likely) if likely.size else ((), ())
    chosen = {
        int(row): int(column)
        for row, column in zip(rows, columns, strict=True)
        if likely[row, column] > _LEAST
    }
    pairs = [
        Pair(
            match=Match.SAME,
            current=(row,),
            prior=(column,),
            confidence=_confidence(likely, row, column),
            apart_mm=float(apart[row, column]),
        )
        for row, column in chosen.items()
    ]
    pairs = _take_parts(pairs, current, prior, apart)
    used = {one for pair in pairs for one in pair.current}, {one for pair in pairs for one in pair.prior}
    pairs += [_alone(Match.NEW, (one,), ()) for one in range(len(current)) if one not in used[0]]
    pairs += [_alone(Match.RESOLVED, (), (one,)) for one in range(len(prior)) if one not in used[1]]
    return tuple(pairs)


def _alone(match: Match, current: tuple[int, ...], prior: tuple[int, ...]) -> Pair:
    return Pair(match=match, current=current, prior=prior, confidence=1.0)


def _distances(current: Sequence[Spot], prior: Sequence[Spot], registration: Registration) -> FloatArray:
    if not current or not prior:
        return np.zeros((len(current), len(prior)))
    here = registration.to_prior([one.center_lps_mm for one in current])
    there = np.asarray([one.center_lps_mm for one in prior])
    return np.asarray(np.linalg.norm(here[:, None] - there[None], axis=2))


def _likelihoods(current: Sequence[Spot], prior: Sequence[Spot], apart: FloatArray) -> FloatArray:
    likely = np.zeros(apart.shape)
    for row, one in enumerate(current):
        for column, other in enumerate(prior):
            likely[row, column] = likelihood(one, other, float(apart[row, column]))
    return likely


def likelihood(one: Spot, other: Spot, apart_mm: float) -> float:
    """Return how well two spots go together, 0 to 1: by their distance, size and type."""
    radius = max(one.radius_mm, other.radius_mm)
    if apart_mm > max(_MOST_MM, _MOST_RADII * radius):
        return 0.0
    away = apart_mm / (_APART_MM + _APART_SHARE * radius)
    ratio = math.log(one.radius_mm / other.radius_mm) / _RATIO
    kinds = {one.texture, other.texture}
    texture = 1.0 if len(kinds) == 1 else _OTHER_TYPE if Texture.PART_SOLID in kinds else _SOLID_TO_GLASS
    return math.exp(-0.5 * (away**2 + ratio**2)) * texture


def confirm(wanted: Spot, seen: Spot, place_lps_mm: Triple) -> Pair | None:
    """Pair a spot with what was seen at its place in the other scan; None where that is another thing."""
    apart_mm = float(np.linalg.norm(np.subtract(seen.center_lps_mm, place_lps_mm)))
    likely = likelihood(wanted, seen, apart_mm)
    is_near = apart_mm <= max(_MOST_CONFIRMED_MM, _MOST_CONFIRMED_RADII * wanted.radius_mm)
    if likely < _LEAST_CONFIRMED or not is_near:
        return None
    confidence = likely / (likely + _CHANCE)
    return Pair(match=Match.SAME, current=(), prior=(), confidence=confidence, apart_mm=apart_mm)


def _confidence(likely: FloatArray, row: int, column: int) -> float:
    chosen = float(likely[row, column])
    others = float(likely[row].sum() + likely[:, column].sum()) - 2.0 * chosen
    return chosen / (chosen + others + _CHANCE)


def _take_parts(
    pairs: list[Pair], current: Sequence[Spot], prior: Sequence[Spot], apart: FloatArray
) -> list[Pair]:
    """Add to each pair what is left over and lies within the larger of the two."""
    left = (
        set(range(len(current))) - {one for pair in pairs for one in pair.current},
        set(range(len(prior))) - {one for pair in pairs for one in pair.prior},
    )
    grown = []
    for pair in pairs:
        row, column = pair.current[0], pair.prior[0]
        parts = [one for one in sorted(left[0]) if _is_part(current[one], prior[column], apart[one, column])]
        pieces = [one for one in sorted(left[1]) if _is_part(prior[one], current[row], apart[row, one])]
        if parts and not pieces:
            left[0].difference_update(parts)
            pair = replace(pair, match=Match.SPLIT, current=(row, *parts))
        elif pieces and not parts:
            left[1].difference_update(pieces)
            pair = replace(pair, match=Match.MERGED, prior=(column, *pieces))
        grown.append(pair)
    return grown


def _is_part(small: Spot, large: Spot, apart_mm: float) -> bool:
    return small.radius_mm < large.radius_mm and apart_mm <= large.radius_mm + 1.0


def is_shown(grid: Grid, lps_mm: Triple) -> bool:
    """Tell whether a scan shows a place, away from its ends."""
    index = grid.to_index(lps_mm)
    edge = _EDGE_MM / np.asarray(grid.spacing_mm)
    return bool(np.all((index >= edge) & (index <= np.asarray(grid.shape) - 1 - edge)))
