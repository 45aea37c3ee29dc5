"""Thresholds by place: chosen on a real report's curve, shown before they are kept, named by Readings."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.dicom.small_ct import SmallCt, write_ct
from tests.infer.networks import threshold_segmenter, write_package
from tests.infer.test_by_task import OUTPUT
from tests.lab.test_validate import BYTES, GATE
from tests.path.test_model_states import Desk
from tests.promoted import make_live
from tests.registry.versions import NAME, validate, write_version
from tests.stores import open_store
from wetread.cli import app
from wetread.domain.reading import Reading
from wetread.errors import ConfigError, NoCurve, StateRefused
from wetread.registry.lineup import Lineup
from wetread.registry.operating import choose, show_effect
from wetread.registry.report import Report, read_report
from wetread.stats.operating import Aim, Wish
from wetread.store.audit_rows import AuditRows
from wetread.store.operating_points import Scope


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    model = write_version(tmp_path / "package", "1.0.0", gate=GATE + OUTPUT)
    store = open_store(tmp_path / "data")
    make_live(store, model)
    yield Desk(store, tmp_path, Lineup([model], store.model_states))
    store.close()


@pytest.fixture
def report(desk: Desk, tmp_path: Path) -> Report:
    return read_report(validate(tmp_path / "package", tmp_path / "report"))


def read(desk: Desk, number: int, grey: float, station: str = "CT1") -> Reading:
    """Have a study of one grey be read; the brighter, the more probable."""
    uid = f"2.25.78.{number}"
    # Not all of one value: such images are refused as blank.
    board = np.indices((3, 8, 8)).sum(axis=0) % 2 * 20 - 10
    stored = (board + round(grey) + 1024).astype(np.int16)

    def name_station(ds, _plane: int) -> None:
        ds.StationName, ds.InstitutionName = station, "North"

    ct = SmallCt(shape=(3, 8, 8), stored=stored, study_uid=uid, series_uid=f"{uid}.1", edit=name_station)
    desk.take_in(write_ct(desk.folder / f"grey{number}", ct))
    desk.read_study(uid)
    [row] = desk.store.readings.list_for_study(uid)
    return desk.store.readings.load(row.digest)


def keep(desk: Desk, report: Report, wish: Wish, scope: Scope = Scope.EVERYWHERE, place: str = "") -> str:
    decision = desk.board.decide()
    point, _ = choose(desk.lineup.packages[0], report, wish, decision, scope=scope, place=place)
    desk.store.operating_points.set(point, decision.actor)
    return point.title


def test_the_curve_of_a_report_is_that_of_its_images(desk: Desk, report: Report, tmp_path: Path) -> None:
    arrays = np.load(tmp_path / "report.npz")
    curve = report.metrics["operating_curve"]
    assert [one["threshold"] for one in curve] == sorted((one["threshold"] for one in curve), reverse=True)
    means = arrays["images"].mean(axis=(1, 2))
    truth = arrays["labels"] == 1
    for one in curve[:: max(1, len(curve) // 10)]:
        # Every image of one class is as grey as its sorted place says.
        called = round(one["sensitivity"] * truth.sum()) + round((1 - one["specificity"]) * (~truth).sum())
        darkest = np.sort(means)[::-1][called - 1]
        assert (means[truth] >= darkest).mean() == pytest.approx(one["sensitivity"], abs=0.03)


def test_the_narrowest_place_counts_and_readings_name_the_point(desk: Desk, report: Report) -> None:
    before = read(desk, 1, 128)
    assert before.operating_point == "default"
    assert len(before.findings) == 1
    strict = keep(desk, report, Wish(aim=Aim.SPECIFICITY, value=0.99))
    assert read(desk, 2, 128).findings == ()
    loose = keep(desk, report, Wish(aim=Aim.SENSITIVITY, value=0.99), Scope.DEVICE, "CT2")
    north = keep(desk, report, Wish(aim=Aim.SENSITIVITY, value=0.6), Scope.SITE, "North")
    # The device's before the site's before that of everywhere.
    assert read(desk, 3, 60, station="CT2").operating_point == loose
    assert read(desk, 4, 60, station="CT1").operating_point == north
    assert "device CT2" in loose
    assert "site" not in strict
    [old] = desk.store.readings.list_for_study("2.25.78.1")
    assert desk.store.readings.load(old.digest) == before, "what was read stays as it was said"


def test_its_effect_on_past_readings_is_counted_as_reading_again_would_find(
    desk: Desk, report: Report
) -> None:
    greys = (20, 60, 90, 110, 128, 140, 170, 220)
    past = [read(desk, number, grey) for number, grey in enumerate(greys, 1)]
    model = desk.lineup.packages[0]
    for value in (0.8, 0.95, 1.0):
        for aim in (Aim.SENSITIVITY, Aim.SPECIFICITY):
            point, _ = choose(model, report, Wish(aim=aim, value=value), desk.board.decide())
            effect = show_effect(desk.store, model, point)
            said = [one.measurements["finding_probability_percent"] / 100 for one in past]
            was, would = [p >= 0.5 for p in said], [p >= point.threshold for p in said]
            assert (effect.readings, effect.unknown) == (len(greys), 0)
            assert effect.appear == sum(w and not b for b, w in zip(was, would, strict=True))
            assert effect.vanish == sum(b and not w for b, w in zip(was, would, strict=True))
    elsewhere, _ = choose(
        model,
        report,
        Wish(aim=Aim.SENSITIVITY, value=1.0),
        desk.board.decide(),
        scope=Scope.DEVICE,
        place="CT9",
    )
    assert show_effect(desk.store, model, elsewhere).readings == 0


def test_what_no_curve_stands_behind_is_refused(desk: Desk, report: Report, tmp_path: Path) -> None:
    model, decision = desk.lineup.packages[0], desk.board.decide()
    for wish in (
        Wish(aim=Aim.SENSITIVITY, value=1.5),
        Wish(aim=Aim.PPV, value=0.5),
        Wish(aim=Aim.ALERTS, value=5, prevalence=0.1),
    ):
        with pytest.raises(StateRefused):
            choose(model, report, wish, decision)
    with pytest.raises(StateRefused, match="Name the device"):
        choose(model, report, Wish(aim=Aim.SENSITIVITY, value=0.9), decision, scope=Scope.DEVICE, place=" ")
    other = write_version(tmp_path / "other", "2.0.0", gate=GATE + OUTPUT)
    with pytest.raises(NoCurve, match="another package"):
        choose(other, report, Wish(aim=Aim.SENSITIVITY, value=0.9), decision)
    masks = write_package(
        tmp_path / "masks",
        threshold_segmenter(),
        'kind = "segmentation"\nthreshold = 0.65',
        more=BYTES + OUTPUT,
    )
    with pytest.raises(NoCurve):
        choose(masks, report, Wish(aim=Aim.SENSITIVITY, value=0.9), decision)


def run(*words: object) -> str:
    done = CliRunner().invoke(app, ["models", *map(str, words)])
    if done.exception is not None:
        raise done.exception
    return done.stdout


@pytest.mark.sqlite
def test_the_command_shows_before_it_keeps(desk: Desk, report: Report, tmp_path: Path) -> None:
    read(desk, 1, 128)
    config = tmp_path / "wetread.toml"
    config.write_text(f'data = "data"\nmodels = ["{tmp_path / "package"}"]\n')
    words = ["operating-point", NAME, "--report", tmp_path / "report", "--config", config]
    words += ["--why", "Fewer alarms."]
    told = run(*words, "--specificity", 0.99, "--device", "CT1")
    assert "on the curve: sensitivity" in told
    assert "of 1 past readings: 0 findings would appear, 1 would vanish" in told
    assert "Nothing was kept" in told
    assert desk.store.operating_points.list_all() == []
    assert "Kept" in run(*words, "--specificity", 0.99, "--device", "CT1", "--yes")
    assert read(desk, 2, 128).findings == ()
    assert "Kept" in run(*words, "--as-packaged", "--device", "CT1", "--yes")
    assert len(read(desk, 3, 128).findings) == 1
    points = json.loads(run("show", NAME, "--config", config))["operating_points"]
    assert [(one["threshold"] == 0.5, one["place"], one["why"]) for one in points] == [
        (True, "CT1", "Fewer alarms."),
        (False, "CT1", "Fewer alarms."),
    ]
    audited = [row.message for row in AuditRows(desk.store.engine).list_last(20)]
    assert sum("reads with" in message for message in audited) == 2
    for wrong in (
        ["--sensitivity", 0.9, "--ppv", 0.3],
        [],
        ["--sensitivity", 0.9, "--device", "a", "--site", "b"],
    ):
        with pytest.raises(ConfigError):
            run(*words, *wrong)
