"""The anatomy on a coarse grid: one smooth distance field per tissue.

In: rest points, the patient's outline.  Out: ``Thorax``.  Never: vessels of the lung, nodules, HU.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from wetread.phantom.bones import bone_distance
from wetread.phantom.cage import Cage
from wetread.phantom.distance import (
    Float,
    as_distance,
    cut,
    ellipsoid,
    smooth_max,
    smooth_min,
    superellipse,
    tube,
)

#: Rest positions, mm.
CARINA = (0.0, 12.0, 28.0)
HILUM = {"right": (-34.0, 8.0, 4.0), "left": (38.0, 12.0, 8.0)}
_TRACHEA = [(0, 4, 230), (0, 4, 120), (0, 6, 80), CARINA]
_MAIN_BRONCHI = {
    "right": [CARINA, (-18, 14, 14), (-36, 14, 2), (-44, 15, -8)],
    "left": [CARINA, (20, 17, 14), (40, 20, -2), (48, 21, -12)],
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Thorax:
    """Signed distances (negative inside, mm) on one coarse grid, all of the same shape."""

    skin: Float = field(repr=False)
    muscle: Float = field(repr=False)
    #: Inside of the rib cage, down to below the scan; not cut off: its depth carries the pleura.
    cage: Float = field(repr=False)
    #: The same, closed over the apex of each lung.
    wall: Float = field(repr=False)
    bone: Float = field(repr=False)
    #: Heart, great vessels, oesophagus, muscle behind the pleura.
    soft: Float = field(repr=False)
    #: Liver, spleen, stomach.
    organs: Float = field(repr=False)
    #: Gas in trachea, main bronchi and stomach.
    gas: Float = field(repr=False)
    #: Both pleural cavities.
    lungs: Float = field(repr=False)
    #: Distance to the interlobar fissures, negative behind them.
    fissure: Float = field(repr=False)
    #: Rest coordinates, shape (..., 3).
    rest: Float = field(repr=False)


def build_thorax(rest: Float, cage: Cage, spacing_mm: float) -> Thorax:
    """Evaluate the anatomy at rest points of shape (planes, rows, columns, 3)."""
    inner = cage.inner(rest)
    below = cage.diaphragm(rest)
    soft = _soft(rest)
    gas = _airways(rest)
    skin = cage.skin(rest)
    wall = _close_apex(rest, inner, spacing_mm)
    return Thorax(
        skin=cut(skin),
        muscle=cut(as_distance(cage.muscle(rest, skin), spacing_mm)),
        cage=inner,
        wall=wall,
        bone=bone_distance(rest, cage),
        soft=cut(np.minimum(soft, _stomach(rest, 4.0))),
        organs=cut(as_distance(_organs(rest, inner, below), spacing_mm)),
        gas=cut(np.minimum(gas, _stomach_gas(rest))),
        lungs=_lungs(rest, wall, as_distance(below, spacing_mm), smooth_min(soft, gas - 3.0, 6.0)),
        fissure=cut(_fissure(rest) * np.float32(0.72)),
        rest=rest,
    )


def _airways(points: Float) -> Float:
    gas = tube(points, _TRACHEA, [9.0, 9.0, 8.8, 8.5])
    for side in ("right", "left"):
        gas = smooth_min(gas, tube(points, _MAIN_BRONCHI[side], [7.5, 6.8, 6.0, 4.5]), 3.0)
    return gas


def _soft(points: Float) -> Float:
    """Unite what is soft in the mediastinum."""
    turned = _turn(points - np.array([26, -30, -58], dtype=np.float32))
    heart = ellipsoid(turned, (0, 0, 0), (60, 46, 52))
    aorta = [
        (-2, -22, -25),
        (-14, -24, 15),
        (-10, -18, 44),
        (6, -2, 58),
        (19, 20, 55),
        (23, 36, 40),
        (22, 40, 0),
    ]
    vessels = [
        tube(points, [*aorta, (18, 38, -120), (8, 34, -260)], [15, 15, 14.5, 13.5, 13, 12.5, 12.5, 12, 11]),
        tube(points, [(-27, -20, -25), (-27, -20, 30), (-24, -22, 75), (-14, -28, 95)], [10, 10, 9, 7]),
        tube(points, [(-14, -28, 95), (14, -36, 92), (40, -30, 110)], [7, 6.5, 6]),
        tube(points, [(12, -42, -15), (20, -20, 14), (34, 2, 20), (44, 14, 12)], [14, 14, 11, 8]),
        tube(points, [(20, -20, 14), (-10, -4, 8), (-36, 0, 4), (-44, 6, -8)], [12, 10.5, 9.5, 7]),
        tube(points, [(-6, -10, 52), (-12, -8, 80), (-22, -4, 120), (-30, 0, 230)], [6.5, 6, 5, 4.5]),
        tube(points, [(6, 0, 58), (14, -2, 85), (24, 0, 120), (28, 2, 230)], [5, 4.5, 4.5, 4]),
        tube(points, [(18, 12, 58), (26, 10, 90), (44, 4, 118)], [5, 5, 5]),
        tube(
            points, [(5, 24, 230), (7, 26, 60), (8, 28, 0), (14, 20, -110), (30, 5, -140)], [6, 6, 6.5, 7, 7]
        ),
        tube(points, [(-10, 38, -260), (-9, 36, 0), (-9, 34, 36)], [3, 3.5, 3.5]),
    ]
    soft = heart
    for vessel in vessels:
        soft = smooth_min(soft, vessel, 4.0)
    for side in (-1.0, 1.0):
        neck = ellipsoid(points, (side * 26.0, 4.0, 165.0), (19.0, 20.0, 45.0))
        soft = smooth_min(soft, neck, 8.0)
    return soft


def _turn(points: Float) -> Float:
    """Turn so that x runs along the heart's long axis: to the left, forwards and down."""
    x = np.array([0.78, -0.42, -0.46])
    y = np.cross(np.array([0.0, 0.0, 1.0]), x)
    y /= np.linalg.norm(y)
    axes = np.stack([x, y, np.cross(x, y)])
    turned: Float = points @ axes.T.astype(np.float32)
    return turned


def _mediastinum(points: Float) -> Float:
    """Return the distance to all that keeps the lungs apart, fat included."""
    x, y, z = (points[..., axis] for axis in range(3))
    broad = 27.0 - 5.0 * np.clip((z - 60.0) / 50.0, 0.0, 1.0)
    upper = superellipse(x - 3.0, y + 4.0, broad, 36.0, 2.2)
    upper = smooth_max(upper, 20.0 - z, 20.0)
    front = np.maximum(np.abs(x - 4.0) - 3.0 - 0.10 * np.clip(-40.0 - y, 0, None), y + 15.0)
    back = np.maximum(np.abs(x - 2.0) - 9.0, -y - 15.0)
    spine = superellipse(x, y - 52.0, 23.0, 20.0, 2.3)
    gutter = np.maximum(np.abs(x) - 22.0 - 0.35 * (y - 66.0), 60.0 - y)
    fat = ellipsoid(points, (30.0, -60.0, -92.0), (48.0, 28.0, 22.0))
    parts = smooth_min(smooth_min(upper, front, 12.0), smooth_min(back, spine, 14.0), 12.0)
    return smooth_min(smooth_min(parts, gutter, 10.0), fat, 14.0)


def _close_apex(points: Float, inner: Float, spacing_mm: float) -> Float:
    x, y, z = (points[..., axis] for axis in range(3))
    apex = z - 128.0 + ((np.abs(x) - 44.0) ** 2 + (y - 30.0) ** 2) / 62.0
    return smooth_max(inner, as_distance(apex.astype(np.float32), spacing_mm), 14.0)


def _lungs(points: Float, wall: Float, below: Float, soft: Float) -> Float:
    middle = smooth_min(_mediastinum(points), soft - 3.0, 7.0)
    return smooth_max(smooth_max(wall, below, 5.0), -middle, 5.0)


def _organs(points: Float, inner: Float, below: Float) -> Float:
    x, y = points[..., 0], points[..., 1]
    liver = smooth_max(inner + 7.0, 3.0 - below, 8.0)
    liver = smooth_max(liver, x + 0.35 * y - 30.0, 15.0)
    spleen = ellipsoid(points, (92.0, 45.0, -150.0), (30.0, 34.0, 36.0))
    spleen = smooth_max(spleen, 4.0 - below, 6.0)
    return np.minimum(liver, spleen)


def _stomach(points: Float, wall_mm: float) -> Float:
    return ellipsoid(points, (66.0, -14.0, -152.0), (44.0 + wall_mm, 38.0 + wall_mm, 34.0 + wall_mm))


def _stomach_gas(points: Float) -> Float:
    return smooth_max(_stomach(points, 0.0), points[..., 1] + 28.0, 3.0)


def _fissure(points: Float) -> Float:
    x, y, z = (points[..., axis] for axis in range(3))
    bow = 0.004 * (np.abs(x) - 70.0) ** 2
    oblique = z - 18.0 - 0.95 * y + bow
    minor = np.where(x < 0, np.maximum(np.abs(z + 2.0 + bow), -oblique), np.float32(1e3))
    return np.where(np.abs(oblique) < minor, oblique, minor).astype(np.float32)
