"""Who is trained on and who is held out: by patient, seeded.

In: samples.  Out: a fold for each.  Never: a patient on two sides.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wetread.errors import EmptyClass, InvalidPlan
from wetread.lab.samples import Sample, require_disjoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Folds of patients."""

    seed: int
    #: Of each sample, in the order of the samples.
    folds: tuple[int, ...]
    #: sha256 over who is where, of each fold.
    digests: tuple[str, ...]

    def held_out(self, fold: int) -> list[int]:
        """Return the places of the samples that a fold holds out."""
        return [at for at, one in enumerate(self.folds) if one == fold]

    def trained_on(self, fold: int) -> list[int]:
        """Return the places of all others."""
        return [at for at, one in enumerate(self.folds) if one != fold]


def split_by_patient(samples: Sequence[Sample], folds: int, seed: int, classes: int = 0) -> Split:
    """Deal patients into folds, so that each has as much of every class as can be.

    Parameters
    ----------
    classes
        How many classes the labels count; 0 where they count none.

    Raises
    ------
    EmptyClass
        If a class has no sample, or fewer patients than there are folds.
    InvalidPlan
        If there are fewer patients than folds.
    """
    of_patient: dict[str, Counter[float]] = defaultdict(Counter)
    for sample in samples:
        of_patient[sample.patient][-1.0 if sample.label is None or not classes else sample.label] += 1
    if len(of_patient) < folds:
        raise InvalidPlan(
            "There are fewer patients than folds: lower split.folds.", patients=len(of_patient), folds=folds
        )
    if classes:
        _check_classes(of_patient, classes, folds)
    dealt = _deal(of_patient, folds, seed)
    by_fold = {
        f"fold {fold}": [patient for patient, one in dealt.items() if one == fold] for fold in range(folds)
    }
    require_disjoint(by_fold)
    digests = tuple(
        hashlib.sha256("\n".join(sorted(patients)).encode()).hexdigest() for patients in by_fold.values()
    )
    return Split(seed=seed, folds=tuple(dealt[one.patient] for one in samples), digests=digests)


def _check_classes(of_patient: dict[str, Counter[float]], classes: int, folds: int) -> None:
    for label in range(classes):
        count = sum(1 for counts in of_patient.values() if counts[float(label)])
        if count < folds:
            raise EmptyClass(
                "A class has fewer patients than there are folds: add images, or lower split.folds.",
                label=label,
                patients=count,
                folds=folds,
            )


def _deal(of_patient: dict[str, Counter[float]], folds: int, seed: int) -> dict[str, int]:
    """Give each patient, rare classes and many images first, to the fold that has least of its kind."""
    order = sorted(of_patient)
    np.random.default_rng(seed).shuffle(order)
    total: Counter[float] = Counter()
    for counts in of_patient.values():
        total.update(counts)
    order.sort(
        key=lambda patient: (min(total[label] for label in of_patient[patient]), -of_patient[patient].total())
    )
    have: list[Counter[float]] = [Counter() for _ in range(folds)]
    dealt = {}
    for patient in order:
        counts = of_patient[patient]
        fold = min(
            range(folds),
            key=lambda at: (sum(have[at][label] / total[label] for label in counts), have[at].total()),
        )
        have[fold].update(counts)
        dealt[patient] = fold
    return dealt
