"""Synthetic patients with known truth, as valid DICOM.

In: ``PhantomOptions``.  Out: CT volumes or files, and what is true of them.  Never: real images.

``write_phantom`` writes folders; ``make_visit`` stays in memory. The road of a visit: ``patient`` (drawn
once, at rest) > ``scene`` (pose, breath, pleura) > ``tissue`` and ``stamp`` (fine planes) > ``scanner``.
"""

from wetread.phantom.export import write_phantom
from wetread.phantom.options import (
    Kernel,
    NoduleKind,
    NoduleOptions,
    PatientOptions,
    PatientPosition,
    PhantomOptions,
    Place,
    PleuralOptions,
    ScannerOptions,
    Shape,
    Side,
    VisitOptions,
)
from wetread.phantom.patient import make_patient
from wetread.phantom.plan import (
    SMALL_SCANNER,
    PhantomPlan,
    demo_options,
    parse_nodule,
    parse_pleural,
    plan_options,
)
from wetread.phantom.truth import NoduleStatus, TrueNodule, VisitTruth
from wetread.phantom.visit import PhantomVisit, make_visit

__all__ = [
    "SMALL_SCANNER",
    "Kernel",
    "NoduleKind",
    "NoduleOptions",
    "NoduleStatus",
    "PatientOptions",
    "PatientPosition",
    "PhantomOptions",
    "PhantomPlan",
    "PhantomVisit",
    "Place",
    "PleuralOptions",
    "ScannerOptions",
    "Shape",
    "Side",
    "TrueNodule",
    "VisitOptions",
    "VisitTruth",
    "demo_options",
    "make_patient",
    "make_visit",
    "parse_nodule",
    "parse_pleural",
    "plan_options",
    "write_phantom",
]
