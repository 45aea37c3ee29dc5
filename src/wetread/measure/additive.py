"""A score that is a sum of one curve for each trait: what spoke for and against can be read off.

In: traits, curves as plain numbers.  Out: score of each draw, contributions.
Never: traits that act on each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
#: Terms of a curve: u, u^2, and u^2 above the middle.
TERMS = 3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Curves:
    """An additive model, several times: fitted to all patients, then to draws of them."""

    traits: tuple[str, ...]
    #: Of each trait, shape (traits,): what is subtracted, what is divided by, and the range that was seen.
    middle: FloatArray
    scale: FloatArray
    lowest: FloatArray
    highest: FloatArray
    #: Shape (draws, traits, TERMS) and (draws,); draw 0 is the fit to all.
    weights: FloatArray
    intercept: FloatArray


def spread_terms(curves: Curves, traits: FloatArray) -> FloatArray:
    """Return the terms of traits (..., traits), shape (..., traits, TERMS); flat beyond the range."""
    u = (np.clip(traits, curves.lowest, curves.highest) - curves.middle) / curves.scale
    return np.asarray(np.stack([u, u**2, np.maximum(u, 0) ** 2], axis=-1))


def score_traits(curves: Curves, traits: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the score by each draw, (draws,), and the contributions of the traits in draw 0, (traits,)."""
    terms = spread_terms(curves, traits)
    scores = np.einsum("dtk,tk->d", curves.weights, terms) + curves.intercept
    return np.asarray(scores), np.asarray((curves.weights[0] * terms).sum(axis=-1))


def save_curves(curves: Curves, path: Path) -> None:
    """Write curves as arrays."""
    with path.open("wb") as file:
        np.savez_compressed(
            file,
            traits=np.array(curves.traits),
            ranges=np.stack([curves.middle, curves.scale, curves.lowest, curves.highest]),
            weights=curves.weights,
            intercept=curves.intercept,
        )


def read_curves(path: Path) -> Curves:
    """Read curves; nothing is executed."""
    with np.load(path, allow_pickle=False) as arrays:
        middle, scale, lowest, highest = arrays["ranges"]
        return Curves(
            traits=tuple(str(one) for one in arrays["traits"]),
            middle=middle,
            scale=scale,
            lowest=lowest,
            highest=highest,
            weights=arrays["weights"],
            intercept=arrays["intercept"],
        )
