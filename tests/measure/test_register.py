"""Registration against what is true of phantoms."""

from dataclasses import replace

import numpy as np
import pytest

from tests.measure.registered import SCANNER, landmarks, make_pair, view
from wetread.domain.volume import Volume
from wetread.measure.register import register
from wetread.measure.registration import PriorDoesNotFit
from wetread.phantom import PhantomOptions, make_visit


@pytest.fixture(scope="module")
def pair():
    return make_pair(11)


@pytest.fixture(scope="module")
def registration(pair):
    _, prior, current = pair
    return register(current, prior)


def errors_mm(registration, options, current):
    points, truth = landmarks(options, current)
    return np.linalg.norm(registration.to_prior(points) - truth, axis=1)


def test_lungs_in_another_pose_and_breath(pair, registration):
    options, _, current = pair
    points, truth = landmarks(options, current)
    assert np.median(np.linalg.norm(points - truth, axis=1)) > 10.0
    errors = errors_mm(registration, options, current)
    assert np.median(errors) < 1.0
    assert np.percentile(errors, 95) < 3.0
    assert registration.fit.overlap > 0.97
    assert registration.fit.dice > 0.95
    assert registration.fit.likeness > 0.6


def test_there_and_back(pair, registration):
    points, _ = landmarks(pair[0], pair[2])
    assert np.abs(registration.to_current(registration.to_prior(points)) - points).max() < 0.01
    assert registration.to_prior(points[0]).shape == (3,)
    assert np.allclose(registration.to_prior(points[0]), registration.to_prior(points[:1])[0])


def test_another_patients_lungs_are_refused(pair):
    other = make_visit(PhantomOptions(seed=12, nodules=(), scanner=SCANNER))
    with pytest.raises(PriorDoesNotFit) as caught:
        register(pair[2], view(other.volume))
    assert caught.value.code == "prior-does-not-fit"


def test_a_prior_of_the_upper_half_only(pair):
    options, prior, current = pair
    voxels, grid = prior.volume.voxels, prior.volume.grid
    start = len(voxels) // 2
    upper = replace(grid, shape=voxels[start:].shape, origin_lps_mm=tuple(grid.to_lps_mm((start, 0, 0))))
    half = view(Volume(voxels=voxels[start:], grid=upper))
    registration = register(current, half)
    points, truth = landmarks(options, current)
    index = upper.to_index(truth)
    shown = np.all((index > 1) & (index < np.array(upper.shape) - 2), axis=1)
    assert 0.2 < np.mean(shown) < 0.9
    assert registration.fit.overlap == pytest.approx(np.mean(shown), abs=0.1)
    errors = np.linalg.norm(registration.to_prior(points) - truth, axis=1)
    assert np.median(errors[shown]) < 1.5
