from __future__ import annotations

import numpy as np

from wetread.phantom.tree import Tree, grow_tree


def grown() -> tuple[Tree, np.ndarray]:
    rng = np.random.default_rng(2)
    targets = rng.uniform(-40, 40, size=(150, 3)) + np.array([80.0, 0.0, 0.0])
    return grow_tree((0.0, 0.0, 0.0), targets, 0.4, rng), targets


def test_every_target_is_reached_and_segments_are_joined() -> None:
    tree, targets = grown()
    gaps = np.linalg.norm(targets[:, None] - tree.ends[None], axis=-1).min(axis=1)
    assert gaps.max() < 1e-9
    joined = tree.parents >= 0
    assert np.allclose(tree.starts[joined], tree.ends[tree.parents[joined]])


def test_vessels_taper_towards_their_ends() -> None:
    tree, _ = grown()
    joined = tree.parents >= 0
    assert np.all(tree.far_mm <= tree.near_mm + 1e-9)
    assert np.all(tree.near_mm[joined] <= tree.far_mm[tree.parents[joined]] + 1e-9)
    assert tree.near_mm.max() > 4 * tree.far_mm.min()


def test_what_hangs_on_a_cut_branch_goes_with_it() -> None:
    tree, _ = grown()
    wanted = np.ones(len(tree.starts), dtype=bool)
    wanted[5] = False
    cut = tree.keep(wanted)
    assert len(cut.starts) < len(tree.starts)
    joined = cut.parents >= 0
    assert np.allclose(cut.starts[joined], cut.ends[cut.parents[joined]])


def test_distance_is_to_the_axis() -> None:
    tree = Tree(
        starts=np.array([[0.0, 0, 0]]),
        ends=np.array([[10.0, 0, 0]]),
        near_mm=np.array([1.0]),
        far_mm=np.array([1.0]),
        parents=np.array([-1]),
    )
    assert np.allclose(tree.distance_mm([5.0, 3.0, 4.0]), 5.0)
    assert np.allclose(tree.distance_mm([13.0, 0.0, 4.0]), 5.0)
