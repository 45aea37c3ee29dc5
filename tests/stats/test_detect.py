"""FROC and CPM: by hand, and against MONAI."""

from typing import Any

import numpy as np
import pytest

from wetread.stats.detect import CPM_RATES, Detections, cpm, cpm_of, froc, match_centers, sensitivity_of
from wetread.stats.resample import evaluate

monai_froc: Any = pytest.importorskip("monai.metrics.froc")


def make(
    candidates: list[tuple[float, int, int]], counts: list[int], patients: list[str] | None = None
) -> Detections:
    scores, images, lesions = zip(*candidates, strict=True) if candidates else ((), (), ())
    return Detections(
        scores=np.array(scores, float),
        images=np.array(images, int),
        lesions=np.array(lesions, int),
        lesion_counts=np.array(counts),
        patients=np.array(patients or [str(at) for at in range(len(counts))]),
    )


def test_a_curve_by_hand() -> None:
    # Two images, three lesions; lesion 0 is hit twice, which counts once and is no alarm.
    found = froc(make([(0.9, 0, 0), (0.8, 1, -1), (0.7, 0, 0), (0.6, 1, 2), (0.6, 0, -1)], [2, 1]))
    assert [(one.threshold, one.sensitivity, one.false_positives) for one in found] == [
        (0.9, pytest.approx(1 / 3), 0.0),
        (0.8, pytest.approx(1 / 3), 0.5),
        (0.7, pytest.approx(1 / 3), 0.5),
        (0.6, pytest.approx(2 / 3), 1.0),
    ]


def test_sensitivity_never_goes_beyond_the_rate() -> None:
    detections = make([(0.9, 0, 0), (0.8, 1, -1), (0.6, 1, 2), (0.6, 0, -1)], [2, 1])
    found = evaluate(sensitivity_of(detections, (0.4, 0.5, 0.9, 1.0)), 2)
    assert found == pytest.approx([1 / 3, 1 / 3, 1 / 3, 2 / 3])


def random(seed: int) -> Detections:
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 3, 40)
    starts = np.concatenate([[0], np.cumsum(counts)])
    candidates = []
    for image, count in enumerate(counts):
        candidates += [
            (rng.normal(1.5), image, starts[image] + at) for at in range(count) if rng.random() < 0.9
        ]
        candidates += [(rng.normal(), image, -1) for _ in range(rng.poisson(4))]
    return make(candidates, counts.tolist(), [str(image // 2) for image in range(40)])


@pytest.mark.parametrize("seed", range(3))
def test_the_curve_and_its_cpm_as_monai_has_them(seed: int) -> None:
    ours = random(seed)
    hit = ours.lesions >= 0
    rates, sensitivities = monai_froc.compute_froc_curve_data(
        ours.scores[~hit], ours.scores[hit], int(ours.lesion_counts.sum()), len(ours.lesion_counts)
    )
    curve = froc(ours)[:-1]  # theirs goes from the lowest score but one to nothing
    assert [one.false_positives for one in curve] == pytest.approx(rates[:-1][::-1].tolist())
    assert [one.sensitivity for one in curve] == pytest.approx(sensitivities[:-1][::-1].tolist())
    theirs = monai_froc.compute_froc_score(rates, sensitivities, CPM_RATES)
    # They draw a line between two points where we keep to the step below it.
    value = float(evaluate(cpm_of(ours), 40))
    assert theirs - 0.03 < value <= theirs + 1e-9


def test_the_interval_by_patient() -> None:
    found = cpm(random(0), draws=400)
    assert found.low < found.value < found.high
    assert found == cpm(random(0), draws=400)


def test_weights_are_repetitions() -> None:
    ours = random(1)
    weights = np.random.default_rng(0).integers(0, 3, (1, 40)).astype(float)
    repeated, copies = [], 0
    counts: list[int] = []
    starts = np.concatenate([[0], np.cumsum(ours.lesion_counts)])
    for image in range(40):
        for _ in range(int(weights[0, image])):
            at = ours.images == image
            for score, lesion in zip(ours.scores[at], ours.lesions[at], strict=True):
                new = -1 if lesion < 0 else sum(counts) + lesion - starts[image]
                repeated.append((score, copies, new))
            counts.append(int(ours.lesion_counts[image]))
            copies += 1
    expected = evaluate(cpm_of(make(repeated, counts)), copies)
    assert cpm_of(ours)(weights)[0] == pytest.approx(float(expected))


def test_nothing_found_and_nothing_to_find() -> None:
    assert froc(make([], [1, 0])) == ()
    assert evaluate(cpm_of(make([], [1, 0])), 2) == 0.0
    assert np.isnan(evaluate(cpm_of(make([(0.5, 0, -1)], [0, 0])), 2))


def test_a_hit_is_within_the_radius() -> None:
    lesions, radii = np.array([[0.0, 0, 0], [10, 0, 0]]), np.array([4.0, 6.0])
    candidates = np.array([[1.0, 0, 0], [4.5, 0, 0], [3.9, 0, 0], [30, 0, 0]])
    assert match_centers(candidates, np.ones(4), lesions, radii).tolist() == [0, 1, 0, -1]
    assert match_centers(candidates, np.ones(4), np.zeros((0, 3)), np.zeros(0)).tolist() == [-1] * 4
