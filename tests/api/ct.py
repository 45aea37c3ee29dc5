"""CT studies taken into a store, with real geometry in their headers."""

import hashlib
from dataclasses import replace
from pathlib import Path

from tests.dicom.small_ct import SmallCt, make_slice, read_ct
from tests.web.conftest import NOW
from wetread.store import Store
from wetread.store.intake import Arrived

__all__ = ["SmallCt", "make_slice", "send_ct"]


def send_ct(store: Store, folder: Path, uid: str, series: int = 1, **header: object) -> None:
    """Take in a series of five slices; ``header`` says what its images have besides."""
    place = folder / f"{uid}.{series}"
    place.mkdir(parents=True)
    study = read_ct(place, SmallCt(study_uid=uid, series_uid=f"{uid}.{series}"))
    for instance in study.series[0].instances:
        path = store.intake.incoming / f"{instance.sop_instance_uid}.part"
        path.write_bytes(instance.sop_instance_uid.encode())
        shown = replace(instance, path=path, header={**instance.header, "StudyDate": "20261123", **header})
        store.intake.accept(
            Arrived(
                instance=shown,
                content_digest=hashlib.sha256(path.read_bytes()).hexdigest(),
                size=1,
                received_at=NOW,
                source="CT1",
            )
        )
