"""A study that was read, and segmentations of it as viewers write them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from tests.domain.test_reading import make_reading
from tests.imaging.segmented import write_images
from tests.stores import open_store
from wetread.compose import compose, read_source
from wetread.dicom.header import read_instance
from wetread.domain import code
from wetread.domain.document import DocumentKind
from wetread.domain.finding import Finding, Segment
from wetread.domain.mask import Mask
from wetread.domain.progress import StudyState
from wetread.domain.reading import Reading
from wetread.imaging.volume import read_volume
from wetread.infer.chest_findings import box_lps_mm
from wetread.measure.marked import measure_marked
from wetread.steps import ReturningSteps
from wetread.store import Store
from wetread.store.intake import Arrived

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
STUDY, SERIES = "1.2.3", "1.2.3.1"
FIRST, SECOND = "2.25.11", "2.25.12"
SHAPE, SPACING_MM = (16, 36, 40), (1.5, 0.7, 0.7)
_MEASURED = (
    *("volume_mm3", "long_axis_mm", "short_axis_mm", "mean_diameter_mm", "greatest_long_axis_mm"),
    *("area_mm2", "mean_hu"),
)
TILT = np.array([[0.8, 0.0, 0.6], [0.0, 1.0, 0.0], [-0.6, 0.0, 0.8]])
#: Row cosine, column cosine, normal.
WAYS = {
    "axial": np.eye(3),
    "flipped": np.diag([1.0, -1.0, -1.0]),
    "turned": np.diag([-1.0, -1.0, 1.0]),
    "oblique": TILT,
    "coronal": np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]]),
}


def ball(center: tuple[float, float, float], radius_mm: float) -> np.ndarray:
    """Return where a ball is, in voxels of the images as they are stored."""
    places = np.indices(SHAPE).transpose(1, 2, 3, 0)
    return np.linalg.norm((places - center) * SPACING_MM, axis=-1) <= radius_mm


NODULE, OTHER = ball((8, 16, 14), 5.0), ball((6, 20, 30), 3.0)


@dataclass
class Scene:
    """A store with one study, read."""

    store: Store
    folder: Path
    images: list[Path]
    count: int = 0
    reading: Reading = field(init=False)
    row_id: int = 0
    peers: frozenset[str] = frozenset()

    @property
    def steps(self) -> ReturningSteps:
        return ReturningSteps(store=self.store, clock=lambda: NOW, peers=self.peers)

    def accept(self, path: Path, source: str = "OHIF1") -> None:
        self.count += 1
        part = self.store.intake.incoming / f"{self.count}.part"
        part.write_bytes(path.read_bytes())
        digest = hashlib.sha256(part.read_bytes()).hexdigest()
        arrived = Arrived(
            instance=read_instance(part), content_digest=digest, size=1, received_at=NOW, source=source
        )
        self.store.intake.accept(arrived)

    def begin(self) -> int:
        row = self.store.studies.begin_revision(STUDY, "quiet for 10 s", NOW)
        assert row is not None
        return row.revision

    def read(self) -> None:
        """Let a model find the two nodules and a lung."""
        revision = self.begin()
        series = self.store.studies.load(STUDY).get_series(SERIES)
        volume, _ = read_volume(series)
        # Planes grow along the normal, as the slices were written.
        marks = [
            ("Nodule 1", FIRST, NODULE),
            ("Nodule 2", SECOND, OTHER),
            ("Left lung", "", ball((8, 18, 20), 12)),
        ]
        segments, findings = [], []
        for number, (label, uid, array) in enumerate(marks, start=1):
            mask = Mask.from_array(array)
            segment = Segment(
                number=number,
                label=label,
                category=code.MORPHOLOGICALLY_ABNORMAL_STRUCTURE,
                type=code.NODULE if uid else code.LUNG,
                tracking_uid=uid,
                mask=mask,
            )
            segments.append(segment)
            if uid:
                marked = measure_marked(volume, mask, _MEASURED)
                findings.append(
                    Finding(
                        tracking_uid=uid,
                        label="lung nodule",
                        code=code.NODULE,
                        probability=0.9,
                        center_lps_mm=marked.center_lps_mm,
                        box_lps_mm=box_lps_mm(volume.grid, mask),
                        # What an outline cannot say.
                        measurements=dict(marked.measurements) | {"distance_to_pleura_mm": 4.0},
                        texture=code.SOLID,
                        segment_number=number,
                        key_plane=marked.key_plane,
                        axes=marked.axes,
                    )
                )
        self.reading = replace(
            make_reading(),
            study_instance_uid=STUDY,
            series_instance_uid=SERIES,
            revision=revision,
            findings=tuple(findings),
            segments=tuple(segments),
            regions=(),
            grid=volume.grid,
            made_at=NOW,
        )
        row = self.store.readings.save(self.reading)
        kinds = {DocumentKind.SEG, DocumentKind.SR, DocumentKind.TEXT}
        self.store.readings.save_documents(row.id, compose(self.reading, read_source(series, volume), kinds))
        self.store.studies.finish_revision(STUDY, revision, StudyState.READ, NOW)
        self.row_id = row.id

    def send(self, segmentation: Dataset, source: str = "OHIF1") -> None:
        """Send a segmentation and have the study read again."""
        path = self.folder / f"seg{self.count}.dcm"
        segmentation.save_as(path, enforce_file_format=True)
        self.accept(path, source)
        revision = self.begin()
        self.steps.take(STUDY, revision)
        self.store.studies.finish_revision(STUDY, revision, StudyState.READ, NOW)

    def segmentation(
        self,
        masks: Sequence[np.ndarray],
        labels: Sequence[str],
        *,
        kind: str = "BINARY",
        algorithm: str = "MANUAL",
        syntax: str = ExplicitVRLittleEndian,
        images: Sequence[Path] = (),
        edit: Callable[[Any], None] = lambda _: None,
    ) -> Dataset:
        """Return a Segmentation as OHIF or 3D Slicer would write it: without tracking UIDs."""
        automatic = (
            {}
            if algorithm == "MANUAL"
            else {
                "algorithm_identification": highdicom.AlgorithmIdentificationSequence(
                    name="other", version="1", family=codes.DCM.ArtificialIntelligence
                )
            }
        )
        made = highdicom.seg.Segmentation(
            source_images=[dcmread(path) for path in images or self.images],
            pixel_array=np.stack(masks, axis=-1).astype(np.uint8),
            segmentation_type=kind,
            segment_descriptions=[
                highdicom.seg.SegmentDescription(
                    segment_number=number,
                    segment_label=label,
                    segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
                    segmented_property_type=codes.SCT.Nodule,
                    algorithm_type=algorithm,
                    **automatic,
                )
                for number, label in enumerate(labels, start=1)
            ],
            series_instance_uid=generate_uid(),
            series_number=99,
            sop_instance_uid=generate_uid(),
            instance_number=1,
            manufacturer="OHIF",
            manufacturer_model_name="Viewer",
            software_versions="3.13.2",
            device_serial_number="1",
            content_creator_name="Roe^Ana",
            transfer_syntax_uid=syntax,
        )
        edit(made)
        return made

    # ---- what came of it

    @property
    def returned(self):
        return self.store.changes.list_returned(STUDY)

    @property
    def changes(self):
        return self.store.changes.list_for_study(STUDY)

    def documents(self, kind: DocumentKind):
        return [one for one in self.store.readings.list_documents(self.row_id) if one.kind is kind]


def make_scene(folder: Path, way: str = "axial") -> Scene:
    """Return a study whose images lie some way, read."""
    hu = np.full(SHAPE, -850.0)
    hu[NODULE | OTHER] = 20.0
    images = write_images(folder / "ct", hu, axes=WAYS[way], spacing_mm=SPACING_MM)
    scene = Scene(open_store(folder / "data"), folder, images)
    for path in images:
        scene.accept(path, "CT1")
    scene.read()
    return scene
