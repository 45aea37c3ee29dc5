"""What every runtime offers.

In: tensors by name.  Out: tensors by name.  Never: preprocessing, thresholds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from wetread.errors import InvalidOutput

Tensors = Mapping[str, npt.NDArray[Any]]


class Session(Protocol):
    """An open network."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of what it takes."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of what it gives."""

    def run(self, tensors: Tensors) -> Tensors:
        """Return the outputs for the inputs.

        Raises
        ------
        InvalidOutput
            If a shape does not fit, or a number is none.
        """


def check_finite(tensors: Tensors) -> Tensors:
    """Return the tensors, or raise InvalidOutput where one holds a number that is none."""
    for name, value in tensors.items():
        if not np.isfinite(value).all():
            raise InvalidOutput("The network answered with numbers that are none.", output=name)
    return tensors
