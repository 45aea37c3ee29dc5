"""The growth curve says what was measured: a doubling is one step up, no change is flat."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from wetread.domain.comparison import PastSize, PriorComparison
from wetread.web.curve import HEIGHT, WIDTH, Visited, draw_curve, list_visits


def visit(day: str, volume: float, share: float = 1.1) -> Visited:
    return Visited(
        day=date.fromisoformat(day), volume_mm3=volume, low_mm3=volume / share, high_mm3=volume * share
    )


PRIOR = PriorComparison(
    study_instance_uid="1.2",
    volume_change_percent=100.0,
    volume_change_ci95=(60.0, 150.0),
    studied_on="2026-01-12",
    interval_days=90,
    history=(
        PastSize(study_instance_uid="1.1", studied_on="2025-10-14", volume_mm3=50.0, mean_diameter_mm=4.6),
        PastSize(study_instance_uid="1.2", studied_on="2026-01-12", volume_mm3=100.0, mean_diameter_mm=5.8),
    ),
)


def test_all_visits_stand_in_their_order_with_what_measuring_varies() -> None:
    visits = list_visits(PRIOR, 200.0)
    assert [(one.day.isoformat(), one.volume_mm3) for one in visits] == [
        ("2025-10-14", 50.0), ("2026-01-12", 100.0), ("2026-04-12", 200.0),
    ]  # fmt: skip
    # Two measurements that vary alike make the interval of the change: ln(2.5 / 1.6) / 2 / sqrt 2.
    assert visits[2].high_mm3 / 200.0 == pytest.approx(1.1709, abs=1e-3)
    assert visits[2].low_mm3 * visits[2].high_mm3 == pytest.approx(200.0**2)


def test_a_day_that_is_not_known_is_left_out() -> None:
    unknown = replace(PRIOR.history[0], studied_on="")
    assert len(list_visits(replace(PRIOR, history=(unknown, PRIOR.history[1])), 200.0)) == 2
    assert list_visits(replace(PRIOR, interval_days=None), 200.0) == ()


def test_a_doubling_is_one_step_up() -> None:
    curve = draw_curve(list_visits(PRIOR, 200.0), 90.0)
    ys = [one.y for one in curve.points]
    assert ys[0] - ys[1] == pytest.approx(ys[1] - ys[2], abs=0.2)
    steps = {one.volume: one.y for one in curve.steps}
    assert steps["50 mm³"] == ys[0]
    assert steps["100 mm³"] == ys[1]
    assert [one.x for one in curve.points][1] == pytest.approx(
        (curve.points[0].x + curve.points[2].x) / 2, abs=0.2
    )
    # Doubling in 90 days is what these visits do: the dashed line lies on them.
    start, end = (tuple(map(float, one.split(","))) for one in curve.doubling.split())
    assert start == pytest.approx((curve.points[0].x, ys[0]), abs=0.3)
    assert end == pytest.approx((curve.points[2].x, ys[2]), abs=0.3)
    assert curve.doubling_words == "doubles in 90 days"


def test_no_change_is_flat_and_a_little_is_little() -> None:
    flat = draw_curve([visit("2026-01-12", 300.0), visit("2026-04-12", 300.0)], None)
    assert flat.points[0].y == flat.points[1].y
    assert flat.doubling == flat.doubling_words == ""
    tenth = draw_curve([visit("2026-01-12", 300.0), visit("2026-04-12", 330.0)], None)
    assert 0 < tenth.points[0].y - tenth.points[1].y < 10


@pytest.mark.parametrize("volumes", [(5.0, 5000.0, 8.0), (1.0, 1.0, 1.0), (14000.0, 90.0, 9000.0)])
def test_everything_stays_on_the_drawing(volumes) -> None:
    days = ("2024-01-12", "2024-02-12", "2026-04-12")
    curve = draw_curve([visit(*one, share=1.6) for one in zip(days, volumes, strict=True)], None)
    for one in curve.points:
        assert 0 < one.x < WIDTH
        assert 0 < one.high_y <= one.y <= one.low_y < HEIGHT - 20
    assert 1 <= len(curve.steps) <= 7
    # The second day would lie on the first one's.
    assert [one.is_labelled for one in curve.points] == [True, False, True]


def test_there_is_no_curve_of_one_visit_or_of_one_day() -> None:
    assert draw_curve([visit("2026-01-12", 300.0)], None) is None
    assert draw_curve([visit("2026-01-12", 300.0), visit("2026-01-12", 310.0)], None) is None


def test_roles_without_names_see_years() -> None:
    curve = draw_curve(list_visits(PRIOR, 200.0), None).without_days()
    assert [one.day for one in curve.points] == ["2025", "2026", "2026"]
