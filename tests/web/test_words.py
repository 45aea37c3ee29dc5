"""Stored values in words."""

from datetime import UTC, date, datetime

import pytest

from wetread.domain.progress import DeliveryState
from wetread.web import words
from wetread.web.listing import describe_deliveries
from wetread.web.match_view import match_views


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        ("Doe^Jane^Ann^Dr^PhD", "Doe, Jane Ann"),
        ("Doe", "Doe"),
        ("^Jane", "Jane"),
        ("", "no name"),
        ("^^^^", "no name"),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "Yamada, Tarou (山田, 太郎)"),
        ("=山田^太郎", "山田, 太郎"),
    ],
)
def test_names(stored: str, shown: str) -> None:
    assert words.format_name(stored) == shown


@pytest.mark.parametrize(
    ("birth_date", "shown"),
    [("19620411", "64 y"), ("19621124", "63 y"), ("20250801", "15 mo"), ("20261123", "0 mo"), ("", ""),
     ("20270101", ""), ("1962", ""), ("00000000", "")],
)  # fmt: skip
def test_ages(birth_date: str, shown: str) -> None:
    assert words.format_age(birth_date, date(2026, 11, 23)) == shown


@pytest.mark.parametrize(
    ("day", "shown"),
    [("20261123", "today"), ("20261122", "yesterday"), ("20261121", "2026-11-21"), ("20261124", "2026-11-24"),
     ("", ""), ("x", "x")],
)  # fmt: skip
def test_days(day: str, shown: str) -> None:
    assert words.format_day(day, datetime(2026, 11, 23, 12, tzinfo=UTC)) == shown


@pytest.mark.parametrize(
    ("counts", "level", "told"),
    [
        ({DeliveryState.WAITING: 3}, "waiting", "waiting"),
        ({DeliveryState.WAITING: 1, DeliveryState.SENT: 2}, "waiting", "1 of 3 waiting"),
        ({DeliveryState.REFUSED: 1, DeliveryState.WAITING: 2}, "trouble", "1 of 3 refused"),
        ({DeliveryState.FAILED: 3}, "trouble", "failed"),
        ({DeliveryState.SENT: 1, DeliveryState.VERIFIED: 2}, "done", "delivered"),
        ({DeliveryState.VERIFIED: 2}, "done", "delivered, checked"),
        ({DeliveryState.VERIFIED: 2, DeliveryState.SUPERSEDED: 1}, "done", "delivered, checked"),
        ({DeliveryState.SUPERSEDED: 1}, "waiting", "superseded"),
    ],
)
def test_deliveries_are_summed_up_without_promising(counts, level: str, told: str) -> None:
    mark = describe_deliveries("PACS", counts)
    assert (mark.level, mark.words) == (level, told)


@pytest.mark.parametrize(
    "match", [None, {}, {"models": None}, {"models": [1, {}]}, {"models": [{"series": "x"}]}]
)
def test_any_match_can_be_shown(match) -> None:
    assert all(not one.is_chosen for one in match_views(match, {}))
