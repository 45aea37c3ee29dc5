"""The part of the eligibility guard that needs pixels.

In: a volume, what a model may read.  Out: problems.  Never: the volume changed.
"""

from __future__ import annotations

import numpy as np

from wetread.domain.model import Eligibility
from wetread.domain.problem import Problem, ProblemCode
from wetread.domain.volume import Volume

#: Most of a good image lies in range: padding, metal and a few damaged pixels may lie outside.
_LEAST_SHARE_IN_RANGE = 0.95
# An image of one value, or nearly so, shows nothing.
_LEAST_DEVIATION = 1.0


def check_pixels(volume: Volume, eligibility: Eligibility) -> tuple[Problem, ...]:
    """Check the values of a volume against a model's intended use.

    Returns
    -------
    tuple of Problem
        ``nan-pixels`` if any value is not finite; ``pixel-range`` if less than 95 % of the values
        lie in ``eligibility.pixel_range``, or the image is blank.

    Notes
    -----
    Plane by plane: needs memory for one plane.
    """
    low, high = eligibility.pixel_range
    inside, spread = 0, 0.0
    for plane in volume.voxels:
        if plane.dtype.kind == "f" and not np.isfinite(plane).all():
            message = "The images hold values that are no numbers: send the images again."
            return (Problem(code=ProblemCode.NAN_PIXELS, message=message),)
        inside += int(np.count_nonzero((plane >= low) & (plane <= high)))
        spread = max(spread, float(plane.std()))
    share = inside / volume.voxels.size
    if share < _LEAST_SHARE_IN_RANGE:
        message = (
            f"Only {share:.0%} of the pixels lie between {low:g} and {high:g}: the rescale is wrong or"
            " these are no such images; send the original images."
        )
        return (Problem(code=ProblemCode.PIXEL_RANGE, message=message),)
    if spread < _LEAST_DEVIATION:
        message = "The images are blank: send the original images."
        return (Problem(code=ProblemCode.PIXEL_RANGE, message=message),)
    return ()
