"""Changed rules, tried on past studies: what is told is what the path would do, and nothing is done."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date

import pytest

from tests.api.conftest import Place, make_place
from tests.api.ct import send_ct
from tests.web.conftest import make_model
from wetread.contract.replay import Change, Replayed
from wetread.domain.model import Eligibility
from wetread.domain.study import study_key
from wetread.match import choose_urgency, match_study, parse_rules
from wetread.replay import CHUNK, Trial, replay
from wetread.store import Store

FIRST = make_model()
SECOND = replace(
    FIRST,
    identity=replace(FIRST.identity, name="second"),
    eligibility=Eligibility(modalities=("CT",), minimum_slices=2),
)
MODELS = {"chest-ct": FIRST, "second": SECOND}
NOW_RULES = [{"name": "chest", "models": ["chest-ct"], "level": "series", "body_part": "CHEST"}]
#: Name -> changed rules.
CHANGED = {
    "same": NOW_RULES,
    "other name": [{**NOW_RULES[0], "name": "thorax"}],
    "all of CT": [{"models": ["chest-ct"], "modality": "CT"}],
    "none": [{"models": ["chest-ct"], "modality": "MR"}],
    "other model": [{"models": ["second"], "level": "series", "body_part": "CHEST"}],
    "urgent": [{**NOW_RULES[0], "urgency": "urgent"}],
    "thin": [{"models": ["chest-ct"], "when": [{"keyword": "SliceThickness", "at_most": 1}]}],
    "study": [{"models": ["chest-ct"], "body_part": "CHEST"}],
    "head": [{"models": ["chest-ct"], "level": "series", "body_part": ["CHEST", "HEAD"], "urgency": "stat"}],
    "not registered": [*NOW_RULES, {"models": ["elsewhere"], "modality": "CT"}],
}  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = make_place(tmp_path_factory.mktemp("replay") / "data")
    yield made
    made.ward.store.close()


@pytest.fixture(scope="module")
def archive(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A chest, a head, a chest with two series, one thin, one that is mixed."""
    store, folder = place.ward.store, tmp_path_factory.mktemp("ct")
    send_ct(store, folder, "1.2.1", BodyPartExamined="CHEST")
    send_ct(store, folder, "1.2.2", BodyPartExamined="HEAD", StudyDate="20261101")
    send_ct(store, folder, "1.2.3", BodyPartExamined="CHEST")
    send_ct(store, folder, "1.2.3", series=2, BodyPartExamined="ABDOMEN", ConvolutionKernel="B31")
    send_ct(store, folder, "1.2.4", BodyPartExamined="HEAD", SliceThickness=0.6)
    send_ct(store, folder, "1.2.5", BodyPartExamined="CHEST")
    send_ct(store, folder, "1.2.5", series=2, BodyPartExamined="HEAD", PatientID="SOMEBODY-ELSE")
    return store


def trial(store: Store, changed: list[dict], **more: object) -> Trial:
    return Trial(store=store, models=MODELS, now=parse_rules(NOW_RULES), then=parse_rules(changed), **more)  # type: ignore[arg-type]


def changes(told: Replayed) -> dict[str, Change]:
    return {one.study_key: one.change for one in told.items}


def brute_force(store: Store, changed: list[dict]) -> dict[str, Change]:
    """Match every study in full under both, as the path does."""
    found = {}
    for row in store.studies.list_newest():
        study = store.studies.load(row.study_instance_uid)
        assert study is not None
        chosen, urgencies = [], []
        for rules in (parse_rules(NOW_RULES), parse_rules(changed)):
            match = match_study(study, MODELS, rules)
            chosen.append({one.model: one.series_instance_uid for one in match.chosen})
            urgencies.append(choose_urgency(study, rules)[0])
        before, after = chosen
        if before == after:
            change = Change.UNCHANGED if urgencies[0] is urgencies[1] else Change.OTHER_URGENCY
        elif before and after:
            change = Change.OTHER_MODEL
        else:
            change = Change.NEWLY_READ if after else Change.NO_LONGER_READ
        found[row.key] = change
    return found


@pytest.mark.parametrize("changed", CHANGED.values(), ids=CHANGED.keys())
def test_the_quick_way_says_what_the_whole_match_says(archive: Store, changed: list[dict]) -> None:
    expected = brute_force(archive, changed)
    told = replay(trial(archive, changed), limit=100)
    assert changes(told) == {key: one for key, one in expected.items() if one is not Change.UNCHANGED}
    whole = replay(trial(archive, changed, tells_unchanged=True), limit=100)
    assert changes(whole) == expected
    assert whole.summary == told.summary
    assert told.summary.unchanged == list(expected.values()).count(Change.UNCHANGED)


def test_each_kind_of_change_is_among_them(archive: Store) -> None:
    """Or the comparison above would prove nothing."""
    seen = {one for changed in CHANGED.values() for one in brute_force(archive, changed).values()}
    assert seen == set(Change)


def test_what_is_told_has_its_reasons_and_no_patient(archive: Store) -> None:
    told = replay(trial(archive, CHANGED["head"]), limit=100)
    by_key = {one.study_key: one for one in told.items}
    one = by_key[study_key("1.2.2")]
    assert (one.change, one.now.models, one.then.models) == (Change.NEWLY_READ, (), ("chest-ct",))
    assert (one.now.urgency.value, one.then.urgency.value) == ("routine", "stat")
    assert "BodyPartExamined must be CHEST, found 'HEAD'" in one.now.reasons[0]
    assert "5 slices" in one.then.reasons[0]
    text = repr(replay(trial(archive, CHANGED["head"], tells_unchanged=True), limit=100))
    for word in ("Doe", "SECRET-7", "SOMEBODY", "1.2.2"):
        assert word not in text, word


def test_batches_cover_everything_once(archive: Store) -> None:
    whole = replay(trial(archive, CHANGED["all of CT"]), limit=100)
    after, seen, counted = "", [], 0
    while True:
        batch = replay(trial(archive, CHANGED["all of CT"]), limit=2, after=after)
        seen += [one.study_key for one in batch.items]
        counted += sum(getattr(batch.summary, name.name.lower()) for name in Change)
        if batch.after is None:
            break
        after = batch.after
    assert seen == [one.study_key for one in whole.items]
    assert counted == 5


def test_time_and_date_bound_it(archive: Store) -> None:
    nothing = replay(trial(archive, CHANGED["none"]), limit=100, budget_s=0.0)
    assert not nothing.items
    since = replay(trial(archive, CHANGED["none"], since=date(2026, 11, 2)), limit=100)
    assert study_key("1.2.2") not in changes(since)
    assert sum(getattr(since.summary, one.name.lower()) for one in Change) == 4
    assert CHUNK > 5


def test_nothing_is_opened_and_nothing_is_changed(archive: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object) -> None:
        raise AssertionError("a file was opened")

    monkeypatch.setattr(type(archive.vault), "open", refuse)
    before = [archive.studies.find(f"1.2.{number}") for number in range(1, 6)]
    assert replay(trial(archive, CHANGED["all of CT"]), limit=100).items
    assert [archive.studies.find(f"1.2.{number}") for number in range(1, 6)] == before
    assert not archive.studies.list_revisions("1.2.1")


def test_the_api_answers_in_batches(place: Place, archive: Store) -> None:
    rules = [{"name": "thin", "models": ["chest-ct", "elsewhere"], "body_part": "HEAD", "level": "series"}]
    first = place.client.post("/api/v1/rules/replay", json={"rules": rules, "limit": 3}).json()
    assert first["unknown_models"] == ["elsewhere"]
    rest = place.client.post("/api/v1/rules/replay", json={"rules": rules, "after": first["after"]}).json()
    assert rest["after"] is None
    summaries = (first["summary"], rest["summary"])
    assert sum(sum(one.values()) for one in summaries) == 5
    # In force are the default rules: CT but for heads.
    assert {one["change"] for one in (*first["items"], *rest["items"])} == {"newly-read", "no-longer-read"}


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        ([{"models": ["chest-ct"], "modalty": "CT"}], "did you mean 'modality'?"),
        (
            [{"models": ["chest-ct"], "when": [{"keyword": "Modality", "matches": "(a+)+"}]}],
            "make it simpler",
        ),
        ([{"name": "x", "models": ["a"]}, {"name": "x", "models": ["a"]}], "same name"),
    ],
)
def test_a_rule_that_is_none_is_named(place: Place, rules: list[dict], told: str) -> None:
    answer = place.client.post("/api/v1/rules/replay", json={"rules": rules})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-rule")
    assert told in answer.json()["message"]
