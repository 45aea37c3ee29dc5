"""Versions side by side: promoted by a real report, retired, rolled back; told and audited, or nothing."""

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.registry.versions import NAME, Board, validate, write_version
from tests.stores import open_store
from wetread.domain.lifecycle import Cause, ModelState
from wetread.domain.model import Model
from wetread.errors import (
    GateNotPassed,
    InvalidPackage,
    NoGate,
    StateRefused,
    StorageError,
    UnknownModel,
    WrongReport,
)
from wetread.registry import read_packages
from wetread.registry.lineup import Lineup
from wetread.registry.promotion import promote, restore, retire, roll_back
from wetread.registry.report import Report, read_report
from wetread.store import Store
from wetread.store.audit_rows import AuditRows

DRAFT, VALIDATED, SHADOW, LIVE, RETIRED = ModelState
BUILT_IN = "chest-ct"


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> tuple[tuple[Model, ...], dict[str, Report]]:
    """Three versions and their reports."""
    folder = tmp_path_factory.mktemp("shelf")
    versions = ("1.0.0", "1.1.0", "2.0.0")
    models = tuple(write_version(folder / version, version) for version in versions)
    reports = {v: read_report(validate(folder / v, folder / f"report-{v}")) for v in versions}
    return models, reports


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path / "data")
    yield opened
    opened.close()


@pytest.fixture
def board() -> Board:
    return Board()


@pytest.fixture
def lineup(store: Store, shelf) -> Lineup:
    return Lineup((*read_packages(), *shelf[0]), store.model_states)


@pytest.fixture
def reports(shelf) -> dict[str, Report]:
    return shelf[1]


def to_live(lineup: Lineup, board: Board, version: str, report: Report) -> None:
    promote(lineup, NAME, VALIDATED, board.decide(), version=version, report=report)
    promote(lineup, NAME, SHADOW, board.decide(), version=version)
    promote(lineup, NAME, LIVE, board.decide(), version=version)


def states(lineup: Lineup, name: str = NAME) -> dict[str, ModelState]:
    entries = [one for one in lineup.entries() if one.model.identity.name == name]
    return {one.model.identity.version: one.state for one in entries}


def live_version(lineup: Lineup) -> str:
    model = lineup.now()[NAME]
    return model.identity.version if model.may_read else ""


def test_a_report_leads_up_the_steps_and_each_is_told_with_who_when_and_why(
    lineup: Lineup, board: Board, reports: dict[str, Report], store: Store
) -> None:
    assert live_version(lineup) == ""
    to_live(lineup, board, "1.0.0", reports["1.0.0"])
    assert live_version(lineup) == "1.0.0"
    rows = store.model_states.list_all()
    assert [(row.state, row.cause) for row in rows] == [
        (VALIDATED, Cause.PROMOTED),
        (SHADOW, Cause.PROMOTED),
        (LIVE, Cause.PROMOTED),
    ]
    assert {(row.who, row.why) for row in rows} == {("anna", "It is better.")}
    assert [row.at for row in rows] == sorted({row.at for row in rows})
    assert [row.report_digest for row in rows] == [reports["1.0.0"].digest, "", ""]
    told = [event.message for event in store.history.list_newest()]
    assert told[0] == "my-model 1.0.0 promoted: live now. It is better."
    audited = [row.message for row in AuditRows(store.engine).list_last(10)]
    assert sum(rows[0].digest in message and 'UserID="anna"' in message for message in audited) == 3


def test_the_report_is_recomputed_and_must_be_about_this_very_package(
    lineup: Lineup, board: Board, reports: dict[str, Report], tmp_path: Path, shelf
) -> None:
    with pytest.raises(WrongReport):
        promote(lineup, NAME, VALIDATED, board.decide(), version="1.0.0", report=reports["1.1.0"])
    forged = dict(reports["1.0.0"].metrics) | {"auc": {"value": 0.99, "low": 0.5, "high": 1.0}}
    assert forged["gate"]["passed"] is True
    (tmp_path / "metrics.json").write_text(json.dumps(forged))
    with pytest.raises(GateNotPassed, match=r"auc=0.5, 0.6 wanted"):
        promote(lineup, NAME, VALIDATED, board.decide(), version="1.0.0", report=read_report(tmp_path))
    for broken in ("", "[]", "{}", '{"model": {"digest": 3}}', "[" * 100_000):
        (tmp_path / "metrics.json").write_text(broken)
        with pytest.raises(WrongReport, match="no readable"):
            read_report(tmp_path)
    missing = {key: value for key, value in reports["1.0.0"].metrics.items() if key != "auc"}
    (tmp_path / "metrics.json").write_text(json.dumps(missing))
    with pytest.raises(GateNotPassed, match="auc=nan"):
        promote(lineup, NAME, VALIDATED, board.decide(), version="1.0.0", report=read_report(tmp_path))
    assert states(lineup)["1.0.0"] is DRAFT


def test_a_package_that_asks_for_nothing_is_not_promoted(store: Store, board: Board, tmp_path: Path) -> None:
    model = write_version(tmp_path / "p", "1.0.0", gate="")
    report = read_report(validate(tmp_path / "p", tmp_path / "report"))
    with pytest.raises(NoGate) as caught:
        promote(Lineup([model], store.model_states), NAME, VALIDATED, board.decide(), report=report)
    assert caught.value.code == "no-gate"


def test_what_no_report_speaks_for_stays_where_it_is(lineup: Lineup, board: Board) -> None:
    for to in (VALIDATED, SHADOW, LIVE, DRAFT):
        with pytest.raises(StateRefused):
            promote(lineup, NAME, to, board.decide(), version="1.0.0")
    with pytest.raises(StateRefused, match="Say why"):
        board.decide(" ")
    assert lineup.states.list_all() == []


def test_a_folder_is_not_live_because_its_author_says_so(store: Store, board: Board, tmp_path: Path) -> None:
    for word in ("live", "shadow", "validated"):
        model = write_version(tmp_path / word, "1.0.0", state=word)
        lineup = Lineup([model], store.model_states)
        assert states(lineup) == {"1.0.0": VALIDATED}
        told = lineup.now()[NAME].withheld
        assert told == "" if word == "validated" else f"calls my-model 1.0.0 {word}" in told
        # Nor does its author's word replace the report.
        with pytest.raises(StateRefused, match="no validation report"):
            promote(lineup, NAME, SHADOW, board.decide())


def test_one_is_live_and_going_back_twice_leads_back_twice(
    lineup: Lineup, board: Board, reports: dict[str, Report]
) -> None:
    with pytest.raises(StateRefused, match="No version"):
        roll_back(lineup, NAME, board.decide())
    for version in ("1.0.0", "1.1.0", "2.0.0"):
        to_live(lineup, board, version, reports[version])
        assert [state for state in states(lineup).values() if state is LIVE] == [LIVE]
        assert live_version(lineup) == version
    for version in ("1.1.0", "1.0.0"):
        done = roll_back(lineup, NAME, board.decide("It sees nothing."))
        assert (done.version, done.cause, live_version(lineup)) == (version, Cause.ROLLED_BACK, version)
    with pytest.raises(StateRefused, match="No version"):
        roll_back(lineup, NAME, board.decide())
    assert states(lineup) == {"1.0.0": LIVE, "1.1.0": VALIDATED, "2.0.0": VALIDATED}
    causes = [row.cause for row in lineup.states.list_all()][-4:]
    assert causes == [Cause.WITHDRAWN, Cause.ROLLED_BACK] * 2


def test_what_was_retired_is_no_way_back_and_needs_a_new_report(
    lineup: Lineup, board: Board, reports: dict[str, Report], shelf, tmp_path: Path
) -> None:
    to_live(lineup, board, "1.0.0", reports["1.0.0"])
    to_live(lineup, board, "1.1.0", reports["1.1.0"])
    retire(lineup, NAME, board.decide("It harms."), version="1.0.0")
    with pytest.raises(StateRefused, match="No version"):
        roll_back(lineup, NAME, board.decide())
    with pytest.raises(StateRefused, match="new validation report"):
        promote(lineup, NAME, VALIDATED, board.decide(), version="1.0.0", report=reports["1.0.0"])
    folder = Path(shelf[0][0].folder)
    again = read_report(validate(folder, tmp_path / "again", seed=1))
    promote(lineup, NAME, VALIDATED, board.decide(), version="1.0.0", report=again)
    assert states(lineup)["1.0.0"] is VALIDATED
    retire(lineup, NAME, board.decide(), version="1.1.0")
    assert live_version(lineup) == ""


def test_a_step_back_by_hand_is_undone_by_rolling_back(lineup: Lineup, board: Board) -> None:
    """What Wetread brings along and calls live has been live."""
    promote(lineup, BUILT_IN, VALIDATED, board.decide("For a look."))
    assert not lineup.now()[BUILT_IN].may_read
    with pytest.raises(StateRefused, match="no validation report"):
        promote(lineup, BUILT_IN, SHADOW, board.decide())
    roll_back(lineup, BUILT_IN, board.decide())
    assert lineup.now()[BUILT_IN].may_read


def test_a_new_package_of_wetread_is_not_live_where_somebody_decided(
    store: Store, board: Board, tmp_path: Path
) -> None:
    """An upgrade brings another digest: it may not undo what the site decided."""
    packages = read_packages()
    lineup = Lineup(packages, store.model_states)
    retire(lineup, BUILT_IN, board.decide())
    newer = [_renewed(one) for one in packages]
    upgraded = Lineup(newer, store.model_states)
    assert list(states(upgraded, BUILT_IN).values()) == [VALIDATED]
    assert not upgraded.now()[BUILT_IN].may_read
    # Where nothing was decided it goes on.
    other = open_store(tmp_path / "other")
    assert Lineup(newer, other.model_states).now()[BUILT_IN].may_read
    other.close()


def _renewed(model: Model) -> Model:
    return replace(model, identity=replace(model.identity, digest=model.identity.digest[::-1]))


def test_who_does_not_have_the_live_version_reads_with_no_other(
    lineup: Lineup, board: Board, reports: dict[str, Report], store: Store, shelf
) -> None:
    to_live(lineup, board, "1.0.0", reports["1.0.0"])
    to_live(lineup, board, "1.1.0", reports["1.1.0"])
    elsewhere = Lineup(shelf[0][:1], store.model_states)
    model = elsewhere.now()[NAME]
    assert not model.may_read
    assert "my-model 1.1.0 is not registered in this process" in model.withheld
    # One that is there takes the place of the one that is not.
    roll_back(elsewhere, NAME, board.decide())
    assert live_version(lineup) == "1.0.0"
    to_live(lineup, board, "2.0.0", reports["2.0.0"])
    retire(lineup, NAME, board.decide(), version="2.0.0")
    only_first = Lineup(shelf[0][1:], store.model_states)
    with pytest.raises(UnknownModel, match="not registered here any more"):
        roll_back(only_first, NAME, board.decide())


def test_versions_are_named_where_there_are_several(lineup: Lineup, board: Board, tmp_path: Path) -> None:
    with pytest.raises(UnknownModel, match="name one as my-model@VERSION"):
        retire(lineup, NAME, board.decide())
    for name, version in (("nobody", ""), (NAME, "9.9.9")):
        with pytest.raises(UnknownModel):
            retire(lineup, name, board.decide(), version=version)
    with pytest.raises(UnknownModel):
        roll_back(lineup, "nobody", board.decide())
    write_version(tmp_path / "one", "1.0.0")
    write_version(tmp_path / "other", "1.0.0", gate="")
    with pytest.raises(InvalidPackage, match="a version of its own"):
        read_packages([tmp_path / "one", tmp_path / "other"])


def test_who_decides_at_the_same_moment_leaves_one_live(
    lineup: Lineup, board: Board, reports: dict[str, Report], store: Store
) -> None:
    versions = ("1.0.0", "1.1.0", "2.0.0")
    for version in versions:
        promote(lineup, NAME, VALIDATED, board.decide(), version=version, report=reports[version])
        promote(lineup, NAME, SHADOW, board.decide(), version=version)
    barrier = threading.Barrier(3)
    decisions = {version: board.decide() for version in versions}

    def race(version: str) -> None:
        barrier.wait()
        promote(lineup, NAME, LIVE, decisions[version], version=version)

    racers = [threading.Thread(target=race, args=(version,)) for version in versions]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert sorted(states(lineup).values()) == [LIVE, VALIDATED, VALIDATED]
    last = [row for row in store.model_states.list_all() if row.state is LIVE][-1]
    assert live_version(lineup) == last.version


def test_what_cannot_be_audited_is_not_decided(
    lineup: Lineup, board: Board, reports: dict[str, Report], store: Store
) -> None:
    to_live(lineup, board, "1.0.0", reports["1.0.0"])
    before = store.model_states.list_all()
    (store.data / "audit.key").unlink()
    reopened = Lineup(lineup.packages, open_store(store.data).model_states)
    with pytest.raises(StorageError):
        promote(reopened, NAME, SHADOW, board.decide(), version="1.0.0")
    assert reopened.states.list_all() == before
    reopened.states.engine.dispose()


def test_only_what_is_out_of_service_is_restored(lineup: Lineup, board: Board) -> None:
    with pytest.raises(StateRefused, match="in service"):
        restore(lineup, NAME, board.decide(), version="1.0.0")
