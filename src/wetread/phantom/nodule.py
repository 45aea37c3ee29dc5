"""The shape of a nodule and its exact measures.

In: wishes, a random generator.  Out: ``NoduleForm``: radius in every direction, volume, axes.
Never: voxels of a scan.

A form is star-shaped: its surface is a radius as a function of direction. The volume is therefore an
integral over the sphere, known to 1e-5, and forms are scaled so that it equals the wished sphere's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from wetread.phantom.options import NoduleOptions, Shape

Array = npt.NDArray[np.floating]

#: Shape -> number of bumps, their height (range) and sharpness (range).
_BUMPS = {
    Shape.ROUND: (4, (-0.05, 0.06), (2.0, 4.0)),
    Shape.LOBULATED: (9, (0.22, 0.48), (9.0, 18.0)),
    Shape.SPICULATED: (9, (0.02, 0.16), (6.0, 14.0)),
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NoduleForm:
    """An ellipsoid with bumps; lengths in mm, directions in LPS."""

    scale_mm: float
    #: Relative half axes along x, y, z.
    axes: Array
    #: Unit vectors of the bumps, shape (n, 3), their relative height and sharpness, shape (n,).
    bumps: Array
    heights: Array
    sharpness: Array
    #: Strands of a spiculated nodule: unit vectors, shape (n, 3), and length beyond the surface, mm.
    strands: Array
    strand_mm: Array

    def radius_mm(self, directions: Array) -> Array:
        """Return the distance of the surface from the centre; unit vectors of shape (..., 3)."""
        stretched = directions / self.axes.astype(directions.dtype)
        bulge = np.zeros(directions.shape[:-1], dtype=directions.dtype)
        for axis, height, sharp in zip(self.bumps, self.heights, self.sharpness, strict=True):
            bulge += height * np.exp(sharp * (directions @ axis.astype(directions.dtype) - 1))
        ellipsoid = 1 / np.sqrt(np.maximum(np.einsum("...i,...i->...", stretched, stretched), 1e-9))
        radius: Array = self.scale_mm * ellipsoid * (1 + bulge)
        return radius

    def excess_mm(self, offsets_mm: Array) -> Array:
        """Return how far points lie outside the surface along their ray; offsets from the centre."""
        length = np.sqrt(np.einsum("...i,...i->...", offsets_mm, offsets_mm))
        directions = offsets_mm / np.maximum(length, 1e-6)[..., None]
        excess: Array = length - self.radius_mm(directions)
        return excess

    def support_mm(self, normal: npt.ArrayLike) -> float:
        """Return how far the form reaches in a direction: the distance of its tangent plane."""
        directions, _ = _sphere(64)
        reach = self.radius_mm(directions) * (directions @ np.asarray(normal, dtype=float))
        return float(reach.max())

    @property
    def reach_mm(self) -> float:
        """Radius of the sphere around the centre that holds the form, without strands."""
        return float(self.radius_mm(_sphere(64)[0]).max())

    @property
    def volume_mm3(self) -> float:
        """Volume: a third of the integral of the cubed radius over the sphere."""
        directions, weights = _sphere(96)
        return float((self.radius_mm(directions) ** 3 @ weights) / 3)

    def scaled(self, factor: float) -> NoduleForm:
        """Return the same form, all lengths times a factor."""
        return replace(self, scale_mm=self.scale_mm * factor, strand_mm=self.strand_mm * factor)


def _sphere(rings: int) -> tuple[Array, Array]:
    """Return directions (n, 3) and weights (n,) of a product quadrature on the sphere."""
    heights, ring_weights = np.polynomial.legendre.leggauss(rings)
    angles = (np.arange(2 * rings) + 0.5) * np.pi / rings
    wide = np.sqrt(1 - heights**2)
    directions = np.stack(
        [
            np.outer(wide, np.cos(angles)),
            np.outer(wide, np.sin(angles)),
            np.outer(heights, np.ones(2 * rings)),
        ],
        axis=-1,
    )
    weights = np.outer(ring_weights, np.full(2 * rings, np.pi / rings))
    return directions.reshape(-1, 3), weights.reshape(-1)


def _directions(count: int, rng: np.random.Generator) -> Array:
    vectors = rng.normal(size=(count, 3))
    unit: Array = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def draw_form(options: NoduleOptions, rng: np.random.Generator) -> NoduleForm:
    """Draw a form whose volume is that of a sphere of ``options.diameter_mm``."""
    count, (low, high), (dull, sharp) = _BUMPS[options.shape]
    strands = int(rng.integers(32, 45)) if options.shape is Shape.SPICULATED else 0
    form = NoduleForm(
        scale_mm=1.0,
        axes=np.exp(rng.normal(size=3) * 0.05),
        bumps=_directions(count, rng),
        heights=rng.uniform(low, high, size=count),
        sharpness=rng.uniform(dull, sharp, size=count),
        strands=_directions(strands, rng),
        strand_mm=rng.uniform(0.25, 0.6, size=strands) * options.diameter_mm,
    )
    wished = np.pi / 6 * options.diameter_mm**3
    return replace(form, scale_mm=float((wished / form.volume_mm3) ** (1 / 3)))


def measure_axes(form: NoduleForm) -> tuple[float, float]:
    """Return long and short axis, mm, in the axial plane where the form's area is greatest.

    The short axis is the longest chord at a right angle to the long axis, strands left out.
    """
    reach = form.reach_mm
    line = np.linspace(-reach, reach, 81)
    z, y, x = np.meshgrid(line, line, line, indexing="ij")
    inside = form.excess_mm(np.stack([x, y, z], axis=-1).astype(np.float32)) < 0
    widest = float(line[int(inside.sum(axis=(1, 2)).argmax())])
    angles = np.linspace(0, 2 * np.pi, 720, endpoint=False)
    outline = _outline(form, widest, angles)
    gaps = np.linalg.norm(outline[:, None] - outline[None], axis=-1)
    first, second = np.unravel_index(int(gaps.argmax()), gaps.shape)
    along = (outline[second] - outline[first]) / gaps.max()
    return float(gaps.max()), _longest_chord(outline, along)


def _outline(form: NoduleForm, z_mm: float, angles: Array) -> Array:
    """Return the outermost points of the section at a height, in the plane, shape (n, 2)."""
    reach = form.reach_mm
    radii = np.linspace(0, reach, 600)
    rays = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    plane = rays[:, None] * radii[None, :, None]
    points = np.concatenate([plane, np.full((*plane.shape[:2], 1), z_mm)], axis=-1)
    inside = form.excess_mm(points.astype(np.float32)) < 0
    last = inside.shape[1] - 1 - inside[:, ::-1].argmax(axis=1)
    outline: Array = rays * (radii[last] + reach / 1200)[:, None]
    return outline


def _longest_chord(outline: Array, along: Array) -> float:
    """Return the longest extent of an outline across a direction."""
    across = np.array([-along[1], along[0]])
    closed = np.concatenate([outline, outline[:1]])
    u, v = closed @ along, closed @ across
    longest = 0.0
    for level in np.linspace(u.min(), u.max(), 400)[1:-1]:
        crossing = np.flatnonzero((u[:-1] - level) * (u[1:] - level) <= 0)
        rise = u[crossing + 1] - u[crossing]
        share = (level - u[crossing]) / np.where(np.abs(rise) < 1e-9, 1e-9, rise)
        heights = v[crossing] + np.clip(share, 0, 1) * (v[crossing + 1] - v[crossing])
        if len(heights) > 1:
            longest = max(longest, float(np.ptp(heights)))
    return longest
