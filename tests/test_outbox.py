"""What waits for a destination: tried by its table, drained in order when the destination is back."""

from wetread.outbox import Outbox, Parcel
from wetread.waits import Waits

HOUR_S = 3600.0


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def parcel(study: str, attempts: int = 6, destination: str = "pacs", *, is_unanswered: bool = True) -> Parcel:
    return Parcel(
        study=study,
        revision=1,
        destination=destination,
        attempts=attempts,
        version=f"{attempts}",
        wait_s=HOUR_S if attempts else 0.0,
        is_unanswered=is_unanswered,
    )


def begun() -> tuple[Outbox, Clock]:
    clock = Clock()
    outbox = Outbox(Waits(clock))
    outbox.take_due([], {})
    return outbox, clock


def test_a_start_tries_everything_in_order_of_arrival() -> None:
    outbox = Outbox(Waits(Clock()))
    waiting = [parcel("b"), parcel("a")]
    assert outbox.take_due(waiting, {}) == waiting
    assert outbox.take_due(waiting, {}) == []


def test_each_waits_its_time_and_the_new_one_does_not() -> None:
    outbox, clock = begun()
    assert outbox.take_due([parcel("a"), parcel("new", 0)], {"pacs": 5}) == [parcel("new", 0)]
    clock.now_s = HOUR_S - 1
    assert outbox.take_due([parcel("a")], {"pacs": 5}) == []
    clock.now_s = HOUR_S
    assert outbox.take_due([parcel("a")], {"pacs": 5}) == [parcel("a")]
    assert outbox.take_due([parcel("a", 7)], {"pacs": 5}) == []


def test_all_are_due_in_order_when_the_destination_answers_again() -> None:
    outbox, clock = begun()
    held = [parcel("c"), parcel("a"), parcel("b"), parcel("x", destination="other")]
    assert outbox.take_due(held, {"pacs": 5, "other": 1}) == []
    clock.now_s = 60.0
    assert [one.study for one in outbox.take_due(held, {"pacs": 6, "other": 1})] == ["c", "a", "b"]
    # Tried again without luck: the answer is older than this try.
    clock.now_s = 70.0
    tried = [parcel(one.study, 7) for one in held[:3]]
    assert outbox.take_due(tried, {"pacs": 6, "other": 1}) == []


def test_all_are_due_at_the_first_answer_that_a_destination_ever_gave() -> None:
    outbox, clock = begun()
    held = [parcel("a"), parcel("b")]
    assert outbox.take_due(held, {}) == []
    clock.now_s = 60.0
    assert outbox.take_due(held, {"pacs": 1}) == held


def test_a_document_that_is_not_wanted_now_is_not_tried_with_every_other() -> None:
    outbox, clock = begun()
    poison = [parcel("a", is_unanswered=False)]
    assert outbox.take_due(poison, {"pacs": 1}) == []
    clock.now_s = 60.0
    assert outbox.take_due(poison, {"pacs": 2}) == []
    clock.now_s = HOUR_S / 10
    assert outbox.take_due(poison, {"pacs": 3}) == poison


def test_it_tells_when_the_next_is_due() -> None:
    outbox, clock = begun()
    held = [parcel("a"), parcel("new", 0)]
    outbox.take_due(held, {})
    assert outbox.next_due_s(held) == HOUR_S
    clock.now_s = HOUR_S - 60
    assert outbox.next_due_s(held) == 60.0
    assert outbox.next_due_s([]) == float("inf")


def test_what_was_taken_and_not_tried_is_not_taken_with_every_look() -> None:
    outbox, clock = begun()
    new = [parcel("new", 0)]
    assert outbox.take_due(new, {}) == new
    clock.now_s = 1.0
    assert outbox.take_due(new, {}) == []
    clock.now_s = 10.0
    assert outbox.take_due(new, {}) == new
