"""Lung-RADS v2022: every row, every threshold at, just below and just above it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.measure.guidelines.exams import ask, later, nodule, visit
from wetread.errors import InvalidExam
from wetread.measure.guidelines.lung_rads import ROWS

# Type, status, mean diameter, more -> category. 5.94 is 5.9, 5.95 is 6.0: half up, to 0.1 mm.
SIZES: list[tuple[str, str, float, dict[str, Any], str]] = [
    ("solid", "baseline", 5.9, {}, "2"),
    ("solid", "baseline", 5.94, {}, "2"),
    ("solid", "baseline", 5.95, {}, "3"),
    ("solid", "baseline", 6.0, {}, "3"),
    ("solid", "baseline", 7.9, {}, "3"),
    ("solid", "baseline", 8.0, {}, "4A"),
    ("solid", "baseline", 14.9, {}, "4A"),
    ("solid", "baseline", 15.0, {}, "4B"),
    ("solid", "new", 3.9, {}, "2"),
    ("solid", "new", 4.0, {}, "3"),
    ("solid", "new", 5.9, {}, "3"),
    ("solid", "new", 6.0, {}, "4A"),
    ("solid", "new", 7.9, {}, "4A"),
    ("solid", "new", 8.0, {}, "4B"),
    ("solid", "growing", 5.0, {}, "4A"),
    ("solid", "growing", 7.9, {}, "4A"),
    ("solid", "growing", 8.0, {}, "4B"),
    ("solid", "slow-growing", 5.0, {}, "4B"),
    ("part-solid", "baseline", 5.9, {"solid_mean_diameter_mm": 4}, "2"),
    ("part-solid", "baseline", 6.0, {"solid_mean_diameter_mm": 5.9}, "3"),
    ("part-solid", "baseline", 9, {"solid_mean_diameter_mm": 6.0}, "4A"),
    ("part-solid", "baseline", 9, {"solid_mean_diameter_mm": 7.9}, "4A"),
    ("part-solid", "baseline", 9, {"solid_mean_diameter_mm": 8.0}, "4B"),
    ("part-solid", "new", 5.9, {"solid_mean_diameter_mm": 2}, "3"),
    ("part-solid", "new", 6.0, {"solid_mean_diameter_mm": 3.9}, "4A"),
    ("part-solid", "new", 6.0, {"solid_mean_diameter_mm": 4.0}, "4B"),
    ("part-solid", "new", 5.0, {"solid_mean_diameter_mm": 4.0}, "4B"),
    ("part-solid", "growing", 9, {"solid_mean_diameter_mm": 3.9}, "4A"),
    ("part-solid", "growing", 9, {"solid_mean_diameter_mm": 4.0}, "4B"),
    ("part-solid", "growing", 9, {"solid_mean_diameter_mm": 5.5}, "4B"),
    ("part-solid", "slow-growing", 9, {"solid_mean_diameter_mm": 3}, "4B"),
    ("ground-glass", "baseline", 29.9, {}, "2"),
    ("ground-glass", "new", 29.9, {}, "2"),
    ("ground-glass", "growing", 29.9, {}, "2"),
    ("ground-glass", "slow-growing", 29.9, {}, "2"),
    ("ground-glass", "baseline", 30.0, {}, "3"),
    ("ground-glass", "new", 30.0, {}, "3"),
    ("ground-glass", "stable", 30.0, {}, "2"),
    ("ground-glass", "slow-growing", 30.0, {}, "2"),
    ("ground-glass", "growing", 30.0, {}, "3"),
]


def by_status(status: str, one: dict[str, Any]) -> str | None:
    if status == "baseline":
        return ask("lung-rads", one).category
    return later("lung-rads", one | {"status": status}).category


@pytest.mark.parametrize(("kind", "status", "mean", "more", "category"), SIZES)
def test_sizes(kind: str, status: str, mean: float, more: dict[str, Any], category: str) -> None:
    assert by_status(status, nodule(kind, mean, **more)) == category


VOLUMES = [
    ("solid", "baseline", 112, "2"),
    ("solid", "baseline", 112.5, "3"),
    ("solid", "baseline", 113, "3"),
    ("solid", "baseline", 267, "3"),
    ("solid", "baseline", 268, "4A"),
    ("solid", "baseline", 1766, "4A"),
    ("solid", "baseline", 1767, "4B"),
    ("solid", "new", 33, "2"),
    ("solid", "new", 34, "3"),
    ("solid", "new", 113, "4A"),
    ("solid", "new", 268, "4B"),
    ("solid", "growing", 267, "4A"),
    ("solid", "growing", 268, "4B"),
    ("ground-glass", "baseline", 14136, "2"),
    ("ground-glass", "baseline", 14137, "3"),
]


@pytest.mark.parametrize(("kind", "status", "volume", "category"), VOLUMES)
def test_volumes_decide_where_there_are_no_diameters(
    kind: str, status: str, volume: float, category: str
) -> None:
    assert by_status(status, nodule(kind, volume_mm3=volume)) == category


def test_diameters_go_before_volumes_and_both_are_told() -> None:
    answer = ask("lung-rads", nodule("solid", 5.9, volume_mm3=300))
    assert answer.category == "2"
    assert answer.per_nodule[0].category_by_volume == "4A"


@pytest.mark.parametrize(
    ("mean", "features", "category"),
    [
        (9.9, ["juxtapleural", "smooth", "oval"], "2"),
        (9.9, ["juxtapleural", "smooth", "lentiform"], "2"),
        (9.9, ["juxtapleural", "smooth", "triangular"], "2"),
        (10.0, ["juxtapleural", "smooth", "oval"], "4A"),
        (9.9, ["juxtapleural", "smooth"], "4A"),
        (9.9, ["juxtapleural", "oval"], "4A"),
        (9.9, ["smooth", "oval"], "4A"),
        (20, ["benign-calcification"], "1"),
        (20, ["fat"], "1"),
        (7, ["spiculation"], "4X"),
        (7, ["lymphadenopathy"], "4X"),
        (20, ["metastasis"], "4X"),
        (5, ["spiculation"], "2"),
    ],
)
def test_features(mean: float, features: list[str], category: str) -> None:
    assert ask("lung-rads", nodule("solid", mean, features=features)).category == category


@pytest.mark.parametrize(
    ("level", "status", "category"),
    [
        ("subsegmental", "baseline", "2"),
        ("subsegmental", "growing", "2"),
        ("segmental", "baseline", "4A"),
        ("proximal", "baseline", "4A"),
        ("segmental", "new", "4A"),
        ("segmental", "stable", "4B"),
        ("proximal", "growing", "4B"),
    ],
)
def test_airways(level: str, status: str, category: str) -> None:
    assert by_status(status, nodule("airway", airway_level=level)) == category


CYSTS = [
    ("thin", "single", "none", None),
    ("thin", "single", "growing", None),
    ("thin", "single", "more-loculated", "4A"),
    ("thin", "multiple", "none", "4A"),
    ("thin", "multiple", "growing", "4B"),
    ("thin", "multiple", "more-loculated", "4B"),
    ("thin", "multiple", "more-opacity", "4B"),
    ("thick", "single", "none", "4A"),
    ("thick", "single", "growing", "3"),
    ("thick", "single", "more-loculated", "4A"),
    ("thick", "single", "more-opacity", "4B"),
    ("thick", "multiple", "none", "4A"),
    ("thick", "multiple", "growing", "4B"),
    ("thick", "multiple", "more-loculated", "4B"),
    ("thick", "multiple", "more-opacity", "4B"),
]


@pytest.mark.parametrize(("wall", "locules", "change", "category"), CYSTS)
def test_cysts(wall: str, locules: str, change: str, category: str | None) -> None:
    cyst = {"wall": wall, "locules": locules, "change": change}
    answer = later("lung-rads", nodule("cyst", cyst=cyst, status="stable"))
    assert answer.per_nodule[0].category == category
    assert answer.category == (category or "1")


# Earlier exams -> now: growth is more than 1.5 mm within 12 months.
GROWTH = [
    ([visit("2025-12-01", 6.0)], 7.5, "stable"),
    ([visit("2025-12-01", 6.0)], 7.6, "growing"),
    ([visit("2025-12-01", 6.04)], 7.55, "growing"),
    ([visit("2025-06-01", 6.0)], 7.6, "growing"),
    # 13 months: 1.6 mm are 1.48 mm in a year; 1.7 are 1.57.
    ([visit("2025-05-01", 6.0)], 7.6, "slow-growing"),
    ([visit("2025-05-01", 6.0)], 7.7, "growing"),
    ([visit("2024-06-01", 6.0)], 9.0, "slow-growing"),
    ([visit("2024-06-01", 6.0)], 9.2, "growing"),
    ([visit("2024-06-01", 5.0), visit("2025-06-01", 6.0)], 7.0, "slow-growing"),
    ([visit("2024-06-01", 5.0), visit("2025-06-01", 6.0)], 6.5, "stable"),
    # It grew once, and not since: neither fast nor slow now.
    ([visit("2024-06-01", 5.0), visit("2025-06-01", 8.2)], 8.2, "stable"),
    ([visit("2025-12-01", 8.0)], 6.5, "stable"),
    ([visit("2025-12-01", 8.0)], 6.4, "decreased"),
    ([visit("2025-12-01", 8.0)], 0, "resolved"),
    ([], 7.0, "new"),
]


@pytest.mark.parametrize(("history", "mean", "status"), GROWTH)
def test_the_status_comes_from_the_history(history: list[dict[str, Any]], mean: float, status: str) -> None:
    answer = later("lung-rads", nodule("solid", mean, history=history))
    assert answer.per_nodule[0].status == status


@pytest.mark.parametrize(
    ("kind", "history", "mean", "more", "category"),
    [
        ("solid", [visit("2025-12-01", 7.0, category="3")], 7.0, {}, "2"),
        ("solid", [visit("2026-02-01", 7.0, category="3")], 7.0, {}, "3"),
        ("solid", [visit("2026-03-01", 9.0, category="4A")], 9.0, {}, "3"),
        ("solid", [visit("2026-05-01", 9.0, category="4A")], 9.0, {}, "4A"),
        ("solid", [visit("2026-03-01", 9.0, category="4A")], 7.0, {}, "3"),
        # By its size then, where no category was noted.
        ("solid", [visit("2025-12-01", 7.0)], 7.0, {}, "2"),
        ("solid", [visit("2026-03-01", 9.0)], 9.0, {}, "3"),
        (
            "solid",
            [visit("2025-09-01", 9.0, category="4A"), visit("2025-12-01", 9.0, category="3")],
            9.0,
            {},
            "2",
        ),
        ("solid", [visit("2025-06-01", 9.0, category="2")], 9.0, {}, "2"),
        ("solid", [visit("2026-03-01", 16.0, category="4B")], 16.0, {}, "4B"),
        (
            "part-solid",
            [visit("2026-03-01", 9, solid_mean_diameter_mm=7)],
            9,
            {"solid_mean_diameter_mm": 7},
            "3",
        ),
        # Ground glass that got a solid part.
        (
            "part-solid",
            [visit("2025-12-01", 9, solid_mean_diameter_mm=0)],
            9,
            {"solid_mean_diameter_mm": 3},
            "4A",
        ),
        (
            "part-solid",
            [visit("2025-12-01", 9, solid_mean_diameter_mm=0)],
            9,
            {"solid_mean_diameter_mm": 4},
            "4B",
        ),
        # The whole grows, its solid part does not.
        (
            "part-solid",
            [visit("2025-12-01", 9, solid_mean_diameter_mm=3)],
            11,
            {"solid_mean_diameter_mm": 3},
            "3",
        ),
        (
            "part-solid",
            [visit("2025-12-01", 9, solid_mean_diameter_mm=3)],
            9,
            {"solid_mean_diameter_mm": 4.6},
            "4B",
        ),
        (
            "airway",
            [visit("2026-03-01", category="4A")],
            None,
            {"airway_level": "segmental", "status": "stable"},
            "4B",
        ),
    ],
)
def test_what_was_before_counts(
    kind: str, history: list[dict[str, Any]], mean: float | None, more: dict[str, Any], category: str
) -> None:
    assert later("lung-rads", nodule(kind, mean, history=history, **more)).category == category


def test_ground_glass_that_doubles_within_a_year() -> None:
    doubled = nodule("ground-glass", 31, history=[visit("2025-12-01", 15.5)])
    assert later("lung-rads", doubled).category == "4X"


def test_every_row_is_reached() -> None:
    met = set()
    for kind, status, mean, more, _ in SIZES:
        answer = (ask if status == "baseline" else later)(
            "lung-rads", nodule(kind, mean, **more) | ({} if status == "baseline" else {"status": status})
        )
        met.add(answer.rule)
    for wall, locules, change, _ in CYSTS:
        cyst = {"wall": wall, "locules": locules, "change": change}
        met.add(later("lung-rads", nodule("cyst", cyst=cyst, status="stable")).rule)
    for level in ("subsegmental", "segmental"):
        for status in ("new", "stable"):
            met.add(later("lung-rads", nodule("airway", airway_level=level, status=status)).rule)
        met.add(ask("lung-rads", nodule("airway", airway_level=level)).rule)
    met.add(ask("lung-rads", nodule("solid", 7, features=["juxtapleural", "smooth", "oval"])).rule)
    assert {row.id for row in ROWS} <= met


@pytest.mark.parametrize(
    ("exam", "rule", "months"),
    [
        ({"infection": True}, "0-infection", (1, 3)),
        ({"prior_pending": True}, "0-prior-pending", None),
        ({"evaluable": False}, "0-not-evaluable", None),
    ],
)
def test_incomplete(exam: dict[str, Any], rule: str, months: tuple[int, int] | None) -> None:
    answer = ask("lung-rads", nodule("solid", 20), **exam)
    assert (answer.category, answer.rule) == ("0", rule)
    assert (answer.next_exam.after_months if answer.next_exam else None) == months
    assert "4B" in answer.notes[0]


@pytest.mark.parametrize(
    ("mean", "months", "day"),
    [(5, (12, 12), "2027-06-01"), (7, (6, 6), "2026-12-01"), (9, (3, 3), "2026-09-01"), (16, None, None)],
)
def test_when_next(mean: float, months: tuple[int, int] | None, day: str | None) -> None:
    following = ask("lung-rads", nodule("solid", mean)).next_exam
    assert (following.after_months if following else None) == months
    assert (following.date.isoformat() if following else None) == day


def test_the_most_suspicious_decides_and_s_is_added() -> None:
    answer = ask(
        "lung-rads",
        nodule("solid", 5),
        nodule("solid", 9),
        nodule("ground-glass", 20),
        significant_other_finding=True,
    )
    assert (answer.category, answer.nodule, answer.modifiers) == ("4A", "n2", ("S",))
    assert [one.category for one in answer.per_nodule] == ["2", "4A", "2"]


def test_no_nodule() -> None:
    assert ask("lung-rads").category == "1"
    assert later("lung-rads", nodule("solid", status="resolved")).category == "1"


@pytest.mark.parametrize(
    ("one", "exam", "field"),
    [
        (nodule("solid", 9, status="stable", history=[visit("2026-03-01", 6)]), {}, "nodules[0].status"),
        (nodule("solid", 9, status="growing", history=[visit("2026-03-01", 9)]), {}, "nodules[0].status"),
        (nodule("solid", 9, status="new", history=[visit("2026-03-01", 9)]), {}, "nodules[0].status"),
        (nodule("solid", 9, status="baseline", history=[visit("2026-03-01", 9)]), {}, "nodules[0].status"),
        (nodule("solid", 9, status="resolved"), {}, "nodules[0].status"),
        (nodule("solid", 9, status="stable"), {"kind": "baseline"}, "nodules[0].status"),
        (nodule("solid", 9, status="baseline"), {"kind": "follow-up"}, "nodules[0].status"),
        (nodule("solid", 9, history=[visit("2026-06-01", 9)]), {}, "nodules[0].history[0].date"),
        (nodule("solid", 9, longest_diameter_mm=8), {}, "nodules[0].longest_diameter_mm"),
        (nodule("part-solid", 9, solid_mean_diameter_mm=10), {}, "nodules[0].solid_mean_diameter_mm"),
        (nodule("part-solid", 9), {}, "nodules[0].solid_mean_diameter_mm"),
        (nodule("solid"), {}, "nodules[0].mean_diameter_mm"),
        (nodule("solid", -1), {}, "nodules[0].mean_diameter_mm"),
        (nodule("airway"), {}, "nodules[0].airway_level"),
        (nodule("cyst"), {}, "nodules[0].cyst"),
        (nodule("solid", 9, longest_diametr_mm=10), {}, "nodules[0].longest_diametr_mm"),
        (nodule("solids", 9), {}, "nodules[0].type"),
        (nodule("solid", 9), {"context": "incidental"}, "exam.context"),
        (nodule("solid", 9), {"date": "01.06.2026"}, "exam.date"),
    ],
)
def test_what_is_wrong_is_named_and_not_answered(
    one: dict[str, Any], exam: dict[str, Any], field: str
) -> None:
    exam = {"kind": "follow-up"} | exam
    with pytest.raises(InvalidExam) as caught:
        ask("lung-rads", one, **exam)
    assert caught.value.facts["field"] == field
