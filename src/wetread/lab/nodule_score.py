"""Score ``lung-nodule`` on patients its networks never saw (``models/lung-nodule/score.py``).

In: crops, the probabilities of each by the network that never saw its patient (``lab.nodule_make``).
Out: scores with intervals, by patient.  Never: the mean of networks that know the patient.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wetread.domain.model import Model
from wetread.domain.prediction import Prediction
from wetread.infer.lung_nodule import mark_parts
from wetread.lab.judge import Verdict, compare
from wetread.lab.nodule_net import FOLDS
from wetread.lab.samples import SampleSet
from wetread.lab.score import Scores, score

PROBABILITIES = "fold{}.npz"


def read_folds(
    run: Path, folds: Iterable[int] = range(FOLDS)
) -> Iterator[tuple[str, npt.NDArray[np.float32]]]:
    """Yield the id of each crop and its probabilities, (slices, rows, columns)."""
    for fold in folds:
        with np.load(run / PROBABILITIES.format(fold), allow_pickle=False) as arrays:
            for name in arrays.files:
                yield name, arrays[name].astype(np.float32)


def score_folds(model: Model, samples: SampleSet, run: Path, folds: Iterable[int] = range(FOLDS)) -> Scores:
    """Return the scores at the threshold of the package."""
    known = {one.id: one for one in samples.samples}
    verdicts: list[Verdict] = []
    for name, probability in read_folds(run, folds):
        said: Prediction = mark_parts(model, probability)
        verdicts.append(compare(model, known[name], samples.load(known[name]), said))
    return score(model, samples, verdicts)
