"""How a version in the shadow compares with the live one: numbers that can be counted by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from sqlalchemy import update

from tests.domain.test_reading import make_reading
from tests.keeping.ward import send
from tests.promoted import make_live, make_shadow
from tests.registry.versions import Board
from tests.store.test_store import NOW
from tests.stores import open_store
from tests.web.conftest import make_model
from wetread.contract.shadow import ShadowComparison
from wetread.domain.lifecycle import ModelState
from wetread.domain.model import Model, ModelIdentity
from wetread.domain.problem import Problem, ProblemCode
from wetread.domain.progress import StudyState
from wetread.domain.reading import Outcome, Priority
from wetread.domain.shadow import Said, Spotted, shorten
from wetread.errors import UnknownModel
from wetread.registry.comparing import compare
from wetread.registry.lineup import Lineup
from wetread.registry.pairing import pair_findings
from wetread.registry.promotion import promote, retire
from wetread.stats.interval import wilson
from wetread.store import Store, schema

NAME = "nodules"


def version(number: str) -> Model:
    identity = ModelIdentity(name=NAME, version=number, digest=number[0] * 64)
    return replace(make_model(), identity=identity, state="draft", folder="/models/nodules")


LIVE, SHADOW, OTHER = version("1.0.0"), version("2.0.0"), version("3.0.0")


def spot(x: float, *, code: str = "1", size: float = 10.0, volume: float = 100.0) -> Spotted:
    return Spotted(
        label=f"thing {code}",
        code=code,
        scheme="99X",
        center_lps_mm=(x, 0.0, 0.0),
        size_mm=(size, size, size),
        measurements={"volume_mm3": volume},
    )


def say(model: Model, *findings: Spotted, **more: object) -> Said:
    said = Said(
        version=model.identity.version,
        digest=model.identity.digest,
        series_instance_uid="1.2.4",
        outcome=Outcome.READ,
        priority=Priority.ROUTINE,
        findings=findings,
        measurements={},
        seconds=10.0 if model is LIVE else 4.0,
    )
    return replace(said, **more)  # type: ignore[arg-type]


def refuse(model: Model, code: str = "slice-gap") -> Said:
    return say(model, outcome=Outcome.NOT_READ, codes=(code,), seconds=None)


@dataclass
class Site:
    store: Store
    lineup: Lineup
    count: int = 0

    def both(self, live: Said | None, shadow: Said, *, patient: str = "") -> str:
        """Have a study be read by both; each of a patient of its own, if nothing else is said."""
        self.count += 1
        send(self.store, self.count, 1, patient=patient or f"P{self.count}")
        study = f"1.2.{self.count}"
        begun = self.store.studies.begin_revision(study, "quiet", NOW)
        assert begun is not None
        self.store.studies.finish_revision(study, 1, StudyState.READ, NOW)
        ((entry, period),) = self.lineup.shadows()
        self.store.shadows.plan(study, 1, [(entry.model.identity, period)], NOW)
        row = self.store.shadows.find(study, 1, SHADOW.identity.digest)
        assert row is not None
        reading = replace(make_reading(), study_instance_uid=study, model=SHADOW.identity)
        self.store.shadows.save(row, reading, shadow, live, NOW)
        return study

    def compare(self) -> ShadowComparison:
        return compare(self.store, self.lineup, NAME)


@pytest.fixture
def make_site(tmp_path: Path) -> Iterator[Callable[..., Site]]:
    store = open_store(tmp_path / "data")

    def make(*live: Model) -> Site:
        make_live(store, *live)
        make_shadow(store, SHADOW)
        return Site(store, Lineup((*live, SHADOW), store.model_states))

    yield make
    store.close()


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Site:
    return make_site(LIVE)


def test_findings_are_paired_by_code_and_place_the_nearest_first() -> None:
    near, far, other = spot(0), spot(100), spot(0, code="2")
    assert pair_findings([near], [spot(5)]) == ([(near, spot(5))], [], [])
    assert pair_findings([near], [spot(5.1)])[0] == [], "of boxes of 10 mm the centres are within 5"
    assert pair_findings([near], [spot(9, size=18)])[0] == [(near, spot(9, size=18))], "the larger counts"
    assert pair_findings([spot(0, size=1)], [spot(4.9, size=1)])[0], "small ones may be 5 mm apart"
    assert pair_findings([near], [other]) == ([], [near], [other])
    # One is found twice: the nearer of the two is its pair, the other is left over.
    assert pair_findings([near, far], [spot(4), spot(1)]) == ([(near, spot(1))], [far], [spot(4)])
    # The order in which they are given changes nothing.
    assert pair_findings([far, near], [spot(1), spot(4)]) == ([(near, spot(1))], [far], [spot(4)])
    assert pair_findings([spot(0), spot(3)], [spot(2)]) == ([(spot(3), spot(2))], [spot(0)], [])


def test_what_was_read_and_found_is_counted(site: Site) -> None:
    for _ in range(6):
        site.both(say(LIVE, spot(0)), say(SHADOW, spot(1)))
    site.both(say(LIVE, spot(0)), say(SHADOW))
    site.both(say(LIVE), say(SHADOW, spot(0), spot(50, code="2")))
    site.both(say(LIVE), say(SHADOW))
    site.both(say(LIVE), refuse(SHADOW, "model-crashed"))
    site.both(refuse(LIVE), say(SHADOW))
    site.both(refuse(LIVE), refuse(SHADOW))
    told = site.compare()
    assert (told.name, told.version, told.series, told.waiting, told.counted) == (NAME, "2.0.0", 12, 0, 12)
    assert told.read is not None
    assert (told.read.both, told.read.only_live, told.read.only_shadow, told.read.neither) == (9, 1, 1, 1)
    expected = wilson(10, 12)
    assert told.read.agreement.n == 12
    assert told.read.agreement.value == pytest.approx(10 / 12)
    assert told.read.agreement.low == pytest.approx(expected.low)
    assert told.read.agreement.high == pytest.approx(expected.high)
    assert told.found is not None
    assert (told.found.both, told.found.only_live, told.found.only_shadow, told.found.neither) == (6, 1, 1, 1)
    assert [(one.label, one.both, one.only_live, one.only_shadow) for one in told.labels] == [
        ("thing 1", 6, 1, 1),
        ("thing 2", 0, 0, 1),
    ]
    assert told.labels[0].agreement.value == pytest.approx(6 / 8)
    assert told.live is not None
    assert (told.live.version, told.live.failures) == ("1.0.0", {"slice-gap": 2})
    assert told.shadow.failures == {"model-crashed": 1, "slice-gap": 1}
    assert told.shadow.read.value == pytest.approx(10 / 12)
    assert told.shadow.findings_a_series.value == pytest.approx(8 / 10)
    assert (told.live.seconds.value, told.shadow.seconds.value) == (10.0, 4.0)
    assert told.seconds is not None
    assert (told.seconds.n, told.seconds.value) == (9, -6.0)


def test_measurements_of_what_both_found_are_compared(site: Site) -> None:
    apart = [-4.0, 0.0, 2.0, 6.0, 16.0]
    for one in apart:
        live = say(LIVE, spot(0, volume=100), measurements={"lung_volume_ml": 5000.0})
        site.both(live, say(SHADOW, spot(0, volume=100 + one), measurements={"lung_volume_ml": 5010.0}))
    volume, lung = site.compare().differences
    assert (volume.of_findings, volume.measurement, volume.mean.n) == (True, "volume_mm3", 5)
    assert (lung.of_findings, lung.measurement, lung.mean.value) == (False, "lung_volume_ml", 10.0)
    mean = sum(apart) / 5
    deviation = (sum((one - mean) ** 2 for one in apart) / 4) ** 0.5
    assert volume.mean.value == pytest.approx(mean)
    assert volume.low.value == pytest.approx(mean - 1.959964 * deviation, rel=1e-5)
    assert volume.high.value == pytest.approx(mean + 1.959964 * deviation, rel=1e-5)
    assert volume.mean.low is not None
    assert volume.mean.high is not None
    assert volume.mean.low < mean < volume.mean.high


def test_priorities_that_differ_are_named(site: Site) -> None:
    for _ in range(3):
        site.both(say(LIVE), say(SHADOW))
    site.both(say(LIVE, priority=Priority.STAT), say(SHADOW, priority=Priority.STAT))
    study = site.both(say(LIVE, priority=Priority.STAT), say(SHADOW))
    site.both(say(LIVE, priority=Priority.STAT), refuse(SHADOW))
    priorities = site.compare().priorities
    assert priorities is not None
    assert (priorities.agreement.n, priorities.agreement.value, priorities.differing) == (5, 0.8, 1)
    [case] = priorities.cases
    assert (case.study_instance_uid, case.live, case.shadow) == (study, Priority.STAT, Priority.ROUTINE)
    assert priorities.kappa.value == pytest.approx(1 - (2 / 5) / (2 * (2 / 5 * 4 / 5 + 3 / 5 * 1 / 5)))


def test_studies_of_one_patient_are_no_independent_cases(site: Site, tmp_path: Path) -> None:
    for number in range(20):
        shadow = say(SHADOW, spot(0)) if number < 10 else say(SHADOW)
        site.both(say(LIVE, spot(0)), shadow, patient="ONE" if number < 10 else "TWO")
    told = site.compare().found
    assert told is not None
    alone = wilson(10, 20)
    assert told.agreement.value == 0.5
    assert told.agreement.low is not None
    assert told.agreement.low < alone.low - 0.1


def test_without_a_live_version_its_own_numbers_are_told(make_site) -> None:
    site: Site = make_site()
    site.both(None, say(SHADOW, spot(0), spot(50)))
    site.both(None, refuse(SHADOW))
    told = site.compare()
    assert (told.live, told.read, told.labels, told.priorities) == (None, None, (), None)
    assert (told.shadow.read.n, told.shadow.read.value) == (2, 0.5)
    assert told.shadow.findings_a_series.value == 2.0


def test_versions_and_series_are_not_mixed(make_site) -> None:
    site: Site = make_site(LIVE, OTHER)
    site.both(say(LIVE), say(SHADOW))
    site.both(say(OTHER), say(SHADOW))
    site.both(say(OTHER), say(SHADOW, series_instance_uid="1.2.99"))
    site.both(None, say(SHADOW))
    told = site.compare()
    assert told.live is not None
    assert (told.live.version, told.live.read.n, told.counted, told.not_comparable) == ("3.0.0", 1, 4, 2)


def test_what_waits_is_told_and_replaced_rows_do_not_count(site: Site) -> None:
    study = site.both(say(LIVE), say(SHADOW))
    send(site.store, 1, 2, patient="P1")
    assert site.store.studies.begin_revision(study, "quiet", NOW) is not None
    ((entry, period),) = site.lineup.shadows()
    for _ in range(2):
        site.store.shadows.plan(study, 2, [(entry.model.identity, period)], NOW)
    assert (site.compare().series, site.compare().waiting) == (1, 1)
    row = site.store.shadows.find(study, 2, SHADOW.identity.digest)
    assert row is not None
    site.store.shadows.save(row, replace(make_reading(), study_instance_uid=study), say(SHADOW), None, NOW)
    told = site.compare()
    assert (told.series, told.waiting, told.live) == (1, 0, None)


def test_each_time_in_the_shadow_is_for_itself_and_stays_known(site: Site) -> None:
    site.both(say(LIVE), say(SHADOW))
    board = Board()
    retire(site.lineup, NAME, board.decide(), version="2.0.0")
    told = compare(site.store, site.lineup, NAME, "2.0.0")
    assert told.live is not None
    assert (told.state, told.series, told.live.version) == (ModelState.RETIRED, 1, "1.0.0")
    make_shadow(site.store, SHADOW)
    assert site.compare().series == 0
    site.both(say(LIVE), say(SHADOW))
    site.both(say(LIVE), say(SHADOW))
    assert site.compare().series == 2
    with site.store.engine.begin() as connection:
        connection.execute(update(schema.model_change).values(report_digest="a" * 64))
    promote(site.lineup, NAME, ModelState.LIVE, board.decide(), version="2.0.0")
    told = compare(site.store, site.lineup, NAME, "2.0.0")
    assert told.live is not None
    assert (told.state, told.series, told.live.version) == (ModelState.LIVE, 2, "1.0.0")


def test_nothing_yet_is_no_error_and_an_unknown_version_is(site: Site) -> None:
    told = site.compare()
    assert (told.series, told.shadow.read.n, told.shadow.read.value, told.live) == (0, 0, None, None)
    with pytest.raises(UnknownModel):
        compare(site.store, site.lineup, NAME, "9.9.9")
    assert compare(site.store, site.lineup, NAME, "1.0.0").series == 0, "it was never in the shadow"


def test_a_reading_is_shortened_without_its_masks_and_words() -> None:
    reading = make_reading()
    problem = Problem(code=ProblemCode.LUNGS_CUT_OFF, message="x", refuses=False)
    said = shorten(replace(reading, problems=(problem,)), 1.5)
    assert said.codes == (), "it was read with this limit"
    assert [one.code for one in said.findings] == [one.code.value for one in reading.findings]
    low, high = reading.findings[0].box_lps_mm
    assert said.findings[0].size_mm == tuple(b - a for a, b in zip(low, high, strict=True))
