"""Nodules of the lungs: found, outlined, measured, with a probability.

In: an upright CT with its thorax.  Out: ``Nodule`` values on the upright grid, likeliest first.
Never: thresholds of its own; they come in as ``NoduleSettings``.

A classical method without training images, and a trained second reader where its signal is weak.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from wetread.domain.mask import BoolArray, Mask
from wetread.domain.volume import FloatArray, Triple, Volume
from wetread.measure.blobs import Blob, find_blobs
from wetread.measure.coarse import Coarse, bring_to, find_window
from wetread.measure.diameter import PlaneAxes, measure_axes
from wetread.measure.distance import measure_distance
from wetread.measure.likeness import Features, measure_features, measure_probability
from wetread.measure.metrology import Form, measure_form
from wetread.measure.outline import Outline, Texture, outline_nodule
from wetread.measure.patch import Patch, PatchSource, cut_patch
from wetread.measure.thorax import LEFT, RIGHT, Thorax
from wetread.measure.volume import measure_volume_mm3


@dataclass(frozen=True, slots=True, kw_only=True)
class Views:
    """The same upright CT three times."""

    volume: Volume
    #: Blocks of about 2 mm, on which the thorax was found.
    coarse: Coarse
    #: Blocks of about 1.3 mm, on which spots are searched.
    blocks: Coarse


@dataclass(frozen=True, slots=True, kw_only=True)
class NoduleSettings:
    """Operating point of the search."""

    #: Least strength of a spot (see ``blobs``), HU.
    least_strength_hu: float = 40.0
    #: Weaker spots count only if they are ground glass and a second reader sees a nodule there too.
    sure_strength_hu: float = 60.0
    #: Ground glass is not denser.
    glass_hu: float = -200.0
    least_probability: float = 0.5
    #: Below this at half fineness a spot is not looked at again.
    first_look_probability: float = 0.08
    least_diameter_mm: float = 3.5
    greatest_diameter_mm: float = 40.0
    #: No more spots than this are looked at, strongest first.
    most_candidates: int = 400
    #: Weights of the probability.
    weights: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Nodule:
    """One nodule on the upright grid."""

    mask: Mask
    #: Centroid, (plane, row, column), fractional.
    center: Triple
    volume_mm3: float
    mean_hu: float
    texture: Texture
    #: ``RIGHT`` or ``LEFT``.
    side: int
    probability: float
    distance_to_pleura_mm: float
    #: On the plane of largest area, index ``plane``.
    axial: PlaneAxes
    plane: int
    #: End points on the upright grid, shape (2, 3): long, short.
    axial_long: FloatArray
    axial_short: FloatArray
    #: On that of the axial, coronal and sagittal planes where the long axis is longest.
    greatest: PlaneAxes
    features: Features
    #: Of what looks like a nodule.
    form: Form


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What all looks at one CT share."""

    source: PatchSource
    #: Distance to the edge of the closed lungs on the coarse grid, mm.
    depth_mm: FloatArray
    settings: NoduleSettings


#: Asked for a spot: (plane, row, column) on the volume's grid, fractional, and its radius in mm.
SecondReader = Callable[[Triple, float], bool]


def find_nodules(
    views: Views,
    thorax: Thorax,
    settings: NoduleSettings,
    agrees: SecondReader = lambda _place, _radius: False,
) -> tuple[tuple[Nodule, ...], bool]:
    """Find the nodules.

    Parameters
    ----------
    agrees
        The second reader of weak spots.

    Returns
    -------
    tuple
        Nodules at or above the least probability, likeliest first, and whether spots were left
        out because there were too many.
    """
    blobs, search = prepare_search(views, thorax, settings)
    chosen = blobs[: settings.most_candidates]
    nodules = [nodule for blob in chosen if (nodule := measure_candidate(search, blob, agrees)) is not None]
    likely = [one for one in nodules if one.probability >= settings.least_probability]
    likely.sort(key=lambda one: (-one.probability, one.center))
    return tuple(_without_repeats(likely)), len(blobs) > len(chosen)


def prepare_search(views: Views, thorax: Thorax, settings: NoduleSettings) -> tuple[list[Blob], Search]:
    """Find all spots, on the volume's grid, strongest first."""
    search, coarse, fine = open_search(views, thorax, settings), views.coarse, views.blocks
    closed = thorax.closed > 0
    lung_hu = float(np.median(coarse.voxels[thorax.sides > 0]))
    window = find_window(closed, coarse, fine)
    inside = bring_to(closed, coarse, fine, window)
    blobs = find_blobs(fine.voxels[window], inside, fine.spacing_mm, lung_hu, settings.least_strength_hu)
    start = (window[0].start, window[1].start, window[2].start)
    moved = [_to_volume(blob, start, fine) for blob in blobs]
    return moved, search


def open_search(views: Views, thorax: Thorax, settings: NoduleSettings) -> Search:
    """Prepare to look at places of a CT."""
    closed = np.pad(thorax.closed > 0, 1, mode="edge")
    depth = ndimage.distance_transform_edt(closed, sampling=views.coarse.spacing_mm)
    source = PatchSource(volume=views.volume, coarse=views.coarse, closed=thorax.closed)
    return Search(source=source, depth_mm=depth[1:-1, 1:-1, 1:-1], settings=settings)


def _to_volume(blob: Blob, start: tuple[int, int, int], fine: Coarse) -> Blob:
    place = [(blob.index[k] + start[k] + 0.5) * fine.factors[k] - 0.5 for k in range(3)]
    return Blob(index=(place[0], place[1], place[2]), radius_mm=blob.radius_mm, strength_hu=blob.strength_hu)


def measure_candidate(search: Search, blob: Blob, agrees: SecondReader) -> Nodule | None:
    """Outline and measure one spot; None where there is nothing of a nodule's size."""
    settings = search.settings
    is_weak = blob.strength_hu < settings.sure_strength_hu
    # The cheapest first: most weak spots are where vessels cross.
    if (is_weak and not _is_glass(search, blob)) or not _passes_first_look(search, blob):
        return None
    if is_weak and not agrees(blob.index, blob.radius_mm):
        return None
    seen = look_at(search, blob, max(0.4, blob.radius_mm / 9.0))
    if seen is None or (is_weak and seen[1].texture is Texture.SOLID):
        return None
    patch, outline = seen
    volume_mm3 = measure_volume_mm3(patch, outline)
    diameter = (6.0 * volume_mm3 / np.pi) ** (1 / 3)
    if not settings.least_diameter_mm <= diameter <= settings.greatest_diameter_mm:
        return None
    features = measure_features(patch, outline, blob.strength_hu, volume_mm3)
    probability = measure_probability(features, settings.weights)
    return describe(search, patch, outline, volume_mm3, (features, probability))


def _is_glass(search: Search, blob: Blob) -> bool:
    """Tell whether the inner half of a spot is no denser than ground glass."""
    volume = search.source.volume
    half = [0.5 * blob.radius_mm / size for size in volume.grid.spacing_mm]
    box = tuple(
        slice(max(0, round(at - by)), round(at + by) + 1) for at, by in zip(blob.index, half, strict=True)
    )
    return bool(np.percentile(volume.voxels[box], 90) <= search.settings.glass_hu)


def look_at(search: Search, blob: Blob, spacing_mm: float) -> tuple[Patch, Outline] | None:
    """Outline a spot at some fineness."""
    patch = cut_patch(search.source, blob.index, 2.2 * blob.radius_mm + 5.0, spacing_mm)
    outline = outline_nodule(patch, blob.radius_mm)
    if outline is None or _reaches_edge(outline.mask):
        return None
    return patch, outline


def _passes_first_look(search: Search, blob: Blob) -> bool:
    """Sort out most vessels on a patch of half the fineness, at an eighth of the cost."""
    seen = look_at(search, blob, max(0.7, blob.radius_mm / 4.5))
    if seen is None:
        return False
    patch, outline = seen
    counted_mm3 = float(np.count_nonzero(outline.mask)) * patch.spacing_mm**3
    features = measure_features(patch, outline, blob.strength_hu, counted_mm3)
    return measure_probability(features, search.settings.weights) >= search.settings.first_look_probability


def _reaches_edge(mask: BoolArray) -> bool:
    return bool(any(np.take(mask, end, axis).any() for axis in range(3) for end in (0, -1)))


def describe(
    search: Search,
    patch: Patch,
    outline: Outline,
    volume_mm3: float,
    likeness: tuple[Features, float],
) -> Nodule | None:
    """Measure an outlined nodule; None where nothing of it is left on the volume's grid."""
    field = surface_field(patch, outline, volume_mm3)
    planes = [_largest_plane(field, axis, patch.spacing_mm) for axis in range(3)]
    mask = _to_mask(search.source.volume, patch, field)
    if any(one is None for one in planes) or mask is None:
        return None
    axes = [one for one in planes if one is not None]
    is_likely = likeness[1] >= search.settings.least_probability
    center = patch.to_volume_index(np.argwhere(field < 0).mean(axis=0))
    index, axial = axes[0]
    return Nodule(
        mask=mask,
        center=(float(center[0]), float(center[1]), float(center[2])),
        volume_mm3=volume_mm3,
        mean_hu=float(patch.hu[field < 0].mean()),
        texture=outline.texture,
        side=_side(search.source, center),
        probability=likeness[1],
        distance_to_pleura_mm=_pleura_distance(search, patch, field),
        axial=axial,
        plane=int(np.clip(np.rint(patch.to_volume_index(_lift(0, index)))[0], 0, mask.shape[0] - 1)),
        axial_long=_points_in_volume(patch, index, axial.long_points),
        axial_short=_points_in_volume(patch, index, axial.short_points),
        greatest=max((one[1] for one in axes), key=lambda one: one.long_mm),
        features=likeness[0],
        form=measure_form(patch, outline, field) if is_likely else Form(),
    )


def surface_field(patch: Patch, outline: Outline, volume_mm3: float) -> FloatArray:
    """Signed distance, in voxels, to the surface that holds the measured volume; negative inside.

    The half level lies inside the true surface of a blurred ball; the outline is moved
    evenly outwards until it holds the volume that was measured by signal.
    """
    outside = measure_distance(~outline.mask)
    inside = measure_distance(outline.mask)
    distance = np.where(outline.mask, 0.5 - inside, outside - 0.5)
    allowed = outline.mask | (patch.lung & ~outline.attached)
    values = np.sort(distance[allowed])
    count = int(np.clip(round(volume_mm3 / patch.spacing_mm**3), 1, values.size - 1))
    # Many voxels share a distance: smoothing makes a surface of the steps first.
    smooth = ndimage.gaussian_filter(np.where(allowed, distance, np.maximum(distance, 1.0)), 0.7)
    values = np.sort(smooth[allowed])
    level = 0.5 * (values[count - 1] + values[count])
    field: FloatArray = np.where(allowed, smooth - level, np.maximum(smooth - level, 0.5))
    return field


def _largest_plane(field: FloatArray, axis: int, spacing_mm: float) -> tuple[int, PlaneAxes] | None:
    others = tuple(other for other in range(3) if other != axis)
    index = int(np.argmax((field < 0).sum(axis=others)))
    axes = measure_axes(np.take(field, index, axis), spacing_mm)
    return None if axes is None else (index, axes)


def _lift(row: int, plane: int) -> FloatArray:
    return np.array([plane, row, row], dtype=float)


def _points_in_volume(patch: Patch, plane: int, points: FloatArray) -> FloatArray:
    """Axial points of the patch on the volume's grid, shape (2, 3)."""
    lifted = np.column_stack([np.full(len(points), float(plane)), points])
    return np.asarray(patch.to_volume_index(lifted))


def _to_mask(volume: Volume, patch: Patch, field: FloatArray) -> Mask | None:
    """Voxels of the volume whose centre lies inside."""
    places = np.argwhere(field < 0)
    corners = patch.to_volume_index(np.stack([places.min(axis=0) - 1, places.max(axis=0) + 1]))
    low = np.maximum(np.floor(corners[0]).astype(int), 0)
    high = np.minimum(np.ceil(corners[1]).astype(int) + 1, volume.grid.shape)
    axes = [np.arange(low[k], high[k]) for k in range(3)]
    grid = np.meshgrid(*[_to_patch(patch, axis, k) for k, axis in enumerate(axes)], indexing="ij")
    inside = ndimage.map_coordinates(field, grid, order=1, mode="nearest") < 0
    if not inside.any():
        return None
    cropped = Mask.from_array(inside)
    offset = [int(low[k]) + cropped.offset[k] for k in range(3)]
    return Mask(shape=volume.grid.shape, offset=(offset[0], offset[1], offset[2]), voxels=cropped.voxels)


def _to_patch(patch: Patch, index: FloatArray, axis: int) -> FloatArray:
    offset_mm = (index - patch.center[axis]) * patch.volume_spacing_mm[axis]
    return np.asarray(offset_mm / patch.spacing_mm + patch.hu.shape[0] // 2)


def _coarse_places(search: Search, index: FloatArray) -> FloatArray:
    factors = np.asarray(search.source.coarse.factors)
    return np.asarray((index + 0.5) / factors - 0.5)


def _pleura_distance(search: Search, patch: Patch, field: FloatArray) -> float:
    """Least way from the nodule's surface to the edge of the closed lung, mm."""
    places = _coarse_places(search, patch.to_volume_index(np.argwhere(field < 0).astype(float)))
    depth = ndimage.map_coordinates(search.depth_mm, places.T, order=1, mode="nearest")
    # The transform counts to the middle of the first voxel outside.
    return max(0.0, float(depth.min()) - 0.5 * max(search.source.coarse.spacing_mm))


def _side(source: PatchSource, center: FloatArray) -> int:
    place = np.rint((center + 0.5) / np.asarray(source.coarse.factors) - 0.5).astype(int)
    box = tuple(slice(max(0, one - 2), one + 3) for one in place)
    counts = np.bincount(source.closed[box].ravel(), minlength=3)
    return RIGHT if counts[RIGHT] >= counts[LEFT] else LEFT


def _without_repeats(nodules: list[Nodule]) -> list[Nodule]:
    """Drop nodules that cover one already listed."""
    kept: list[Nodule] = []
    for nodule in nodules:
        if not any(overlap(nodule.mask, other.mask) for other in kept):
            kept.append(nodule)
    return kept


def overlap(one: Mask, other: Mask) -> bool:
    """Tell whether two masks of one volume share a voxel."""
    low = np.maximum(one.offset, other.offset)
    high = np.minimum(np.add(one.offset, one.voxels.shape), np.add(other.offset, other.voxels.shape))
    if np.any(high <= low):
        return False
    first, second = (
        mask.voxels[tuple(slice(a, b) for a, b in zip(low - mask.offset, high - mask.offset, strict=True))]
        for mask in (one, other)
    )
    return bool(np.any(first & second))
