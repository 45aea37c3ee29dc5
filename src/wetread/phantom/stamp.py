"""Fine structures with their share of each voxel: vessels, bronchi, nodules.

In: segments and forms in LPS mm, the fine grid.  Out: coverage, 0 to 1.  Never: HU.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wetread.domain.volume import Grid
from wetread.phantom.distance import Float
from wetread.phantom.nodule import NoduleForm

Points = npt.NDArray[np.float64]
Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Segments:
    """Tapering tubes, LPS mm."""

    starts: Points
    ends: Points
    near_mm: Points
    far_mm: Points

    def thickened(self, share: float, least_mm: float) -> Segments:
        """Return wider tubes: each radius grows by a share of itself, at least by ``least_mm``."""
        return Segments(
            starts=self.starts,
            ends=self.ends,
            near_mm=self.near_mm + np.maximum(self.near_mm * share, least_mm),
            far_mm=self.far_mm + np.maximum(self.far_mm * share, least_mm),
        )


def stamp_segments(cover: Bytes, grid: Grid, segments: Segments) -> None:
    """Add tubes to a coverage of the grid (255 is full), in place; the greater share stays."""
    spacing = np.array(grid.spacing_mm)
    starts, ends = grid.to_index(segments.starts) * spacing, grid.to_index(segments.ends) * spacing
    reach = np.maximum(segments.near_mm, segments.far_mm)[:, None] + 1.5 * spacing.max()
    low = np.floor((np.minimum(starts, ends) - reach) / spacing).astype(int)
    high = np.ceil((np.maximum(starts, ends) + reach) / spacing).astype(int) + 1
    low, high = np.maximum(low, 0), np.minimum(high, grid.shape)
    for index in np.flatnonzero(np.all(low < high, axis=1)):
        where = tuple(slice(a, b) for a, b in zip(low[index], high[index], strict=True))
        lines = [
            (np.arange(a, b) * step).astype(np.float32)
            for a, b, step in zip(low[index], high[index], spacing, strict=True)
        ]
        share = _tube_share(
            lines, starts[index], ends[index], (segments.near_mm[index], segments.far_mm[index]), spacing
        )
        np.maximum(cover[where], share, out=cover[where])


def _tube_share(
    lines: list[Float], start: Points, end: Points, radii: tuple[float, float], spacing: Points
) -> Bytes:
    axis = (end - start).astype(np.float32)
    offsets = [
        (line - np.float32(origin)).reshape(_axis_shape(number))
        for number, (line, origin) in enumerate(zip(lines, start, strict=True))
    ]
    along = offsets[0] * axis[0] + offsets[1] * axis[1] + offsets[2] * axis[2]
    share = np.clip(along / np.float32(max(float(axis @ axis), 1e-6)), 0, 1)
    squared = sum((offset - share * part) ** 2 for offset, part in zip(offsets, axis, strict=True))
    near, far = (np.float32(radius) for radius in radii)
    step = np.float32(spacing.mean())
    cover = np.clip(0.5 - (np.sqrt(squared) - (near + (far - near) * share)) / step, 0, 1)
    # A tube thinner than the voxel never fills it.
    thin = min(1.0, float(np.pi * max(radii) ** 2 / step**2))
    filled: Bytes = (cover * np.float32(255 * thin)).astype(np.uint8)
    return filled


def _axis_shape(number: int) -> tuple[int, ...]:
    shape = [1, 1, 1]
    shape[number] = -1
    return tuple(shape)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Patch:
    """Coverage of one form within a box of the grid."""

    #: First plane, row, column of the box.
    corner: tuple[int, int, int]
    cover: Float


def stamp_form(grid: Grid, form: NoduleForm, center_lps_mm: npt.ArrayLike, samples: int = 5) -> Patch | None:
    """Return the share of each voxel that lies within a form, from samples^3 points where it matters.

    None where the form lies outside the grid.
    """
    spacing = np.array(grid.spacing_mm)
    center = grid.to_index(center_lps_mm)
    reach = form.reach_mm / spacing + 1.5
    low = np.maximum(np.floor(center - reach).astype(int), 0)
    high = np.minimum(np.ceil(center + reach).astype(int) + 1, grid.shape)
    if np.any(low >= high):
        return None
    index = np.stack(
        np.meshgrid(*(np.arange(a, b) for a, b in zip(low, high, strict=True)), indexing="ij"), -1
    )
    to_lps = (np.array(grid.directions).T * spacing).astype(np.float32)
    offsets = ((index - center).astype(np.float32)) @ to_lps.T
    excess = form.excess_mm(offsets)
    cover = (excess < 0).astype(np.float32)
    # The excess runs along rays and understates distance on steep flanks, hence the wide band.
    edge = np.abs(excess) < 1.6 * float(np.linalg.norm(spacing))
    steps = ((np.arange(samples) + 0.5) / samples - 0.5).astype(np.float32)
    inner = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 3) @ to_lps.T
    cover[edge] = _sampled(form, offsets[edge], inner)
    return Patch(corner=(int(low[0]), int(low[1]), int(low[2])), cover=cover)


def _sampled(form: NoduleForm, offsets: Float, inner: Float) -> Float:
    share = np.zeros(len(offsets), dtype=np.float32)
    for first in range(0, len(offsets), 4096):
        points = offsets[first : first + 4096, None, :] + inner[None]
        share[first : first + 4096] = (form.excess_mm(points) < 0).mean(axis=1)
    return share


def strand_segments(form: NoduleForm, center_lps_mm: npt.ArrayLike) -> Segments:
    """Return the strands of a spiculated form as thin tubes that end in a point."""
    center = np.asarray(center_lps_mm, dtype=float)
    surface = form.radius_mm(form.strands)[:, None] if len(form.strands) else np.zeros((0, 1))
    return Segments(
        starts=center + form.strands * surface * 0.9,
        ends=center + form.strands * (surface + form.strand_mm[:, None]),
        near_mm=np.full(len(form.strands), 0.65),
        far_mm=np.full(len(form.strands), 0.15),
    )
