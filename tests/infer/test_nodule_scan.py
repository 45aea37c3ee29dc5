"""The network of ``lung-nodule`` over whole lungs: the same as plane by plane, and its parts as a Reading."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.store.test_store import NOW
from wetread.domain.problem import ProblemCode
from wetread.domain.reading import Outcome
from wetread.domain.volume import Grid, Volume
from wetread.errors import InvalidPackage
from wetread.infer.lung_nodule import nodule_map
from wetread.infer.nodule_lungs import MARGIN, iter_tiles, mark_lungs
from wetread.infer.nodule_scan import CARD, read_network, read_scan, split_map
from wetread.infer.request import ReadRequest
from wetread.registry.package import read_models

MODEL = read_models()["lung-nodule-scan"]
NETWORK = read_models()["lung-nodule"]


def scan(planes: int = 11, side: int = 192) -> tuple[np.ndarray, np.ndarray]:
    """Two dark ellipses in tissue, a bright ball in one of them; HU and lungs."""
    _, row, column = np.mgrid[:planes, :side, :side]
    lungs = np.zeros((planes, side, side), bool)
    for middle in (0.27, 0.73):
        lungs |= ((row - side / 2) / (0.3 * side)) ** 2 + ((column - middle * side) / (0.16 * side)) ** 2 < 1
    voxels = np.where(lungs, -850, 40).astype(np.int16)
    ball = (row - 96) ** 2 + (column - 52) ** 2 + (3 * (np.arange(planes)[:, None, None] - 5)) ** 2 < 7**2
    voxels[ball] = 20
    noise = np.random.default_rng(0).normal(0, 15, voxels.shape)
    return (voxels + noise).astype(np.int16), lungs


def test_lungs_are_marked_as_whole_planes_are() -> None:
    voxels, lungs = scan()
    whole = nodule_map(NETWORK, voxels)
    found = mark_lungs(NETWORK, voxels, lungs)
    assert found.shape == voxels.shape
    assert (found[~lungs] == 0).all()
    least = NETWORK.parameters["outline_from"]
    one, other = found >= least, (whole >= least) & lungs
    assert other.sum() > 50
    assert 2 * (one & other).sum() / (one.sum() + other.sum()) >= 0.97


def test_planes_without_lung_do_not_go_through(monkeypatch: pytest.MonkeyPatch) -> None:
    voxels, lungs = scan()
    lungs[:] = False

    def refuse(_model: object) -> None:
        return None

    monkeypatch.setattr("wetread.infer.nodule_lungs.open_session", refuse)
    assert not mark_lungs(NETWORK, voxels, lungs).any()


def test_each_lung_has_a_tile_with_a_margin() -> None:
    _, lungs = scan()
    shadow = lungs.any(axis=0)
    tiles = list(iter_tiles(shadow))
    covered = np.zeros_like(shadow)
    for tile in tiles:
        covered[tile] = True
    assert len(tiles) in (1, 2)
    assert covered[shadow].all()
    rows = np.flatnonzero(shadow.any(axis=1))
    assert min(one[0].start for one in tiles) <= rows[0] - MARGIN


def test_a_recipe_that_needs_the_whole_image_is_refused() -> None:
    voxels, lungs = scan()
    changed = replace(NETWORK, recipe=({"kind": "otsu"},))
    with pytest.raises(InvalidPackage, match="by_plane"):
        mark_lungs(changed, voxels, lungs)


def test_another_network_than_the_package_names_is_refused() -> None:
    assert read_network(MODEL).identity == NETWORK.identity
    with pytest.raises(InvalidPackage, match="install it anew"):
        read_network(replace(MODEL, card={**MODEL.card, CARD: "0" * 64}))


def test_parts_are_told_the_surest_first_and_those_that_are_not_sure_are_none() -> None:
    probability = np.zeros((4, 20, 20), np.float32)
    probability[1:3, 2:5, 2:5] = 0.9
    probability[1:3, 10:13, 10:13] = 0.97
    probability[1:3, 16:18, 16:18] = 0.7
    parts = split_map(NETWORK, probability, 0.88, 2.0)
    assert [round(one.probability, 2) for one in parts] == [0.97, 0.9]
    assert parts[0].volume_mm3 == pytest.approx(18 * 2.0)


def request(voxels: np.ndarray) -> ReadRequest:
    grid = Grid(
        shape=voxels.shape,
        spacing_mm=(3.0, 0.7, 0.7),
        origin_lps_mm=(0.0, 0.0, 0.0),
        directions=((0, 0, 1), (0, 1, 0), (1, 0, 0)),
    )
    return ReadRequest(
        study_instance_uid="1.2.3",
        series_instance_uid="1.2.3.1",
        revision=1,
        model=MODEL,
        volume=Volume(voxels=voxels, grid=grid),
        made_at=NOW,
    )


def test_images_without_lungs_are_not_read() -> None:
    reading = read_scan(request(np.full((6, 64, 64), 40, np.int16)))
    assert reading.outcome is Outcome.NOT_READ
    assert [one.code for one in reading.problems] == [ProblemCode.NO_LUNGS_FOUND]


@pytest.mark.parametrize("is_downward", [False, True])
def test_what_the_network_marks_is_told_where_it_lies(
    is_downward: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    voxels, lungs = scan()
    monkeypatch.setattr("wetread.infer.nodule_scan.find_thorax", lambda _coarse: "thorax")
    monkeypatch.setattr("wetread.infer.nodule_scan.segment_lungs", lambda *_: lungs.astype(np.int8))
    asked = request(voxels)
    if is_downward:
        # The same patient, whose slices came from the head down, each row by row from the back on.
        grid = replace(
            asked.volume.grid,
            origin_lps_mm=(0.0, 191 * 0.7, 10 * 3.0),
            directions=((0, 0, -1), (0, -1, 0), (1, 0, 0)),
        )
        turned = np.ascontiguousarray(voxels[::-1, ::-1])
        asked = replace(asked, volume=Volume(voxels=turned, grid=grid))
    reading = read_scan(asked)
    assert reading.outcome is Outcome.READ
    ball_mm = np.array([52 * 0.7, 96 * 0.7, 5 * 3.0])
    nearest = min(reading.findings, key=lambda one: np.linalg.norm(one.center_lps_mm - ball_mm))
    assert np.linalg.norm(nearest.center_lps_mm - ball_mm) < 3.0
    assert nearest.probability is not None
    assert nearest.probability >= 0.88
    least = replace(MODEL, output=replace(MODEL.output, most_findings=1))
    few = read_scan(replace(asked, model=least))
    told = [one.code for one in few.problems]
    assert (ProblemCode.TOO_MANY_CANDIDATES in told) == (len(reading.findings) > 1)
    assert few.findings[0].probability == max(one.probability for one in reading.findings)
