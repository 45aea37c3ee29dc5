"""A study with pixels, its Reading and documents, in a store: pages about images are tried with it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pydicom

from tests.compose.scene import ORIENTATIONS, Orientation, make_grid, make_reading, make_volume, write_series
from tests.store.test_catalogue import NOW, Archive
from wetread.compose import compose, read_source
from wetread.domain.document import DocumentKind
from wetread.domain.progress import StudyState
from wetread.domain.reading import Reading
from wetread.domain.study import Series, study_key
from wetread.domain.volume import Volume
from wetread.store import Store
from wetread.store.readings import ReadingRow

KINDS = (DocumentKind.SEG, DocumentKind.TEXT)


@dataclass
class Scene:
    key: str
    study_instance_uid: str
    volume: Volume
    reading: Reading
    row: ReadingRow
    series: Series


def stage_scene(
    store: Store,
    folder: Path,
    orientation: Orientation = ORIENTATIONS["axial"],
    shape: tuple[int, int, int] = (40, 96, 104),
    spacing_mm: tuple[float, float, float] = (6.0, 2.5, 2.5),
    kinds: tuple[DocumentKind, ...] = KINDS,
    **changes: object,
) -> Scene:
    """Take in a study, as it is read and composed; ``changes`` replace attributes of its images."""
    volume = make_volume(make_grid(orientation, shape, spacing_mm))
    series = write_series(folder, volume, orientation, **changes)
    archive = Archive(store)
    for one in series.instances:
        archive.add_data_set(pydicom.dcmread(one.path))
    reading = make_reading(volume)
    uid = reading.study_instance_uid
    revision = store.studies.begin_revision(uid, "quiet for 10 s", NOW)
    assert revision is not None
    row = store.readings.save(reading)
    store.readings.save_documents(row.id, compose(reading, read_source(series, volume), kinds))
    store.studies.finish_revision(uid, revision.revision, StudyState.READ, NOW)
    return Scene(study_key(uid), uid, volume, reading, row, series)
