"""The most urgent study first, and none is overtaken for ever."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from wetread.domain.progress import StudyState
from wetread.domain.reading import Priority
from wetread.worklist import HEAD_STARTS, PRIORITIES, Entry, HeadStarts, describe_duration, rank

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)

times = st.timedeltas(timedelta(days=-30), timedelta(0)).map(lambda ago: NOW + ago)
priorities = st.sampled_from(Priority)
scores = st.floats(0, 1)
entries = st.builds(
    Entry,
    study_instance_uid=st.text("0123456789.", min_size=1, max_size=12),
    state=st.sampled_from(StudyState),
    priority=priorities,
    score=scores,
    waiting_since=times,
    finding_count=st.integers(0, 3),
    is_reread=st.booleans(),
)
lists = st.lists(entries, max_size=12, unique_by=lambda one: one.study_instance_uid)


def make_entry(uid: str = "1.2", waiting: timedelta = timedelta(hours=1), **changes) -> Entry:
    values = {"study_instance_uid": uid, "state": StudyState.READ, "waiting_since": NOW - waiting}
    return Entry(**(values | changes))


def order(*given_entries: Entry) -> list[str]:
    return [one.entry.study_instance_uid for one in rank(given_entries, NOW)]


@given(lists, st.randoms(use_true_random=False))
def test_the_order_is_total_and_does_not_depend_on_the_input_order(some, random) -> None:
    shuffled = list(some)
    random.shuffle(shuffled)
    ranked = rank(some, NOW)
    assert ranked == rank(shuffled, NOW)
    assert [one.position for one in ranked] == list(range(1, len(some) + 1))
    assert {one.entry.study_instance_uid for one in ranked} == {one.study_instance_uid for one in some}


@given(lists, st.timedeltas(timedelta(0), timedelta(days=400)))
def test_rows_move_only_when_something_happened(some, later) -> None:
    before = [one.entry for one in rank(some, NOW)]
    assert [one.entry for one in rank(some, NOW + later)] == before


@given(entries, lists, st.timedeltas(timedelta(seconds=1), timedelta(days=9)))
def test_nothing_starves(one, others, later) -> None:
    """Whatever arrives after the horizon, however urgent, comes behind: at some time the study is first."""
    after = one.waiting_since + HEAD_STARTS.horizon + later
    crowd = [
        make_entry(f"new{n}", priority=each.priority, score=each.score, state=each.state, waiting_since=after)
        for n, each in enumerate(others)
    ]
    assert rank([*crowd, one], NOW)[0].entry == one


@given(lists.filter(bool))
def test_the_longest_waiting_are_first_at_last(some) -> None:
    """A reader who always takes the first, while stat studies pour in, reaches everyone in bounded time."""
    now, left, pending = NOW, {one.study_instance_uid for one in some}, list(some)
    for step in range(200):
        if not left:
            break
        now += timedelta(minutes=30)
        stat = make_entry(f"stat{step}", priority=Priority.STAT, score=1.0, waiting_since=now)
        pending.append(stat)
        taken = rank(pending, now)[0].entry
        pending.remove(taken)
        left.discard(taken.study_instance_uid)
    assert not left
    assert now - NOW <= HEAD_STARTS.horizon + timedelta(minutes=30) * (len(some) + 1)


@given(entries, priorities, scores)
def test_higher_priority_at_equal_wait_comes_first(one, priority, score) -> None:
    assume(PRIORITIES.index(priority) < PRIORITIES.index(one.priority))
    other = make_entry("0", priority=priority, score=score, state=one.state, waiting_since=one.waiting_since)
    assume(score > 0 or one.score < 1)
    assert order(one, other)[0] == "0"


@given(scores, scores, st.timedeltas(timedelta(0), timedelta(hours=71, minutes=59)))
def test_stat_stays_before_routine_for_three_days(stat_score, routine_score, waited) -> None:
    routine = make_entry("0", waiting=waited, score=routine_score)
    stat = make_entry("1", waiting=timedelta(0), priority=Priority.STAT, score=stat_score)
    assert order(routine, stat) == ["1", "0"]


def test_beyond_the_longest_wait_routine_comes_before_stat() -> None:
    routine = make_entry("0", waiting=timedelta(hours=73, minutes=1))
    stat = make_entry("1", waiting=timedelta(0), priority=Priority.STAT, score=1.0)
    ranked = rank([stat, routine], NOW)
    assert ranked[0].entry == routine
    assert ranked[0].raised_to is Priority.STAT
    assert ranked[0].reasons == ("waiting 3 d 1 h: raised to stat",)


def test_raised_means_before_every_newcomer_of_that_priority() -> None:
    routine = make_entry("0", waiting=HEAD_STARTS.urgent + HEAD_STARTS.score_span)
    urgent = make_entry("1", waiting=timedelta(0), priority=Priority.URGENT, score=1.0)
    ranked = rank([urgent, routine], NOW)
    assert {one.entry.study_instance_uid: one.raised_to for one in ranked} == {
        "0": Priority.URGENT,
        "1": None,
    }


def test_what_no_model_read_comes_before_what_was_read_and_is_routine() -> None:
    read = make_entry("0")
    unread = make_entry("1", state=StudyState.NOT_READ, problems=("A slice is missing.",))
    assert order(read, unread) == ["1", "0"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"state": StudyState.ARRIVING}, "arriving"),
        ({"state": StudyState.READING}, "being read"),
        ({"state": StudyState.READING, "is_reread": True}, "being read, more images than were read before"),
        ({"state": StudyState.READ}, "read, nothing found"),
        ({"state": StudyState.READ, "finding_count": 1}, "read, 1 finding"),
        ({"state": StudyState.READ, "finding_count": 3}, "read, 3 findings"),
        ({"state": StudyState.NOT_READ, "problems": ("No CT.",)}, "not read, because: No CT."),
        ({"state": StudyState.NOT_READ}, "not read"),
    ],
)
def test_the_states_are_told_apart_in_words(changes, words) -> None:
    assert rank([make_entry(**changes)], NOW)[0].state_words == words


def test_reasons_come_first_then_the_wait() -> None:
    entry = make_entry(
        priority=Priority.STAT,
        reasons=("Pneumothorax, right, 180 ml",),
        waiting=timedelta(hours=3, minutes=20),
    )
    assert rank([entry], NOW)[0].reasons == ("Pneumothorax, right, 180 ml", "waiting 3 h 20 min")


@pytest.mark.parametrize(
    ("minutes", "words"),
    [(-5, "less than 1 min"), (0, "less than 1 min"), (1, "1 min"), (60, "1 h"), (200, "3 h 20 min"),
     (1440, "1 d"), (1500, "1 d 1 h")],
)  # fmt: skip
def test_durations_in_words(minutes, words) -> None:
    assert describe_duration(timedelta(minutes=minutes)) == words


def test_what_cannot_be_ranked_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        make_entry(waiting_since=datetime(2026, 1, 1))  # noqa: DTZ001
    with pytest.raises(ValueError, match="score"):
        make_entry(score=1.5)
    with pytest.raises(ValueError, match="head start"):
        HeadStarts(urgent=timedelta(minutes=10))
