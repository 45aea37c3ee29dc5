"""Planes to one stack of evenly spaced, parallel slices.

In: the planes of a series.  Out: the same, sorted along their normal, their grid, what is wrong.
Never: a missing slice bridged, a tilt or a second phase overlooked.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wetread.dicom.planes import Plane
from wetread.domain.problem import Problem, ProblemCode
from wetread.domain.study import header_text
from wetread.domain.volume import FloatArray, Grid, Triple

_SAME_ORIENTATION = 2e-3  # of a cosine: 0.1 degrees
_SAME_POSITION_MM = 1e-2
# Of the slice step: how far a slice may lie from its place on an even stack. Positions rounded
# to 0.1 mm pass; one missing slice displaces its neighbours by half a step.
_UNEVEN = 0.25
# Of a pixel: how far slices may be shifted sideways over the whole stack.
_SHIFT_PIXELS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """Planes sorted so that they grow along the normal, and the checks' outcome."""

    planes: tuple[Plane, ...]
    #: Distance between slice centres; NaN where the planes make no stack.
    step_mm: float
    problems: tuple[Problem, ...]

    @property
    def extent_mm(self) -> float:
        """Length covered along the normal, half a slice beyond each end included."""
        return len(self.planes) * self.step_mm


def build_stack(planes: Sequence[Plane]) -> Stack:
    """Sort planes along their normal and check that they make one volume.

    Parameters
    ----------
    planes
        At least one, in any order.

    Returns
    -------
    Stack
        ``problems``: ``mixed-orientations``, ``mixed-image-sizes``, ``duplicate-positions``,
        ``slice-gap``, ``invalid-geometry`` (a tilted gantry, several frames of reference).
        The step of a single slice is its thickness.

    References
    ----------
    PS3.3 C.7.6.2.1.1. A tilted gantry shifts each slice within its plane, so that the step is not
    parallel to the normal (PS3.3 C.8.2.1, Gantry/Detector Tilt).
    """
    problems = _check_alike(planes)
    if problems:
        return Stack(planes=tuple(planes), step_mm=math.nan, problems=tuple(problems))
    along = np.array([plane.position_lps_mm for plane in planes]) @ planes[0].normal
    order = np.argsort(along, kind="stable")
    ordered = tuple(planes[index] for index in order)
    along = along[order]
    if len(planes) == 1:
        return _single(ordered)
    problems = _check_steps(along) or _check_shift(ordered)
    step = float(along[-1] - along[0]) / (len(planes) - 1)
    return Stack(planes=ordered, step_mm=math.nan if problems else step, problems=tuple(problems))


def stack_grid(stack: Stack) -> Grid:
    """Return the grid of a stack without problems."""
    first = stack.planes[0]
    normal = first.normal
    direction: Triple = (float(normal[0]), float(normal[1]), float(normal[2]))
    return Grid(
        shape=(len(stack.planes), *first.size),
        spacing_mm=(stack.step_mm, *first.pixel_spacing_mm),
        origin_lps_mm=first.position_lps_mm,
        directions=(direction, first.column_cosine, first.row_cosine),
        frame_of_reference_uid=header_text(first.instance.header, "FrameOfReferenceUID"),
        sop_instance_uids=tuple(plane.instance.sop_instance_uid for plane in stack.planes),
    )


def _problem(code: ProblemCode, message: str) -> Problem:
    return Problem(code=code, message=message)


def _single(planes: tuple[Plane, ...]) -> Stack:
    thickness = planes[0].slice_thickness_mm
    if thickness > 0 and math.isfinite(thickness):
        return Stack(planes=planes, step_mm=thickness, problems=())
    message = "A single slice without SliceThickness has no extent: send the whole series."
    problem = _problem(ProblemCode.MISSING_GEOMETRY, message)
    return Stack(planes=planes, step_mm=math.nan, problems=(problem,))


def _check_alike(planes: Sequence[Plane]) -> list[Problem]:
    first = planes[0]
    cosines = np.array([(*plane.row_cosine, *plane.column_cosine) for plane in planes])
    spacings = np.array([plane.pixel_spacing_mm for plane in planes])
    sizes = {plane.size for plane in planes}
    frames = {header_text(plane.instance.header, "FrameOfReferenceUID") for plane in planes}
    problems = []
    if np.abs(cosines - cosines[0]).max() > _SAME_ORIENTATION:
        names = sorted({plane.orientation for plane in planes})
        problems.append(
            _problem(
                ProblemCode.MIXED_ORIENTATIONS,
                f"The images of the series lie in different orientations ({', '.join(names)}):"
                " send each orientation as a series of its own.",
            )
        )
    if len(sizes) > 1 or np.abs(spacings / spacings[0] - 1).max() > 1e-3:
        problems.append(
            _problem(
                ProblemCode.MIXED_IMAGE_SIZES,
                f"The images differ in rows, columns or pixel spacing ({len(sizes)} sizes; first is"
                f" {first.size[0]} x {first.size[1]}): send one reconstruction as one series.",
            )
        )
    if len(frames) > 1:
        problems.append(
            _problem(
                ProblemCode.INVALID_GEOMETRY,
                "The images name different frames of reference: send each acquisition as its own series.",
            )
        )
    return problems


def _check_steps(along_mm: FloatArray) -> list[Problem]:
    """Check sorted positions along the normal for duplicates and gaps."""
    steps = np.diff(along_mm)
    same = steps < _SAME_POSITION_MM
    if same.any():
        return [
            _problem(
                ProblemCode.DUPLICATE_POSITIONS,
                f"{int(same.sum())} slice positions occur more than once (several phases or"
                " reconstructions in one series): send each as a series of its own.",
            )
        ]
    usual = float(np.median(steps))
    even = np.linspace(along_mm[0], along_mm[-1], len(along_mm))
    if np.abs(along_mm - even).max() <= _UNEVEN * usual:
        return []
    message = (
        f"The slices are not evenly spaced: steps of {steps.min():.2f} to {steps.max():.2f} mm where"
        f" {usual:.2f} mm is usual, {int((steps > 1.5 * usual).sum())} gap(s):"
        " send the missing slices, or the parts as series of their own."
    )
    return [_problem(ProblemCode.SLICE_GAP, message)]


def _check_shift(planes: tuple[Plane, ...]) -> list[Problem]:
    """Check that sorted planes lie one above the other: a tilted gantry shears the volume."""
    first = planes[0]
    offsets = np.array([plane.position_lps_mm for plane in planes]) - first.position_lps_mm
    axes = np.array([first.row_cosine, first.column_cosine])
    shift = float(np.abs(offsets @ axes.T).max())
    if shift <= _SHIFT_PIXELS * min(first.pixel_spacing_mm):
        return []
    message = (
        f"The slices are shifted sideways against each other by up to {shift:.1f} mm (tilted gantry?):"
        " send a reconstruction without tilt."
    )
    return [_problem(ProblemCode.INVALID_GEOMETRY, message)]
