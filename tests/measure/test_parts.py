"""Parts of a probability map."""

from __future__ import annotations

import numpy as np

from wetread.measure.parts import PartSettings, find_parts

SETTINGS = PartSettings(outline_from=0.5, core_from=0.8, fewest_voxels=4)


def _map() -> np.ndarray:
    found = np.zeros((4, 20, 20), np.float32)
    found[1:3, 2:5, 2:5] = 0.85
    found[1, 10:13, 10:13] = 0.95
    return found


def test_the_surest_part_comes_first() -> None:
    parts, scores = find_parts(_map(), SETTINGS)
    np.testing.assert_allclose(scores, (0.95, 0.85))
    assert (parts[1, 10:13, 10:13] == 1).all()
    assert (parts[1:3, 2:5, 2:5] == 2).all()
    assert (parts > 0).sum() == 9 + 18


def test_what_is_nowhere_sure_is_no_part() -> None:
    parts, scores = find_parts(np.full((2, 8, 8), 0.7, np.float32), SETTINGS)
    assert scores == ()
    assert not parts.any()


def test_few_voxels_are_no_part_and_a_halo_belongs_to_its_core() -> None:
    found = np.zeros((3, 12, 12), np.float32)
    found[0, 0, :3] = 1.0
    found[1, 5:9, 5:9] = 0.6
    found[1, 6, 6] = 0.9
    parts, scores = find_parts(found, SETTINGS)
    assert len(scores) == 1
    assert (parts == 1).sum() == 16
