"""What was a model's own fault, and when it goes out of service for that.

In: a Reading, the version that made it.  Out: rows beside it, in one transaction.
Never: a model blamed for images that nobody could read.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from wetread.domain.lifecycle import ModelState
from wetread.domain.model import Model
from wetread.domain.problem import ProblemCode
from wetread.domain.reading import Outcome, Reading
from wetread.domain.study import study_key
from wetread.store.model_states import ModelStates

#: The model's own, and not of the images.
FAULTS = frozenset(
    {
        *(ProblemCode.MODEL_CRASHED, ProblemCode.MODEL_TIMEOUT, ProblemCode.MODEL_ERROR),
        *(ProblemCode.INVALID_OUTPUT, ProblemCode.INVALID_PACKAGE, ProblemCode.PEER_FAILED),
        *(ProblemCode.ANSWER_NOT_UNDERSTOOD, ProblemCode.ANSWER_OTHER_IMAGES),
    }
)


def note_outcome(
    states: ModelStates, connection: Any, reading: Reading, model: Model, *, at: datetime, most: int
) -> None:
    """Note in the caller's transaction whether a model did its work.

    Parameters
    ----------
    most
        Failures in a row, on different studies, after which it goes out of service; 0: never.
    """
    code = next((one.code for one in reading.problems if one.code in FAULTS), None)
    if reading.outcome is Outcome.READ:
        states.note_success_in(connection, model.identity.digest)
    elif code is not None:
        failure = (study_key(reading.study_instance_uid), code.value)
        state = ModelState(model.state)
        states.note_failure_in(connection, model.identity, state, failure, at, most)
