"""Thresholds on the parts of masks: chosen on the FROC curve of a report, and what they change."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.dicom.small_ct import SmallCt, write_ct
from tests.infer.networks import threshold_segmenter, write_package
from tests.infer.test_by_task import OUTPUT
from tests.lab.test_validate import BYTES
from tests.path.test_model_states import Desk
from tests.promoted import make_live
from tests.stores import open_store
from wetread.cli import app
from wetread.domain.model import Model
from wetread.domain.reading import Reading
from wetread.errors import NoCurve, StateRefused
from wetread.registry.lineup import Lineup
from wetread.registry.operating import as_packaged, choose, read_froc, show_effect
from wetread.registry.report import Report, read_report
from wetread.stats.operating import Aim, FrocPoint, Wish, choose_parts_point

SEGMENTS = 'kind = "segmentation"\nthreshold = 0.6'
#: Grey of what is true and of what is not, in the images of the report.
TRUE, FALSE = range(170, 250, 8), range(130, 190, 6)


def spots(*greys: int) -> np.ndarray:
    """Return an image with a block of each grey, (5, 32, 32)."""
    image = np.full((5, 32, 32), 20)
    for number, grey in enumerate(greys):
        image[1:4, 3:7, 4 + 9 * number : 8 + 9 * number] = grey
    return image


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    model = write_package(tmp_path / "package", threshold_segmenter(), SEGMENTS, more=BYTES + OUTPUT)
    store = open_store(tmp_path / "data")
    make_live(store, model)
    yield Desk(store, tmp_path, Lineup([model], store.model_states))
    store.close()


@pytest.fixture
def report(desk: Desk, tmp_path: Path) -> Report:
    images = np.stack([spots(*pair) for pair in zip(TRUE, FALSE, strict=True)]).astype(np.uint8)
    masks = np.zeros_like(images)
    masks[:, 1:4, 3:7, 4:8] = 1
    patients = [f"P{number}" for number in range(len(images))]
    np.savez(tmp_path / "data.npz", images=images, masks=masks, patients=patients)
    words = ["lab", "validate", str(tmp_path / "package"), str(tmp_path / "data.npz")]
    done = CliRunner().invoke(app, [*words, "--out", str(tmp_path / "report")])
    assert done.exit_code == 0, done.exception
    return read_report(tmp_path / "report")


def probability(grey: int) -> float:
    return float(1 / (1 + np.exp(-grey / 255)))


def read(desk: Desk, number: int, *greys: int) -> Reading:
    uid = f"2.25.79.{number}"
    stored = (spots(*greys) + 1024).astype(np.int16)
    ct = SmallCt(shape=stored.shape, stored=stored, study_uid=uid, series_uid=f"{uid}.1")
    desk.take_in(write_ct(desk.folder / f"spots{number}", ct))
    desk.read_study(uid)
    [row] = desk.store.readings.list_for_study(uid)
    return desk.store.readings.load(row.digest)


def keep(desk: Desk, report: Report, wish: Wish) -> float:
    decision = desk.board.decide()
    point, _ = choose(desk.lineup.packages[0], report, wish, decision)
    desk.store.operating_points.set(point, decision.actor)
    return point.threshold


def said(reading: Reading) -> list[float]:
    return [one.probability or 0.0 for one in reading.findings]


def test_the_point_is_that_of_the_curve_and_parts_below_it_are_none(desk: Desk, report: Report) -> None:
    model = desk.lineup.packages[0]
    curve = read_froc(model, report)
    sure = [one for one in TRUE if one > max(FALSE)]
    assert keep(desk, report, Wish(aim=Aim.FALSE_POSITIVES, value=0)) == pytest.approx(
        probability(min(sure)), abs=1e-4
    )
    assert max(one.sensitivity for one in curve if not one.false_positives) == len(sure) / len(TRUE)
    reading = read(desk, 1, 150, 178, 240)
    assert said(reading) == [pytest.approx(probability(240), abs=1e-3)]
    assert reading.operating_point.startswith("0 false positives an image")
    # The outline of what is left is the package's own: the point cuts no voxels.
    assert reading.segments[0].mask.voxel_count == 3 * 4 * 4
    keep(desk, report, Wish(aim=Aim.SENSITIVITY, value=1.0))
    assert len(read(desk, 2, 150, 178, 240).findings) == 2


def test_its_effect_is_counted_where_past_readings_can_tell(desk: Desk, report: Report) -> None:
    model = desk.lineup.packages[0]
    read(desk, 1, 150, 178, 240)
    read(desk, 2, 60)
    decision = desk.board.decide()
    strict, _ = choose(model, report, Wish(aim=Aim.FALSE_POSITIVES, value=0), decision)
    effect = show_effect(desk.store, model, strict)
    assert (effect.readings, effect.appear, effect.vanish, effect.unknown) == (2, 0, 2, 0)
    # As the package reads: nothing changes, and all is known.
    packaged = show_effect(desk.store, model, as_packaged(model, decision))
    assert (packaged.vanish, packaged.unknown) == (0, 0)
    desk.store.operating_points.set(strict, decision.actor)
    read(desk, 3, 150, 178, 240)
    back = show_effect(desk.store, model, as_packaged(model, desk.board.decide()))
    # What the stricter point left out is not kept: said, not guessed.
    assert (back.readings, back.unknown) == (3, 1)


def test_marks_a_day_are_false_ones_and_true_ones(desk: Desk, report: Report) -> None:
    model = desk.lineup.packages[0]
    wish = Wish(aim=Aim.ALERTS, value=60, prevalence=0.5, studies_a_day=100)
    point, given = choose(model, report, wish, desk.board.decide())
    assert isinstance(given, FrocPoint)
    curve = read_froc(model, report)
    allowed = [one for one in curve if 100 * (one.false_positives + 0.5 * one.sensitivity) <= 60]
    assert given.sensitivity == max(one.sensitivity for one in allowed)
    assert point.threshold == given.threshold


def test_what_the_curve_cannot_tell_is_refused(desk: Desk, report: Report, tmp_path: Path) -> None:
    model, decision = desk.lineup.packages[0], desk.board.decide()
    for wish in (
        Wish(aim=Aim.SPECIFICITY, value=0.9),
        Wish(aim=Aim.PPV, value=0.9, prevalence=0.5),
        Wish(aim=Aim.FALSE_POSITIVES, value=-1),
        Wish(aim=Aim.ALERTS, value=5, studies_a_day=100),
    ):
        with pytest.raises(StateRefused):
            choose(model, report, wish, decision)

    def with_runtime(**changed: str) -> Model:
        return replace(model, runtime=replace(model.runtime, **changed))

    for other in (
        with_runtime(kind="dicom-peer"),
        with_runtime(entry="a:b"),
        with_runtime(sample_entry="a:b"),
    ):
        with pytest.raises(NoCurve):
            choose(other, report, Wish(aim=Aim.SENSITIVITY, value=0.9), decision)


def test_of_points_that_fulfil_a_wish_the_one_that_costs_least_is_chosen() -> None:
    curve = [
        FrocPoint(threshold=0.9, sensitivity=0.5, false_positives=0.0),
        FrocPoint(threshold=0.8, sensitivity=0.9, false_positives=1.0),
        FrocPoint(threshold=0.7, sensitivity=0.95, false_positives=3.0),
    ]
    assert choose_parts_point(curve, Wish(aim=Aim.SENSITIVITY, value=0.9)) == curve[1]
    assert choose_parts_point(curve, Wish(aim=Aim.FALSE_POSITIVES, value=2.0)) == curve[1]
    assert choose_parts_point(curve, Wish(aim=Aim.SENSITIVITY, value=0.99)) is None
