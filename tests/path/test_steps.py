"""The steps, one by one, on a real store."""

import dataclasses
from datetime import timedelta
from pathlib import Path

import pytest

from tests.domain.test_reading import make_reading
from tests.share.workitem_bodies import attributes
from tests.store.test_store import NOW, arrive
from tests.stores import open_store
from wetread.domain.fetching import FetchState
from wetread.domain.progress import DeliveryState, StudyState
from wetread.domain.reading import Outcome, Priority
from wetread.domain.workitem import Workitem, element
from wetread.errors import ConfigError
from wetread.fetch.pacs import Pacs
from wetread.infer.process import run_job
from wetread.match import default_rules, parse_rules
from wetread.registry import read_models, read_packages
from wetread.registry.lineup import Lineup
from wetread.steps import DeliverySteps, ReadingSteps
from wetread.steps.order import read_order
from wetread.steps.ordered_images import OrderedImages
from wetread.store import Store

STUDY = "1.2.5"


@pytest.fixture
def store(tmp_path: Path):
    opened = open_store(tmp_path / "data")
    opened.intake.accept(arrive(opened, 1))
    yield opened
    opened.close()


def make_steps(store: Store, rules=None) -> ReadingSteps:
    return ReadingSteps(
        store=store,
        lineup=Lineup(read_packages(), store.model_states),
        rules=rules or default_rules(),
        destinations={},
        run_job=run_job,
        clock=lambda: NOW,
        default_quiet_s=10.0,
    )


def begin(store: Store, number: int) -> None:
    store.intake.accept(arrive(store, number, at=NOW + timedelta(seconds=number)))
    assert store.studies.begin_revision(STUDY, "quiet", NOW) is not None


def test_what_a_new_revision_cannot_read_is_retracted(store: Store) -> None:
    begin(store, 2)
    store.readings.save(dataclasses.replace(make_reading(), study_instance_uid=STUDY))
    begin(store, 3)
    steps = make_steps(store)
    assert steps.match(STUDY, 2) == []
    steps.finish(STUDY, 2)
    (current,) = store.readings.list_current([STUDY])[STUDY]
    assert (current.revision, current.outcome) == (2, Outcome.NOT_READ)
    assert current.problems
    row = store.studies.find(STUDY)
    assert row is not None
    assert row.state is StudyState.NOT_READ


def test_a_stop_leaves_an_earlier_reading_standing(store: Store) -> None:
    begin(store, 2)
    store.readings.save(dataclasses.replace(make_reading(), study_instance_uid=STUDY))
    begin(store, 3)
    make_steps(store).stop(STUDY, 2, "internal-error")
    (current,) = store.readings.list_current([STUDY])[STUDY]
    assert current.revision == 1
    assert [event.level for event in store.history.list_for_study(STUDY)] == ["problem"]


def test_a_revision_that_was_overtaken_is_not_read(store: Store) -> None:
    begin(store, 2)
    begin(store, 3)
    steps = make_steps(store)
    assert steps.is_newest(STUDY, 2)
    assert not steps.is_newest(STUDY, 1)
    assert [row.revision for row in store.studies.list_unfinished_revisions()] == [2]


def test_quiet_period_and_urgency_come_from_any_series(store: Store) -> None:
    rules = parse_rules(
        [
            {"name": "all CT", "models": ["chest-ct"], "modality": "CT"},
            {
                "name": "second series",
                "models": ["chest-ct"],
                "urgency": "stat",
                "quiet_s": 60,
                "when": [{"keyword": "SeriesNumber", "equals": 2}],
            },
        ]
    )
    arrived = arrive(store, 9)
    header = {**arrived.instance.header, "SeriesNumber": 2}
    instance = dataclasses.replace(arrived.instance, series_instance_uid="1.2.9", header=header)
    steps = make_steps(store, rules)
    assert steps.quiet_s(STUDY) == 10.0
    store.intake.accept(dataclasses.replace(arrived, instance=instance))
    assert steps.quiet_s(STUDY) == 60.0
    assert steps.urgency(STUDY) is Priority.STAT


def test_a_destination_that_is_configured_no_more_says_so(store: Store) -> None:
    steps = DeliverySteps(store=store, destinations={}, clock=lambda: NOW)
    with pytest.raises(ConfigError, match="configured no more"):
        steps.send(STUDY, 1, "old-pacs")
    assert not steps.needs_delivery(STUDY, 1, "old-pacs")
    assert store.deliveries.list_by_state(DeliveryState.WAITING) == []


@pytest.mark.parametrize(
    ("retrieve_aet", "sources", "wanted"),
    [("", None, ["first"]), ("SECOND", None, ["second"]), ("UNKNOWN", None, []), ("", ("CT1",), [])],
)
def test_what_a_workitem_lacks_is_fetched_once_from_who_has_it(
    store: Store, retrieve_aet: str, sources: tuple[str, ...] | None, wanted: list[str]
) -> None:
    place = {"0040E021": element("SQ", {"00080054": element("AE", retrieve_aet)})} if retrieve_aet else {}
    inputs = element("SQ", {"0020000D": element("UI", "1.2.99"), **place})
    one = Workitem(uid="1.1", attributes=attributes(code="chest-ct", _00404021=inputs), sources=sources)
    order = read_order(one, read_models(), default_rules(), "WETREAD")
    assert order is not None
    woken: list[None] = []
    fetch = OrderedImages(
        fetches=store.fetches,
        pacs=tuple(Pacs(name=name, to=f"{name.upper()}@127.0.0.1:104") for name in ("first", "second")),
        clock=lambda: NOW,
        wanted=lambda: woken.append(None),
    )
    for _ in range(3):
        fetch(one, order, "1.2.99")
    assert [row.pacs for row in store.fetches.list_by_state(FetchState.WAITING)] == wanted
    assert len(woken) == len(wanted)
