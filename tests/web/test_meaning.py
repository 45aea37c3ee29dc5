"""Help in place: every number that may stand on a page has its sentence, and only its own model's limits."""

from __future__ import annotations

from dataclasses import replace

from fastapi.testclient import TestClient

from tests.domain.test_reading import make_reading
from tests.web.conftest import Ward
from wetread.domain.measurement import MEASUREMENTS
from wetread.registry.package import read_models
from wetread.web.meaning import MEANINGS, PROBABILITY, explain


def test_every_measurement_has_its_sentence() -> None:
    assert MEANINGS.keys() == MEASUREMENTS.keys()
    assert all(one.endswith((".", "tells.")) for one in MEANINGS.values())


def test_only_what_was_measured_is_explained() -> None:
    reading = make_reading()
    meaning = explain(reading, None)
    measured = {MEASUREMENTS[name].title for one in reading.findings for name in one.measurements}
    measured |= {MEASUREMENTS[name].title for one in reading.regions for name in one.measurements}
    measured |= {MEASUREMENTS[name].title for name in reading.measurements}
    assert dict(meaning.numbers).keys() == measured | {"probability"}
    assert dict(meaning.numbers)["probability"] == PROBABILITY


def test_the_limits_are_those_of_the_version_that_read() -> None:
    model = read_models()["chest-ct"]
    reading = replace(make_reading(), model=model.identity)
    said = dict(explain(reading, model).model)
    assert "Not for clinical use" in said["Intended use"]
    assert said["Limits"]
    other = replace(model, identity=replace(model.identity, digest="0" * 64))
    for one in (other, None):
        told = dict(explain(reading, one).model)
        assert "Limits" not in told
        assert "Not for clinical use" in told["This version"]


def test_the_page_of_a_study_has_it(ward: Ward, client: TestClient) -> None:
    key = ward.send("1.2.1")
    ward.read("1.2.1")
    page = client.get(f"/studies/{key}").text
    part = page[page.index('id="meaning-') :]
    part = part[: part.index("</details>")]
    assert "What the numbers mean" in part
    assert "inside of the outline" in part
