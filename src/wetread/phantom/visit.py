"""One visit: from options to a measured volume and its truth, without DICOM.

In: ``PhantomOptions``, the visit's number.  Out: ``PhantomVisit``.  Never: files.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from wetread.domain.volume import Grid, Volume
from wetread.phantom.options import NoduleKind, PhantomOptions
from wetread.phantom.patient import Patient, make_patient
from wetread.phantom.scanner import Detector, fine_grid, slice_weights
from wetread.phantom.scene import Scene, make_scene
from wetread.phantom.space import make_grid
from wetread.phantom.stamp import Patch, stamp_form, stamp_segments, strand_segments
from wetread.phantom.tally import Tally, TruthMasks
from wetread.phantom.tissue import Branches, TissuePainter, Upsampler
from wetread.phantom.truth import VisitTruth
from wetread.phantom.truth_of import describe_visit
from wetread.phantom.uids import make_uid

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PhantomVisit:
    """The images of one visit with what is true of them."""

    #: HU, int16; its grid carries frame of reference and SOP Instance UIDs.
    volume: Volume
    truth: VisitTruth
    masks: TruthMasks = field(repr=False)


def make_visit(
    options: PhantomOptions,
    visit_number: int = 1,
    *,
    patient: Patient | None = None,
    progress: Progress | None = None,
) -> PhantomVisit:
    """Make one visit.

    Parameters
    ----------
    visit_number
        From 1.
    patient
        From ``make_patient(options)``, to share it between visits; made here where None.
    progress
        Called as ``progress(done, total)`` in slices.

    Raises
    ------
    ConfigError
        If nodules or pleural volumes do not fit, or there is no such visit.
    """
    number = visit_number - 1
    grid = _identified_grid(options, visit_number)
    scene = make_scene(options, patient or make_patient(options), number, grid)
    fine, per_slice, lead = fine_grid(grid, options.scanner)
    tally = Tally(grid=grid, fine=fine, per_slice=per_slice, lead=lead)
    planes = _FinePlanes(scene, fine, tally)
    weights = slice_weights(fine.spacing_mm[0], lead, options.scanner)
    detector = Detector(options.scanner, [options.seed, 10, number])
    voxels = np.empty(grid.shape, dtype=np.int16)
    for index in range(grid.shape[0]):
        voxels[index] = detector.expose(planes.mean(index * per_slice, weights), index)
        if progress is not None:
            progress(index + 1, grid.shape[0])
    for layer in planes.layers:
        tally.label(layer.label, layer.patch)
    return PhantomVisit(
        volume=Volume(voxels=voxels, grid=grid),
        truth=describe_visit(options, number, scene, tally),
        masks=tally.masks(),
    )


def _identified_grid(options: PhantomOptions, visit_number: int) -> Grid:
    grid = make_grid(options.scanner, options.patient.scale)
    return Grid(
        shape=grid.shape,
        spacing_mm=grid.spacing_mm,
        origin_lps_mm=grid.origin_lps_mm,
        directions=grid.directions,
        frame_of_reference_uid=make_uid(options, "frame", visit_number),
        sop_instance_uids=tuple(
            make_uid(options, "instance", visit_number, plane) for plane in range(grid.shape[0])
        ),
    )


class _FinePlanes:
    """Paints each fine plane once, in order, and keeps those that the next slice still needs."""

    def __init__(self, scene: Scene, fine: Grid, tally: Tally) -> None:
        self._painter = TissuePainter(scene.fields, scene.coarse, fine)
        self._up = Upsampler(scene.coarse, fine)
        self._scene = scene
        self._tally = tally
        self._vessel = np.zeros(fine.shape, dtype=np.uint8)
        self._wall, self._lumen = np.zeros_like(self._vessel), np.zeros_like(self._vessel)
        self.layers = _make_layers(scene, fine)
        self._stamp(fine)
        self._kept: dict[int, npt.NDArray[np.float32]] = {}

    def _stamp(self, fine: Grid) -> None:
        stamp_segments(self._vessel, fine, self._scene.vessels)
        for nodule in self._scene.nodules:
            stamp_segments(self._vessel, fine, strand_segments(nodule.nodule.form, nodule.center_lps_mm))
        lumen = self._scene.bronchi
        stamp_segments(self._lumen, fine, lumen)
        stamp_segments(self._wall, fine, lumen.thickened(0.25, 0.45))

    def mean(self, first: int, weights: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return the weighted mean of planes from ``first`` on."""
        wanted = range(first, first + len(weights))
        self._kept = {plane: self._kept[plane] for plane in wanted if plane in self._kept}
        mixed = np.zeros(self._vessel.shape[1:], dtype=np.float32)
        for plane, weight in zip(wanted, weights, strict=True):
            if plane not in self._kept:
                self._kept[plane] = self._paint(plane)
            mixed += weight * self._kept[plane]
        return mixed

    def _paint(self, plane: int) -> npt.NDArray[np.float32]:
        branches = Branches(vessel=self._vessel[plane], wall=self._wall[plane], lumen=self._lumen[plane])
        tissue = self._painter.paint(plane, branches)
        right = self._up.plane(self._scene.side_x, plane) < 0
        self._tally.count(plane, tissue, right)
        for layer in self.layers:
            _paint_layer(tissue.hu, plane, layer)
        return tissue.hu


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Layer:
    """A nodule, or the core of one, as it stands in the fine planes."""

    #: Position in the truth's list of nodules, from 1.
    label: int
    hu: float
    patch: Patch


def _make_layers(scene: Scene, fine: Grid) -> list[_Layer]:
    layers = []
    for label, placed in enumerate(scene.nodules, start=1):
        nodule = placed.nodule
        forms = [(nodule.form, nodule.hu)]
        if nodule.options.kind is NoduleKind.PART_SOLID:
            forms.append((nodule.form.scaled(nodule.options.core_fraction), nodule.core_hu))
        for form, hu in forms:
            patch = stamp_form(fine, form, placed.center_lps_mm)
            if patch is not None:
                layers.append(_Layer(label=label, hu=hu, patch=patch))
    return layers


def _paint_layer(hu: npt.NDArray[np.float32], plane: int, layer: _Layer) -> None:
    patch = layer.patch
    inner = plane - patch.corner[0]
    if not 0 <= inner < patch.cover.shape[0]:
        return
    cover = patch.cover[inner]
    part = hu[
        patch.corner[1] : patch.corner[1] + cover.shape[0],
        patch.corner[2] : patch.corner[2] + cover.shape[1],
    ]
    part += cover * (np.float32(layer.hu) - part)
