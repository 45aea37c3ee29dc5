"""A study is read again with an earlier one that came after it was read.

In: pairs of a study that was read and an earlier one, held since.  Out: a revision that compares, or a line
in the history that says why there is none.
Never: a live study that waits for it; a study that somebody reported, read again by itself; another patient's
study compared with.

Nothing is begun while anything live arrives, waits or is read, and one at a time: as a backfill. What was
begun is known by its cause, so that the Reading that stands does not stand for it (``is_wanted``).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from wetread.domain.late_prior import LateOutcome, LatePrior
from wetread.domain.model import Model
from wetread.domain.problem import Problem, ProblemCode
from wetread.domain.reading import Reading
from wetread.errors import WetreadError
from wetread.infer.prior import PriorStudy
from wetread.registry.lineup import Lineup
from wetread.steps.comparing import find_prior
from wetread.steps.journal import Journal
from wetread.store import Store
from wetread.store.studies import RevisionRow

#: Cause of a revision, and how it goes on: "(90 days before)".
CAUSE = "an earlier study came after the reading"
#: Pairs that are looked at in one round.
_MOST = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class LatePriorSteps:
    """What it works with."""

    store: Store
    lineup: Lineup
    clock: Callable[[], datetime]
    #: Readings that are older are left as they are; 0: all are.
    days: float

    def look(self) -> tuple[str, int] | None:
        """Look at what came, and begin one revision at most; returns its study and number.

        Call it while nothing live arrives, waits or is read.
        """
        models = {
            name: one for name, one in self.lineup.now().items() if one.runtime.compares and one.may_read
        }
        if self.days <= 0 or not models:
            return None
        since = self.clock() - timedelta(days=self.days)
        for pair in self.store.late_priors.list_new(tuple(models), since, _MOST):
            # What cannot be looked at now keeps the others from nothing; it is looked at again.
            with contextlib.suppress(WetreadError):
                begun = self._consider(pair, models)
                if begun is not None:
                    return pair.study_instance_uid, begun.revision
        return None

    def _consider(self, pair: LatePrior, models: dict[str, Model]) -> RevisionRow | None:
        reading = self.store.readings.load(pair.reading_digest)
        found = self._find(pair, reading, models[reading.model.name])
        if found is None:
            return None
        prior, problems = found
        if prior is None or prior.study_instance_uid != pair.prior_instance_uid:
            self._leave(pair, problems)
        elif not _is_news(reading, prior):
            self._keep(pair, LateOutcome.NOTHING)
        elif pair.is_reported:
            self._tell_reported(pair, prior)
        else:
            return self._begin(pair, prior)
        return None

    def _find(
        self, pair: LatePrior, reading: Reading, model: Model
    ) -> tuple[PriorStudy | None, tuple[Problem, ...]] | None:
        """Return what the study would be compared with now; None: it is not held any more."""
        held = self.store.studies.load(pair.study_instance_uid)
        if held is None:
            return None
        for series in held.series:
            if series.series_instance_uid == reading.series_instance_uid:
                return find_prior(self.store, held, series, model)
        return None

    def _leave(self, pair: LatePrior, problems: Sequence[Problem]) -> None:
        """Say why a study is not compared with, where that is more than that a newer one is."""
        told = next((one for one in problems if one.code is ProblemCode.PRIOR_OTHER_PATIENT), None)
        if told is None:
            self._keep(pair, LateOutcome.NOTHING)
            return
        self._keep(pair, LateOutcome.REFUSED)
        message = f"An earlier study came after the reading. {told.message}"
        self._journal.problem(pair.study_instance_uid, pair.revision, "compare", message, told.code.value)

    def _tell_reported(self, pair: LatePrior, prior: PriorStudy) -> None:
        self._keep(pair, LateOutcome.NOTED)
        message = (
            f"{_came(prior)}. The study is reported: it was not compared with. To have it compared, have the"
            " study read again."
        )
        self._journal.note(pair.study_instance_uid, pair.revision, "compare", message)

    def _begin(self, pair: LatePrior, prior: PriorStudy) -> RevisionRow | None:
        now = self.clock()
        begun = self.store.studies.begin_again(
            pair.study_instance_uid,
            f"{CAUSE} ({_days(prior.interval_days)} before)",
            now,
            beside=lambda connection: self.store.late_priors.keep_in(
                connection, pair, LateOutcome.BEGUN, now
            ),
        )
        if begun is not None:
            message = f"{_came(prior)}: read again, to be compared with it."
            self._journal.note(pair.study_instance_uid, begun.revision, "assemble", message)
        # None: it is being read, or more images came meanwhile. It is looked at again.
        return begun

    def _keep(self, pair: LatePrior, outcome: LateOutcome) -> None:
        self.store.late_priors.keep(pair, outcome, self.clock())

    @property
    def _journal(self) -> Journal:
        return Journal(self.store.history, self.clock)


def is_late(revision: RevisionRow) -> bool:
    """Tell whether a revision was begun for an earlier study that came late."""
    return revision.cause.startswith(CAUSE)


def is_wanted(store: Store, study: str, model: Model, since_revision: int) -> bool:
    """Tell whether a Reading of this revision is to be made anew, with the earlier study that came since."""
    return model.runtime.compares and any(
        is_late(one) and one.revision > since_revision for one in store.studies.list_revisions(study)
    )


def _is_news(reading: Reading, prior: PriorStudy) -> bool:
    """Tell whether a Reading was not made with an earlier study as it is now."""
    comparison = reading.comparison
    if comparison is None or comparison.study_instance_uid != prior.study_instance_uid:
        return True
    images = comparison.images
    if images is None:
        return False
    # It was compared with a part of it, or with another series.
    held = {one.sop_instance_uid for one in prior.series.instances}
    return not held <= set(images.sop_instance_uids)


def _came(prior: PriorStudy) -> str:
    return f"An earlier study, {_days(prior.interval_days)} before, came after the reading"


def _days(count: int) -> str:
    return "1 day" if count == 1 else f"{count} days"
