"""The back-off: growing, bounded, the same for the same key."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wetread.deliver.retry import RetryPlan

PLAN = RetryPlan()


@given(st.integers(1, PLAN.tries - 1), st.text())
def test_every_wait_is_bounded_and_repeatable(attempts: int, key: str) -> None:
    wait_s = PLAN.delay_s(attempts, key)
    assert wait_s is not None
    assert 5.0 <= wait_s <= 3600.0 * 1.2
    assert wait_s == PLAN.delay_s(attempts, key)


def test_it_starts_quickly_and_lasts_for_days() -> None:
    waits = [PLAN.delay_s(attempts, "k") for attempts in range(1, PLAN.tries)]
    assert all(wait is not None for wait in waits)
    assert waits[0] < 7  # type: ignore[operator]
    assert 3 * 86400 < sum(wait or 0 for wait in waits) < 6 * 86400
    assert PLAN.delay_s(PLAN.tries, "k") is None


def test_keys_do_not_come_at_once() -> None:
    assert len({PLAN.delay_s(6, str(number)) for number in range(50)}) == 50


def test_no_try_no_wait() -> None:
    with pytest.raises(ValueError):
        PLAN.delay_s(0)
