"""Studies that are small and a model that reads them at once, for tests of what comes before and after.

In: a folder.  Out: a model package, files of a study.  Never: a reading that depends on the images.
"""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

from tests.dicom.small_ct import SmallCt, write_ct

_TOML = """
name = "quick"
version = "1.0.0"
title = "Finds the middle"
intended_use = "Tests."
state = "live"
operating_point = "default"

[eligibility]
modalities = ["CT"]
pixel_range = [-2000, 40000]

[runtime]
kind = "python"
entry = "quick_reader:read"
timeout_s = 120
memory_mb = 1024
"""

_READER = """
from pathlib import Path

from wetread.domain.code import Code
from wetread.domain.finding import Finding
from wetread.domain.reading import Outcome, Reading


def read(request):
    gate = Path(__file__).parents[1] / "gate"
    if gate.exists():
        # A pipe: until somebody opens its other end, and until they have closed it.
        gate.read_bytes()
    grid = request.volume.grid
    plane, row, column = (size // 2 for size in grid.shape)
    point = tuple(float(one) for one in grid.to_lps_mm((plane, row, column)))
    finding = Finding(
        tracking_uid="2.25.1",
        label="lung nodule",
        code=Code(value="1", scheme="99X", meaning="x"),
        center_lps_mm=point,
        box_lps_mm=(point, point),
        key_plane=plane,
    )
    return Reading(
        study_instance_uid=request.study_instance_uid,
        series_instance_uid=request.series_instance_uid,
        revision=request.revision,
        model=request.model.identity,
        operating_point="default",
        outcome=Outcome.READ,
        grid=grid,
        made_at=request.made_at,
        findings=(finding,),
    )
"""


def write_quick_model(
    folder: Path, name: str = "quick", version: str = "1.0.0", reader: str = _READER
) -> Path:
    """Write the package into a folder of a folder; return that."""
    package = folder / name
    package.mkdir(parents=True, exist_ok=True)
    (package / "model.toml").write_text(_TOML.replace('"1.0.0"', f'"{version}"'))
    (package / "quick_reader.py").write_text(reader)
    return package


def make_gate(folder: Path) -> Path:
    """Have each reading wait at a pipe until the test has opened and closed it for writing."""
    # Not in the package: its digest covers all that is there.
    gate = folder / "gate"
    os.mkfifo(gate)
    return gate


def configure_quick(folder: Path) -> str:
    """Return the lines of wetread.toml that have it read everything; a bare key comes first."""
    return f'models = ["{folder / "quick"}"]\n[[rules]]\nname = "all"\nmodels = ["quick"]\n'


def write_quick_study(folder: Path, number: int, images: int = 5) -> list[Path]:
    """Write a study of its own UID, in slice order."""
    study = study_uid(number)
    ct = SmallCt(shape=(images, 40, 40), study_uid=study, series_uid=f"{study}.1")

    def name_patient(ds: object, _plane: int) -> None:
        ds.PatientID = f"CHAOS{number}"  # type: ignore[attr-defined]

    return write_ct(folder / study, dataclasses.replace(ct, edit=name_patient))


def study_uid(number: int) -> str:
    return f"2.25.77.{number}"
