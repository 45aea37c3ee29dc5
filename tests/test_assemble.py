"""A study is complete after silence, or when everything expected is here."""

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from wetread.assemble import Arrival, Completeness, check_completeness
from wetread.domain.notice import Told


def arrival(
    count: int = 10, covered: int = 0, expected: int | None = None, silence_s: float = 0.0
) -> Arrival:
    return Arrival(
        instance_count=count, covered_count=covered, expected_instances=expected, silence_s=silence_s
    )


def test_waits_for_the_quiet_period() -> None:
    early = check_completeness(arrival(silence_s=4.0), quiet_s=10.0)
    assert not early.is_complete
    assert early.wait_s == 6.0
    assert check_completeness(arrival(silence_s=10.0), quiet_s=10.0).is_complete


def test_the_expected_number_ends_the_wait() -> None:
    assert not check_completeness(arrival(9, expected=10), quiet_s=10.0).is_complete
    done = check_completeness(arrival(10, expected=10), quiet_s=10.0)
    assert done.is_complete
    assert done.cause == "all 10 expected images are here"


def test_who_told_the_number_is_said() -> None:
    told = Arrival(instance_count=9, covered_count=0, expected_instances=10, expected_by="pacs", silence_s=10)
    early = check_completeness(told, quiet_s=10.0)
    assert early.cause == "nothing more for 10 s, 1 of 10 expected images (told by pacs) is missing"
    done = check_completeness(dataclasses.replace(told, instance_count=10, silence_s=0.0), quiet_s=10.0)
    assert done.cause == "all 10 expected images (told by pacs) are here"


def test_late_slices_are_named() -> None:
    late = check_completeness(arrival(12, covered=10, silence_s=100.0), quiet_s=10.0)
    assert late.cause == "2 more images after the last reading, nothing more for 10 s"


def test_nothing_new_is_never_complete() -> None:
    assert not check_completeness(arrival(10, covered=10, silence_s=1e9), quiet_s=0.0).is_complete


@given(st.floats(0, 1e6), st.floats(0.1, 3600))
def test_asking_again_when_told_always_ends(silence_s: float, quiet_s: float) -> None:
    first = check_completeness(arrival(silence_s=silence_s), quiet_s=quiet_s)
    assert first.is_complete or 0 < first.wait_s <= quiet_s
    again = check_completeness(arrival(silence_s=silence_s + first.wait_s + 0.001), quiet_s=quiet_s)
    assert again.is_complete


def test_a_wrong_number_does_not_make_each_late_image_complete() -> None:
    assert not check_completeness(arrival(11, covered=10, expected=10), quiet_s=10.0).is_complete


def named(count: int = 10, covered: int = 0, silence_s: float = 0.0, **told: int) -> Completeness:
    one = arrival(count, covered, expected=count, silence_s=silence_s)
    return check_completeness(dataclasses.replace(one, told=Told(**told)), quiet_s=10.0)


def test_all_that_is_named_ends_the_wait() -> None:
    done = named(named_count=10, fresh_count=10, step_count=1)
    assert done.cause == "all 10 images that the modality's procedure step names are here (MPPS)"
    late = named(covered=8, named_count=10, fresh_count=2, step_count=2)
    assert late.cause == (
        "2 more images after the last reading,"
        " all 10 images that the modality's procedure steps name are here (MPPS)"
    )


def test_a_number_does_not_stand_for_a_name() -> None:
    assert not named(named_count=10, missing_count=1, fresh_count=9, step_count=1).is_complete
    assert not named(named_count=10, fresh_count=10, step_count=2, open_count=1).is_complete


@given(
    st.integers(0, 20), st.integers(0, 20), st.integers(0, 20), st.integers(0, 3), st.integers(0, 3),
    st.integers(1, 20),
)  # fmt: skip
def test_whatever_is_told_the_quiet_period_ends_it(
    named_count: int, missing: int, fresh: int, steps: int, open_count: int, count: int
) -> None:
    told = {
        "named_count": named_count,
        "missing_count": min(missing, named_count),
        "fresh_count": fresh,
        "step_count": max(steps, open_count),
        "open_count": open_count,
    }
    assert named(count, silence_s=10.0, **told).is_complete
    assert not named(count, covered=count, silence_s=10.0, **told).is_complete
