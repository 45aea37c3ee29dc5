"""Two studies of a patient in a store, the later one compared with the earlier: real images, true places."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

from tests.compose.scene import NODULES, ORIENTATIONS, make_grid, make_reading, make_volume, write_series
from tests.web.conftest import NOW, Ward
from wetread.domain.comparison import (
    Alignment,
    Bending,
    Comparison,
    GoneFinding,
    PastSize,
    PriorComparison,
    PriorImages,
    PriorPlace,
    Status,
)
from wetread.domain.study import study_key
from wetread.domain.volume import Volume
from wetread.store.intake import Arrived
from wetread.store.readings import ReadingRow

EARLIER, LATER = "1.2.826.0.1.3680043.10.8.1", "1.2.826.0.1.3680043.10.8.2"
DAYS = {EARLIER: "20260112", LATER: "20260412"}
#: The earlier study lies so much higher than the later one: prior = now + shift.
SHIFT_MM = (0.0, 0.0, 12.0)


def hold(ward: Ward, folder: Path, uid: str, source: str = "CT1", **header: object) -> Volume:
    """Take in a small chest CT."""
    grid = make_grid(ORIENTATIONS["axial"], shape=(28, 80, 80), spacing_mm=(8.0, 3.0, 3.0))
    uids = tuple(f"{uid}.1.{number}" for number in range(1, 29))
    volume = make_volume(replace(grid, sop_instance_uids=uids))
    values = {
        "StudyInstanceUID": uid,
        "SeriesInstanceUID": f"{uid}.1",
        "StudyDate": DAYS[uid],
        "PatientName": "Doe^Jane",
    }
    series = write_series(folder / uid, volume, ORIENTATIONS["axial"], **(values | header))
    for one in series.instances:
        path = ward.store.intake.incoming / f"{one.sop_instance_uid}.part"
        shutil.copyfile(one.path, path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        instance = replace(one, path=path)
        arrived = Arrived(instance=instance, content_digest=digest, size=1, received_at=NOW, source=source)
        ward.store.intake.accept(arrived)
    return volume


def prior_of(status: Status | None, change: float, volume: Volume, number: int) -> PriorComparison:
    """Nodule ``number`` of the scene as it was."""
    center = tuple(float(a + b) for a, b in zip(NODULES[number][0], SHIFT_MM, strict=True))
    plane = round(float(volume.grid.to_index(center)[0]))
    uid = volume.grid.sop_instance_uids[plane].replace(LATER, EARLIER)
    past = PastSize(
        study_instance_uid=EARLIER, studied_on="2026-01-12", volume_mm3=1000.0, mean_diameter_mm=12.4
    )
    return PriorComparison(
        study_instance_uid=EARLIER,
        volume_change_percent=change,
        volume_change_ci95=(change - 20.0, change + 20.0),
        doubling_time_days=91.0 if status is Status.GROWING else None,
        status=status,
        studied_on="2026-01-12",
        interval_days=90,
        volume_mm3=1000.0,
        mean_diameter_mm=12.4,
        history=(past,),
        place=PriorPlace(sop_instance_uid=uid, center_lps_mm=center),
    )


def compared_reading(volume: Volume) -> dict[str, object]:
    """Return the later study's Reading: a nodule grown, one stable, one gone, the pneumothorax new."""
    reading = make_reading(volume)
    air, first, second = reading.findings
    findings = (
        air,
        replace(first, prior=prior_of(Status.GROWING, 99.0, volume, 0)),
        replace(second, prior=prior_of(Status.STABLE, 3.0, volume, 1)),
    )
    gone = GoneFinding(
        tracking_uid="2.25.9",
        label="lung nodule",
        status=Status.RESOLVED,
        center_lps_mm=(60.0, 5.0, 10.0),
        volume_mm3=110.0,
        mean_diameter_mm=6.0,
        place=PriorPlace(sop_instance_uid=f"{EARLIER}.1.16", center_lps_mm=(60.0, 5.0, 22.0)),
    )
    comparison = Comparison(
        study_instance_uid=EARLIER,
        studied_on="2026-01-12",
        interval_days=90,
        lung_overlap=1.0,
        vessel_likeness=0.9,
        new=(air.tracking_uid,),
        gone=(gone,),
        images=PriorImages(
            series_instance_uid=f"{EARLIER}.1",
            sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
            frame_of_reference_uid="1.2.826.0.1.3680043.10.1.9",
            sop_instance_uids=tuple(one.replace(LATER, EARLIER) for one in volume.grid.sop_instance_uids),
        ),
        alignment=Alignment(
            matrix=((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
            shift_mm=SHIFT_MM,
            bending=Bending(
                shape=(4, 4, 4),
                origin_lps_mm=(-300.0, -300.0, -300.0),
                spacing_mm=200.0,
                displacements_um=(0,) * 192,
            ),
        ),
    )
    return {
        "series_instance_uid": f"{LATER}.1",
        "findings": findings,
        "segments": reading.segments,
        "regions": (),
        "measurements": {},
        "grid": volume.grid,
        "comparison": comparison,
    }


def read_compared(ward: Ward, volume: Volume) -> ReadingRow:
    """Read the later study."""
    return ward.read(LATER, **compared_reading(volume))


def stage(ward: Ward, folder: Path, source: str = "CT1", earlier_source: str = "CT1") -> tuple[str, int]:
    """Hold and read both; return the later study's key and the number of its Reading."""
    hold(ward, folder, EARLIER, earlier_source)
    row = read_compared(ward, hold(ward, folder, LATER, source))
    return study_key(LATER), row.id
