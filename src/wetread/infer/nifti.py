"""Read a NIfTI CT: findings and masks, since there is no study to refer to.

In: a file and a model.  Out: an entry of findings.json, masks as NIfTI on the same grid.
Never: DICOM documents without a study behind them.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wetread.domain.finding import Segment
from wetread.domain.model import Model
from wetread.domain.problem import problem_from_error
from wetread.domain.reading import Reading, to_findings_json
from wetread.domain.study import Instance, group_instances
from wetread.errors import InputError
from wetread.imaging.guard import check_pixels
from wetread.imaging.nifti import read_nifti_volume, write_nifti_masks
from wetread.infer.job import ReadJob, make_unread
from wetread.infer.read import read_volume_with


def read_nifti(path: Path, out: Path, model: Model) -> dict[str, Any]:
    """Read a NIfTI CT with one model and write its masks.

    Runs in this process: it is an offline call that the user waits for.
    """
    reading = _read(path, model)
    masks = {_file_stem(segment): segment.mask for segment in reading.segments}
    files = write_nifti_masks(masks, reading.grid, out / "masks", like=path) if reading.grid else []
    documents = [
        {"kind": "nifti", "path": str(file.relative_to(out)), "sop_instance_uid": ""} for file in files
    ]
    return to_findings_json(reading, documents)


def _file_stem(segment: Segment) -> str:
    return segment.label.lower().replace(" ", "_")


def _read(path: Path, model: Model) -> Reading:
    job = _job(path, model)
    try:
        volume = read_nifti_volume(path)
    except InputError as error:
        return make_unread(job, problem_from_error(error))
    return read_volume_with(job, volume, tuple(check_pixels(volume, model.eligibility)))


def _job(path: Path, model: Model) -> ReadJob:
    # There is no Study Instance UID: the content names itself.
    uid = f"2.25.{int.from_bytes(hashlib.sha256(path.read_bytes()).digest()[:16])}"
    nothing = Instance(
        sop_instance_uid=uid,
        sop_class_uid="",
        series_instance_uid=uid,
        study_instance_uid=uid,
        transfer_syntax_uid="",
        header={"Modality": "CT"},
        path=path,
    )
    study = group_instances([nothing])[0]
    return ReadJob(
        study_instance_uid=uid,
        revision=1,
        series=study.series[0],
        model=model,
        made_at=datetime.now(UTC),
    )
