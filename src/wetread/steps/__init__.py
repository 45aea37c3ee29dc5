"""The steps of the path: load, let the stage decide, keep what it said.

In: UIDs and row numbers (JSON, so that the engine can remember them).  Out: the same.
Never: a decision of its own; a step that cannot be repeated.
"""

from wetread.steps.delivering import DeliverySteps
from wetread.steps.keeping import KeepingSteps
from wetread.steps.performing import PerformingSteps
from wetread.steps.reading import ReadingSteps
from wetread.steps.returning import ReturningSteps
from wetread.steps.shadowing import ShadowSteps

__all__ = [
    "DeliverySteps",
    "KeepingSteps",
    "PerformingSteps",
    "ReadingSteps",
    "ReturningSteps",
    "ShadowSteps",
]
