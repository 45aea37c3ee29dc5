"""A CT that is held, and Segmentations of organs by others that come for it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import generate_uid

from tests.dicom.small_ct import SmallCt, write_ct
from tests.imaging.segmented import complete, make_segmentation
from tests.store.test_store import NOW
from wetread.deliver.destination import Destination, DestinationKind
from wetread.dicom.header import read_instance
from wetread.domain.reading import Outcome, Reading
from wetread.engine import Job
from wetread.infer.job import ReadJob
from wetread.infer.read import read_job
from wetread.match import Rule, default_rules
from wetread.path import StudyPath
from wetread.registry import read_packages
from wetread.registry.lineup import Lineup
from wetread.steps import DeliverySteps, ReadingSteps
from wetread.store import Store
from wetread.store.blobs import write_file
from wetread.store.intake import Arrived

STUDY, SERIES = "1.2.3", "1.2.3.1"
SHAPE, SPACING_MM = (8, 40, 64), (2.5, 1.0, 1.0)
MODEL = "organ-measures"
LIVER, SPLEEN = Code("10200004", "SCT", "Liver"), Code("78961009", "SCT", "Spleen")
AORTA, CORONARY = Code("15825003", "SCT", "Aorta"), Code("41801008", "SCT", "Coronary artery")
L3, MUSCLE = Code("36470004", "SCT", "L3 vertebra"), Code("127954009", "SCT", "Skeletal muscle")
PACS = Destination(name="pacs", kind=DestinationKind.CSTORE, host="127.0.0.1", port=104, aet="PACS")
#: Where each organ lies, in columns, and its HU.
PLACES = {"liver": (slice(1, 20), 30.0), "spleen": (slice(21, 34), 50.0), "artery": (slice(36, 46), 40.0)}


def box(columns: slice) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[1:7, 4:36, columns] = True
    return mask


MASKS = {name: box(columns) for name, (columns, _) in PLACES.items()}


def make_hu() -> np.ndarray:
    hu = np.full(SHAPE, -50.0)
    for name, (_, value) in PLACES.items():
        hu[MASKS[name]] = value
    # Four pixels of 1 mm2 in an artery.
    hu[4, 12:16, 40] = 250
    return hu


@dataclass
class OrganScene:
    """A store, and everything on the path of a study but the network."""

    store: Store
    folder: Path
    images: list[Path]
    count: int = 0
    jobs: list[Job] = field(default_factory=list)
    #: Models that ran.
    ran: list[str] = field(default_factory=list)
    #: In this process; ``infer.process.run_job`` starts one.
    run: Callable[[ReadJob], Reading] = lambda job: read_job(job)[0]
    rules: tuple[Rule, ...] = field(default_factory=default_rules)

    def accept(self, path: Path, source: str) -> None:
        self.count += 1
        part = self.store.intake.incoming / f"{self.count}.part"
        # Encrypted where the store is.
        write_file(part, [path.read_bytes()], self.store.vault.seal(part))
        self.store.intake.accept(
            Arrived(
                instance=read_instance(part, self.store.vault.open),
                content_digest=hashlib.sha256(path.read_bytes()).hexdigest(),
                size=path.stat().st_size,
                received_at=NOW + timedelta(seconds=self.count),
                source=source,
            )
        )

    def segmentation(
        self,
        organs: Sequence[tuple[Any, np.ndarray]],
        edit: Callable[[Any], None] = lambda _: None,
        kind: str = "BINARY",
    ) -> Dataset:
        """Return a Segmentation whose labels say nothing true."""
        made = make_segmentation(
            self.images,
            [mask for _, mask in organs],
            kind,
            labels=[f"Nodule {number}" for number, _ in enumerate(organs, 1)],
            types=[what for what, _ in organs],
        )
        made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        made.SeriesInstanceUID = generate_uid()
        made.Manufacturer, made.ManufacturerModelName, made.SoftwareVersions = "Vendor", "Organs", "2.1"
        edit(made)
        return made

    def send(self, segmentation: Dataset, source: str = "TOTALSEG") -> None:
        path = self.folder / f"seg{self.count}.dcm"
        segmentation.save_as(path, enforce_file_format=True)
        self.accept(path, source)

    @property
    def path(self) -> StudyPath:
        def run(job: ReadJob) -> Reading:
            self.ran.append(job.model.identity.name)
            return self.run(job)

        reading = ReadingSteps(
            store=self.store,
            lineup=Lineup(read_packages(), self.store.model_states),
            rules=self.rules,
            destinations={"pacs": PACS},
            run_job=run,
            clock=lambda: NOW,
            default_quiet_s=10.0,
        )
        delivery = DeliverySteps(store=self.store, destinations={"pacs": PACS}, clock=lambda: NOW)
        return StudyPath(reading, None, delivery, self.jobs.append)  # type: ignore[arg-type]

    def read(self) -> int:
        """Take what came as complete and go the path of the study."""
        begun = self.store.studies.begin_revision(STUDY, "quiet for 10 s", NOW)
        assert begun is not None
        self.go(begun.revision)
        return begun.revision

    def go(self, revision: int, step: Callable[..., object] | None = None) -> None:
        def plain(_name: str, function: Callable[..., object], *arguments: object) -> object:
            return function(*arguments)

        self.path.read_study(step or plain, STUDY, revision, 1)  # type: ignore[arg-type]

    @property
    def rows(self):
        """What the model has read, oldest first."""
        return [row for row in self.store.readings.list_for_study(STUDY) if row.model_name == MODEL]

    def reading(self) -> Reading:
        """Return what stands."""
        (row,) = [one for one in self.store.readings.list_current([STUDY])[STUDY] if one.model_name == MODEL]
        return self.store.readings.load(row.digest)

    def codes(self) -> list[str]:
        return [one.code.value for one in self.reading().problems]


def make_organ_scene(store: Store, folder: Path, **header: str) -> OrganScene:
    """Return a scene with a CT; ``header`` changes what its images say."""
    said = {"ContrastBolusAgent": "NONE", "KVP": "120"} | header

    def edit(ds: Dataset, plane: int) -> None:
        complete(ds, plane)
        for keyword, value in said.items():
            setattr(ds, keyword, value)

    stored = (make_hu() + 1024).round().astype(np.int16)
    ct = SmallCt(shape=SHAPE, stored=stored, edit=edit, spacing_mm=SPACING_MM)
    scene = OrganScene(store, folder, write_ct(folder / "ct", ct))
    for path in scene.images:
        scene.accept(path, "CT1")
    return scene


def all_organs() -> list[tuple[Any, np.ndarray]]:
    return [(LIVER, MASKS["liver"]), (SPLEEN, MASKS["spleen"]), (CORONARY, MASKS["artery"])]


def is_read(reading: Reading) -> bool:
    return reading.outcome is Outcome.READ
