from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import pytest

from wetread.phantom import (
    PhantomOptions,
    PhantomVisit,
    ScannerOptions,
    VisitTruth,
    demo_options,
    make_patient,
    make_visit,
)
from wetread.phantom.export import write_visit
from wetread.phantom.patient import Patient
from wetread.phantom.truth import to_truth_json

#: A thin slab in coarse voxels: a second or two.
SLAB = ScannerOptions(matrix=192, spacing_mm=1.9, thickness_mm=2.5, step_mm=2.5, length_mm=60.0)


@dataclass(frozen=True)
class Demo:
    options: PhantomOptions
    patient: Patient
    visits: tuple[PhantomVisit, PhantomVisit]

    @property
    def truths(self) -> list[VisitTruth]:
        return [visit.truth for visit in self.visits]

    def write(self, folder: Path) -> list[Path]:
        paths = []
        for number, visit in enumerate(self.visits, start=1):
            target = folder / f"visit{number}"
            target.mkdir()
            paths += write_visit(self.options, number, visit, target)
        return paths

    def truth_json(self) -> dict:
        return to_truth_json(self.truths, self.options.seed)


@pytest.fixture(scope="session")
def demo() -> Demo:
    """Two visits of the demo's patient, without noise."""
    options = demo_options(small=True)
    options = dataclasses.replace(options, scanner=dataclasses.replace(options.scanner, dose_mgy=0.0))
    patient = make_patient(options)
    first, second = (make_visit(options, number, patient=patient) for number in (1, 2))
    return Demo(options, patient, (first, second))
