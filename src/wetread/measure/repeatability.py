"""How much the measured volume of a nodule varies where nothing has changed.

In: what a nodule and its scan are like.  Out: standard deviation of ln volume.
Never: coefficients of its own; ``repeatability.json`` holds them, made by ``benchmarks/repeatability.py``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from wetread.measure.outline import Texture

_FILE = Path(__file__).with_name("repeatability.json")
#: A nodule and a scan to which the intercept belongs.
USUAL_DIAMETER_MM, USUAL_STEP_MM = 8.0, 1.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A nodule in one scan, as far as it decides how well it can be measured."""

    volume_mm3: float
    #: Distance of the scan's planes.
    step_mm: float
    texture: Texture
    #: Share of its surface on vessels or the pleura.
    attached: float = 0.0

    @property
    def diameter_mm(self) -> float:
        """Diameter of the sphere of the same volume."""
        return float((6.0 * self.volume_mm3 / math.pi) ** (1 / 3))


#: What the logarithm of the standard deviation is a sum of, besides an intercept.
TERMS = ("size", "step", "subsolid", "attached")


def describe_look(look: Look) -> Mapping[str, float]:
    """Return the terms of a look."""
    return {
        "size": math.log(look.diameter_mm / USUAL_DIAMETER_MM),
        "step": math.log(max(look.step_mm, 0.3) / USUAL_STEP_MM),
        "subsolid": 0.0 if look.texture is Texture.SOLID else 1.0,
        "attached": min(1.0, look.attached),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeatability:
    """A fitted model; ``read_repeatability`` returns the one in use."""

    #: ``intercept`` and one for each of ``TERMS``.
    weights: Mapping[str, float]
    #: No better than this is claimed of any scan.
    least_sd: float
    #: An interval is so many standard deviations wide to either side, 95 % of what was measured within; ...
    factor: float
    #: ... of nodules with ground glass, whose outlines now and then differ much more than usual.
    subsolid_factor: float
    #: Half the width where one scan shows another type of nodule than the other: a core without its halo.
    unlike_margin: float

    def sd(self, look: Look) -> float:
        """Return the standard deviation of ln volume in one scan."""
        terms = describe_look(look)
        total = self.weights["intercept"] + sum(self.weights[name] * terms[name] for name in TERMS)
        return max(self.least_sd, math.exp(min(total, 0.5)))

    def width(self, texture: Texture) -> float:
        """Return how many standard deviations an interval reaches to either side."""
        return self.factor if texture is Texture.SOLID else self.subsolid_factor

    def margin(self, one: Look, other: Look) -> float:
        """Return half the width of the 95 % interval of ln volume change between two scans."""
        margin = self.width(one.texture) * math.hypot(self.sd(one), self.sd(other))
        return margin if one.texture is other.texture else max(margin, self.unlike_margin)


@cache
def read_repeatability() -> Repeatability:
    """Return the model that ``benchmarks/repeatability.py`` has fitted."""
    return make_repeatability(json.loads(_FILE.read_text()))


def make_repeatability(content: Mapping[str, Any]) -> Repeatability:
    """Return a model of what ``fit`` of ``benchmarks/repeatability.py`` tells."""
    return Repeatability(
        weights=content["weights"],
        least_sd=content["least_sd"],
        factor=content["factor"],
        subsolid_factor=content["subsolid_factor"],
        unlike_margin=content["unlike_margin"],
    )
