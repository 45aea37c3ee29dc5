"""Bend one CT's lungs onto another's.

In: the pictures of both on blocks, an affine map.  Out: control points of the bending.
Never: a fold (the bending is held smooth).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from wetread.measure.coarse import Float32Array
from wetread.measure.pictures import Difference, Scene, compare
from wetread.measure.spline import Lattice

#: Weight of smoothness, as a share of what the pictures say at an average control point.
_SMOOTH = 0.02
_CONJUGATE_STEPS = 15
Map = Callable[[Float32Array], Float32Array]


def bend(scene: Scene, affine: Map, lattice: Lattice, control: Float32Array) -> Float32Array:
    """Bend the current lungs one step nearer to the prior ones.

    Parameters
    ----------
    affine
        Maps LPS points of the current CT, bent, to the prior one.
    lattice
        Lies over the blocks of the scene.
    control
        Control points as they are, shape (planes, rows, columns, 3), mm.
    """
    difference = compare(scene, affine(scene.points + expand(lattice, control)))
    return np.asarray(control + _solve(lattice, difference, control))


def expand(lattice: Lattice, control: Float32Array) -> Float32Array:
    """Return the displacement of every block, shape (planes, rows, columns, 3)."""
    return np.stack([lattice.expand(control[..., k]) for k in range(3)], axis=-1)


def _solve(lattice: Lattice, difference: Difference, control: Float32Array) -> Float32Array:
    """One step of Gauss and Newton, by conjugate gradients: nothing is ever written out as a matrix."""
    smooth = _SMOOTH * float(_diagonal(lattice, difference).mean())
    scale = 1.0 / (_diagonal(lattice, difference) + 20.0 * smooth)
    rest = -_gather(lattice, difference.slope) - smooth * _stiffen(control)
    step = np.zeros_like(control)
    along = scale * rest
    level = float(np.vdot(rest, along))
    for _ in range(_CONJUGATE_STEPS):
        seen = _gather(lattice, _times(difference.square, expand(lattice, along))) + smooth * _stiffen(along)
        length = level / max(float(np.vdot(along, seen)), 1e-12)
        step = step + length * along
        rest = rest - length * seen
        before, level = level, float(np.vdot(rest, scale * rest))
        along = scale * rest + level / max(before, 1e-12) * along
    return step


def _times(square: Float32Array, field: Float32Array) -> Float32Array:
    """Multiply a field, shape (..., 3), by the symmetric matrix of each block; shape (3, ...)."""
    xx, xy, xz, yy, yz, zz = square
    x, y, z = (field[..., k] for k in range(3))
    return np.stack([xx * x + xy * y + xz * z, xy * x + yy * y + yz * z, xz * x + yz * y + zz * z])


def _gather(lattice: Lattice, field: Float32Array) -> Float32Array:
    return np.stack([lattice.gather(one) for one in field], axis=-1)


def _diagonal(lattice: Lattice, difference: Difference) -> Float32Array:
    """What a control point alone changes, shape (planes, rows, columns, 3)."""
    planes, rows, columns = (one**2 for one in lattice.weights)
    squared = Lattice(weights=(planes, rows, columns))
    return _gather(squared, difference.square[[0, 3, 5]])


def _stiffen(control: Float32Array) -> Float32Array:
    """Slope of the squared second differences along each axis: straight lines cost nothing."""
    total = np.zeros_like(control)
    for axis in range(3):
        if control.shape[axis] < 3:
            continue
        moved = np.moveaxis(control, axis, 0)
        second = moved[2:] - 2.0 * moved[1:-1] + moved[:-2]
        part = np.moveaxis(total, axis, 0)
        part[2:] += second
        part[1:-1] -= 2.0 * second
        part[:-2] += second
    return total
