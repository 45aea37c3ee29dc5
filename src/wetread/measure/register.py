"""Bring two CTs of one patient's lungs into one place: rigid, then affine, then bent.

In: two upright CTs with their lungs.  Out: a ``Registration``.
Never: a map where the two do not fit each other.

Two pictures of each CT are compared, block by block: the closed lungs, and inside of them what is denser or
lighter than its surroundings, vessels above all, so that a lung which holds less air is still itself. Every
step solves the linear least squares of what still differs (Gauss and Newton) with the mean slope of both
pictures (Benhimane and Malis 2004, doi:10.1109/IROS.2004.1389474); the bending is a cubic B-spline
(Rueckert et al. 1999, doi:10.1109/42.796284) that is held smooth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wetread.domain.volume import FloatArray
from wetread.measure.bending import bend, expand
from wetread.measure.coarse import Float32Array
from wetread.measure.pictures import Difference, LungView, Scene, compare, prepare, see_contrast
from wetread.measure.registration import Fit, PriorDoesNotFit, Registration
from wetread.measure.spline import count_control, make_lattice

#: Blocks on which lungs are first laid on each other, then bent on each other.
_FIRST_MM, _COARSE_MM, _FINE_MM = 8.0, 4.0, 2.5
_TURNS = 10
#: Distance of control points.
_APART_MM = 28.0
#: Steps of the bending on the coarse and on the fine blocks.
_BENDS = ((_COARSE_MM, 6), (_FINE_MM, 3))
#: How far up and down the lungs are tried.
_HEIGHT_MM = 200.0
#: What two scans of one patient's lungs reach, and two patients' do not.
_LEAST_OVERLAP, _LEAST_DICE, _LEAST_LIKENESS = 0.15, 0.8, 0.55
#: Where ``Difference.square`` holds what.
_SQUARE = ((0, 1, 2), (1, 3, 4), (2, 4, 5))
#: Turns about x, y and z, and shifts, as steps ``[turn, shift]`` row by row.
_RIGID = np.zeros((12, 6))
for _axis, (_one, _other) in enumerate(((1, 2), (2, 0), (0, 1))):
    _RIGID[4 * _other + _one, _axis] = 1.0
    _RIGID[4 * _one + _other, _axis] = -1.0
    _RIGID[4 * _axis + 3, 3 + _axis] = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Affine:
    """``prior = matrix @ current + shift``."""

    matrix: FloatArray
    shift: FloatArray

    def map(self, points: Float32Array) -> Float32Array:
        return np.asarray(points @ self.matrix.T.astype(np.float32) + self.shift.astype(np.float32))

    def after(self, inner: _Affine) -> _Affine:
        """Return the map that applies ``inner`` first."""
        return _Affine(matrix=self.matrix @ inner.matrix, shift=self.matrix @ inner.shift + self.shift)


def register(current: LungView, prior: LungView) -> Registration:
    """Register two CTs of one patient.

    Raises
    ------
    PriorDoesNotFit
        If hardly any lung is in both, or what is does not look like the same lungs.
    """
    both = see_contrast(current), see_contrast(prior)
    scene = prepare(*both, _FIRST_MM)
    affine = _turn(scene, _slide(scene), is_rigid=True)
    scene = prepare(*both, _COARSE_MM)
    affine = _turn(scene, affine, is_rigid=False)
    counts = count_control(scene.box.shape, _COARSE_MM, _APART_MM)
    control = np.zeros((*counts, 3), dtype=np.float32)
    for spacing_mm, steps in _BENDS:
        if spacing_mm != _COARSE_MM:
            scene = prepare(*both, spacing_mm)
        lattice = make_lattice(scene.box.shape, spacing_mm, _APART_MM, counts)
        for _ in range(steps):
            control = bend(scene, affine.map, lattice, control)
    fit = _measure_fit(compare(scene, affine.map(scene.points + expand(lattice, control))))
    _require(fit)
    start = scene.box.origin_lps_mm - _APART_MM
    return Registration(
        matrix=affine.matrix,
        shift=affine.shift,
        bend=control,
        bend_origin_lps_mm=(float(start[0]), float(start[1]), float(start[2])),
        bend_spacing_mm=_APART_MM,
        fit=fit,
    )


def _slide(scene: Scene) -> _Affine:
    """Lay the lungs on each other without turning: heights are tried, since either scan may be cut off."""
    _, lungs, known = scene.here
    inside = lungs > 0.5
    apart = scene.prior.middle_lps_mm() - scene.points[inside].mean(axis=0)
    best, least = apart, np.inf
    for height_mm in np.arange(-_HEIGHT_MM, _HEIGHT_MM + 1.0, scene.box.spacing_mm):
        shift = apart + np.array([0.0, 0.0, height_mm])
        there, scanned = scene.prior.lungs_at(scene.points + shift.astype(np.float32))
        shared = known & scanned
        covered = np.count_nonzero(shared & inside) / np.count_nonzero(inside)
        if covered < _LEAST_OVERLAP:
            continue
        missed = float(np.mean((there - lungs)[shared] ** 2)) / covered
        if missed < least:
            best, least = shift, missed
    return _Affine(matrix=np.eye(3), shift=best)


def _turn(scene: Scene, affine: _Affine, *, is_rigid: bool) -> _Affine:
    """Turn and shift, or all that is affine, step by step."""
    middle = scene.points.reshape(-1, 3).mean(axis=0).astype(float)
    away = scene.points - middle.astype(np.float32)
    allowed = _RIGID if is_rigid else np.eye(12)
    for _ in range(_TURNS):
        normal, toward = _moments(compare(scene, affine.map(scene.points)), away)
        normal, toward = allowed.T @ normal @ allowed, allowed.T @ toward
        damping = 1e-6 * np.diag(np.diag(normal)) + 1e-9 * np.eye(len(toward))
        step = (allowed @ np.linalg.solve(normal + damping, -toward)).reshape(3, 4)
        turn = np.eye(3) + step[:, :3]
        if is_rigid:
            left, _, right = np.linalg.svd(turn)
            turn = left @ right
        affine = affine.after(_Affine(matrix=turn, shift=step[:, 3] + middle - turn @ middle))
    return affine


def _moments(difference: Difference, away: Float32Array) -> tuple[FloatArray, FloatArray]:
    """Return the least squares of a step ``[turn, shift]``, row by row: matrix (12, 12) and slope (12,)."""
    used = difference.square[0] + difference.square[3] + difference.square[5] > 1e-9
    place = np.column_stack([away[used], np.ones(np.count_nonzero(used), dtype=np.float32)])
    normal = np.zeros((3, 4, 3, 4))
    for one, other in np.ndindex(3, 3):
        weight = difference.square[_SQUARE[one][other]][used]
        normal[one, :, other, :] = (place * weight[:, None]).T @ place
    toward = np.stack([place.T @ difference.slope[axis][used] for axis in range(3)])
    return normal.reshape(12, 12), toward.reshape(12).astype(float)


def _measure_fit(difference: Difference) -> Fit:
    one, other = (lungs > 0.5 for lungs in difference.lungs)
    known = difference.known
    whole, seen = int(np.count_nonzero(one)), int(np.count_nonzero(one & known))
    both, either = int(np.count_nonzero(one & other & known)), seen + int(np.count_nonzero(other & known))
    here, there = (vessels[difference.shared] for vessels in difference.vessels)
    likeness = float(np.corrcoef(here, there)[0, 1]) if here.size > 1000 else 0.0
    return Fit(
        overlap=seen / max(whole, 1),
        dice=2.0 * both / max(either, 1),
        likeness=likeness,
    )


def _require(fit: Fit) -> None:
    if fit.overlap < _LEAST_OVERLAP:
        raise PriorDoesNotFit(
            "Hardly any lung is shown in both studies: they cannot be compared.",
            overlap=f"{fit.overlap:.2f}",
        )
    if fit.dice < _LEAST_DICE or fit.likeness < _LEAST_LIKENESS:
        raise PriorDoesNotFit(dice=f"{fit.dice:.2f}", likeness=f"{fit.likeness:.2f}")
