"""Ribs, spine, sternum, shoulder blades and collar bones as one distance field.

In: rest points.  Out: signed distance, mm.  Never: soft tissue.
"""

from __future__ import annotations

import numpy as np

from wetread.phantom.cage import Cage
from wetread.phantom.distance import REACH_MM, Float, cut, ellipsoid, smooth_max, superellipse, tube

VERTEBRA_MM = 23.0
_SPINE_Y = 50.0


def bone_distance(points: Float, cage: Cage) -> Float:
    """Return the distance to the nearest bone surface."""
    distance = np.minimum(_spine(points), _sternum(points, cage))
    for side in (-1.0, 1.0):
        for number in range(1, 13):
            path, radii = rib_path(cage, number, side)
            np.minimum(distance, tube(points, path, radii), out=distance)
        np.minimum(distance, _shoulder(points, side), out=distance)
    return cut(distance)


def rib_path(cage: Cage, number: int, side: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the centre line, shape (n, 3), and radii of rib 1 to 12 on one side."""
    z_back = 120.0 - VERTEBRA_MM * (number - 1) * 0.98
    end = {11: 95.0, 12: 65.0}.get(number, 148.0 - 3.0 * max(0, number - 7))
    angles = np.radians(np.arange(14.0, end, 6.0))
    drop = (22.0 + 7.0 * min(number, 8)) * (1 - np.cos(angles)) / 2
    z = z_back - drop
    half_x, half_y, middle_y = cage.outline(z)
    out = 5.0 + (2.0 if number == 1 else 0.0)
    exponent = 2 / cage.POWER
    x = (half_x + out) * np.sin(angles) ** exponent
    y = middle_y + (half_y + out) * np.sign(np.cos(angles)) * np.abs(np.cos(angles)) ** exponent
    head = np.array(
        [[side * 17.0, _SPINE_Y + 14.0, z_back + 6.0], [side * 30.0, _SPINE_Y + 27.0, z_back + 3.0]]
    )
    path = np.concatenate([head, np.stack([side * x, y, z], axis=1)[2:]])
    return path, np.linspace(4.2, 3.6, len(path))


def _spine(points: Float) -> Float:
    x, y, z = (points[..., axis] for axis in range(3))
    phase = np.mod(z, VERTEBRA_MM) - VERTEBRA_MM / 2
    waist = 1.8 * np.cos(phase * np.float32(2 * np.pi / VERTEBRA_MM))
    body = superellipse(x, y - _SPINE_Y, 17.0, 14.0, 2.2) + np.clip(waist, 0, None)
    body = smooth_max(body, np.abs(phase) - 9.0, 3.0)
    canal = np.sqrt(x * x + (y - _SPINE_Y - 23.0) ** 2)
    arch = smooth_max(np.abs(canal - 11.0) - 2.6, np.abs(phase) - 8.0, 3.0)
    wings = np.maximum(np.abs(y - _SPINE_Y - 26.0 - np.abs(x) * 0.25) - 4.0, np.abs(x) - 31.0)
    wings = smooth_max(np.maximum(wings, 9.0 - np.abs(x)), np.abs(phase) - 5.5, 3.0)
    spinous = np.maximum(np.abs(x) - 3.0, np.abs(y - _SPINE_Y - 44.0) - 12.0)
    spinous = smooth_max(spinous, np.abs(phase + 4.0) - 7.0, 3.0)
    return np.minimum(np.minimum(body, arch), np.minimum(wings, spinous)).astype(np.float32)


def _sternum(points: Float, cage: Cage) -> Float:
    x, y, z = (points[..., axis] for axis in range(3))
    _, half_y, middle_y = cage.outline(z)
    front = middle_y - half_y - 7.0
    half_x = 15.0 + 9.0 * np.clip((z - 40.0) / 30.0, 0.0, 1.0)
    plate = superellipse(x, y - front, half_x, 6.0, 2.5)
    return smooth_max(plate, np.abs(z + 2.0) - 82.0, 4.0).astype(np.float32)


def _shoulder(points: Float, side: float) -> Float:
    blade = _blade(points, side)
    collar = np.array([[16, -66, 88], [45, -62, 100], [80, -40, 116], [120, -12, 130]], dtype=float)
    humerus = ellipsoid(points, (side * 158.0, 22.0, 150.0), (22.0, 22.0, 24.0))
    collar[:, 0] *= side
    return np.minimum(np.minimum(blade, tube(points, collar, 6.0)), humerus)


def _blade(points: Float, side: float) -> Float:
    """Return a curved triangular plate that thickens towards its outer rim."""
    across, depth, z = side * points[..., 0], points[..., 1], points[..., 2]
    # The plate runs obliquely: outwards it lies further to the front.
    surface = 108.0 - 0.0052 * np.clip(across - 55.0, 0, None) ** 2 - 0.12 * (across - 62.0)
    half = 2.2 + 3.5 * np.clip((across - 108.0) / 25.0, 0.0, 1.0)
    outer = 98.0 + 42.0 * np.clip((z + 10.0) / 120.0, 0.0, 1.0)
    plate = np.maximum(np.abs(depth - surface) * 0.8 - half, across - outer)
    plate = np.maximum(plate, 66.0 - across)
    plate = np.maximum(plate, np.abs(z - 62.0) - 70.0)
    return np.asarray(np.minimum(plate, REACH_MM), dtype=np.float32)
