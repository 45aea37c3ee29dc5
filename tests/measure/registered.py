"""Two scans of one phantom, and how far from the truth their registration lies."""

from dataclasses import replace
from datetime import date

import numpy as np

from wetread.measure.coarse import shrink
from wetread.measure.orientation import to_upright
from wetread.measure.pictures import LungView
from wetread.measure.thorax import find_thorax
from wetread.phantom import PhantomOptions, ScannerOptions, VisitOptions, make_patient, make_visit
from wetread.phantom.scene import make_motion

# Coarser than a clinical scan, so that the suite stays quick.
SCANNER = ScannerOptions(matrix=192, spacing_mm=1.9, step_mm=3.0, thickness_mm=3.0)
#: Half a year later: other pose, other breath.
LATER = VisitOptions(
    date=date(2026, 7, 12),
    shift_mm=(6.0, -4.0, 15.0),
    rotation_deg=(4.0, -3.0, 5.0),
    breath_mm=12.0,
    deformation_mm=3.0,
)


def view(volume):
    upright, _ = to_upright(volume)
    coarse = shrink(upright, 2.0)
    return LungView(volume=upright, coarse=coarse, closed=find_thorax(coarse).closed)


def make_pair(seed, later=LATER, scanners=(SCANNER, SCANNER)):
    """Options, and the prior and the current scan as they are registered."""
    options = PhantomOptions(seed=seed, nodules=(), visits=(VisitOptions(), later))
    patient = make_patient(options)
    views = [
        view(make_visit(replace(options, scanner=one), number, patient=patient).volume)
        for number, one in enumerate(scanners, 1)
    ]
    return options, views[0], views[1]


def landmarks(options, current, count=1000):
    """Points of the current lungs, and where they truly lie in the prior scan; LPS mm."""
    index = np.argwhere(current.closed > 0)
    index = index[np.random.default_rng(0).choice(len(index), count)]
    points = current.volume.grid.to_lps_mm((index + 0.5) * np.array(current.coarse.factors) - 0.5)
    before, now = (make_motion(options, number) for number in (0, 1))
    return points, before.from_rest(now.to_rest(points.copy()))
