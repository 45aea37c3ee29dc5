"""The study page shows what has changed: both images alike, the curve, "no change" as plainly as growth."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from tests.identity.conftest import House
from tests.web.compared import EARLIER, LATER, compared_reading, hold, read_compared, stage
from tests.web.conftest import Ward
from wetread.domain.comparison import Status
from wetread.domain.study import study_key
from wetread.identity import Role
from wetread.store.audit_rows import AuditRows


@pytest.fixture
def house(ward: Ward) -> House:
    return House(ward)


def picture(client: TestClient, path: str) -> np.ndarray:
    answer = client.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png"), path
    return np.asarray(Image.open(io.BytesIO(answer.content)), float)


def middle(grey: np.ndarray) -> float:
    return float(grey[150:170, 150:170].mean())


def test_the_page_shows_each_change_with_both_images_and_days(
    ward: Ward, client: TestClient, tmp_path: Path
) -> None:
    key, number = stage(ward, tmp_path)
    page = client.get(f"/studies/{key}").text
    told = re.findall(r'class="turn t-([a-z-]+)">([^<]+)</b> <b>([^<]+)<', page)
    assert told == [
        ("new", "new", "Right pneumothorax"),
        ("growing", "grown", "Nodule 1"),
        ("resolved", "gone", "Lung nodule"),
        ("stable", "no change", "Nodule 2"),
    ]
    shown = re.findall(rf'src="/studies/{key}/changes/{number}/(\d)/(now|prior)"', page)
    assert shown == [(one, visit) for one in "0132" for visit in ("prior", "now")]
    assert page.count("<b>Prior</b> 2026-01-12</figcaption>") == 4
    assert page.count("<b>Now</b> 2026-04-12</figcaption>") == 4
    assert f'href="/studies/{study_key(EARLIER)}"' in page
    assert "Since the prior study of 2026-01-12, 90 days before: 1 new, 1 grown, 1 gone, 1 stable." in page
    assert page.count("<svg") == 2
    assert "<b>doubles in 91 days</b>" in page


def test_both_images_show_the_finding_in_the_middle(ward: Ward, client: TestClient, tmp_path: Path) -> None:
    # In the earlier study everything lies where it does in the later one: where its places are
    # asked 12 mm higher, there is lung.
    key, number = stage(ward, tmp_path)
    path = f"/studies/{key}/changes/{number}"
    nodule, lung = middle(picture(client, f"{path}/1/now")), middle(picture(client, f"{path}/1/prior"))
    assert nodule > 200
    assert lung < 120
    # What is gone is lung now and is shown at its place.
    assert middle(picture(client, f"{path}/3/now")) < 120
    # What is new is shown where it would have been, as the studies were registered.
    assert middle(picture(client, f"{path}/0/now")) < 60
    assert picture(client, f"{path}/0/prior").shape == (320, 320)


@pytest.mark.parametrize("path", ["9/now", "3/later", "1/", "-1/now"])
def test_what_is_not_there_is_not_found(path: str, ward: Ward, client: TestClient, tmp_path: Path) -> None:
    key, number = stage(ward, tmp_path)
    assert client.get(f"/studies/{key}/changes/{number}/{path}").status_code == 404


def test_a_reading_of_another_study_is_not_shown(ward: Ward, client: TestClient, tmp_path: Path) -> None:
    _, number = stage(ward, tmp_path)
    assert client.get(f"/studies/{study_key(EARLIER)}/changes/{number}/1/now").status_code == 404


def test_a_reading_without_places_shows_words_alone(ward: Ward, client: TestClient, tmp_path: Path) -> None:
    key, number = study_key(LATER), read_compared(ward, hold(ward, tmp_path, LATER)).id
    page = client.get(f"/studies/{key}").text
    assert "The images of the prior study are not here to be shown." in page
    assert '/prior"' not in page
    assert client.get(f"/studies/{key}/changes/{number}/1/now").status_code == 200
    assert client.get(f"/studies/{key}/changes/{number}/1/prior").status_code == 404


def test_the_prior_study_is_seen_by_whom_it_may_be_seen(house: House, tmp_path: Path) -> None:
    house.add("first")
    house.add("anna", sources=("CT_OURS",))
    key, number = stage(house.ward, tmp_path, "CT_OURS", "CT_THEIRS")
    anna, first = house.signed_in("anna"), house.signed_in("first")
    path = f"/studies/{key}/changes/{number}/1"
    assert anna.get(f"{path}/now").status_code == 200
    assert anna.get(f"{path}/prior").status_code == 404
    assert "Asked for a study of another sender." in house.sentences()
    page = anna.get(f"/studies/{key}").text
    assert f"{path}/now" in page
    assert '/prior"' not in page
    assert study_key(EARLIER) not in page
    assert first.get(f"{path}/prior").status_code == 200


def test_to_see_the_prior_image_is_recorded(ward: Ward, client: TestClient, tmp_path: Path) -> None:
    key, number = stage(ward, tmp_path)
    client.get(f"/studies/{key}/changes/{number}/1/prior")
    entries = AuditRows(ward.store.engine).list_last(5, study=EARLIER)
    assert any("a picture of the study" in str(one.message) for one in entries)


def test_roles_without_names_see_the_images_and_years_alone(house: House, tmp_path: Path) -> None:
    house.add("first")
    house.add("dana", Role.DATA_SCIENTIST)
    key, number = stage(house.ward, tmp_path)
    dana = house.signed_in("dana")
    page = dana.get(f"/studies/{key}").text
    assert page.count("<b>Prior</b> 2026</figcaption>") == 4
    for day in ("2026-01-12", "2026-04-12", "20260112", EARLIER):
        assert day not in page
    assert dana.get(f"/studies/{key}/changes/{number}/1/prior").status_code == 200


def test_the_api_says_the_same(ward: Ward, client: TestClient, tmp_path: Path) -> None:
    _, number = stage(ward, tmp_path)
    told = client.get(f"/api/v1/readings/{number}").json()
    compared = told["comparison"]
    assert compared["study_key"] == study_key(EARLIER)
    assert compared["interval_days"] == 90
    assert compared["summary"].startswith("Since the prior study of 2026-01-12, 90 days before: 1 new")
    (gone,) = compared["gone"]
    assert (gone["label"], gone["status"], gone["mean_diameter_mm"]) == ("lung nodule", "resolved", 6.0)
    assert [one["status"] for one in told["findings"]] == ["new", "growing", "stable"]
    assert told["findings"][1]["prior"]["volume_mm3"] == 1000.0


def test_the_api_hides_what_pages_hide(house: House, tmp_path: Path) -> None:
    house.add("first")
    _, number = stage(house.ward, tmp_path, "CT_OURS", "CT_THEIRS")
    path = f"/api/v1/readings/{number}"
    nameless = house.program(Role.DATA_SCIENTIST).get(path)
    assert "2026-01-12" not in nameless.text
    assert EARLIER not in nameless.text
    assert nameless.json()["comparison"]["study_key"] == study_key(EARLIER)
    ours = house.program(Role.RADIOLOGIST, sources=("CT_OURS",)).get(path)
    assert ours.json()["comparison"]["study_key"] == ""


def pictures_of(page: str) -> list[str]:
    return re.findall(r'src="(/studies/[0-9a-f]+/changes/[^"]+)"', page)


@pytest.mark.parametrize("lacks", ["images", "places", "nothing"])
def test_every_picture_on_the_page_is_there(
    lacks: str, ward: Ward, client: TestClient, tmp_path: Path
) -> None:
    """Readings of before all this was kept show what they can, and no broken picture."""
    hold(ward, tmp_path, EARLIER)
    volume = hold(ward, tmp_path, LATER)
    whole = compared_reading(volume)
    comparison = whole["comparison"]
    if lacks == "images":
        comparison = replace(comparison, images=None, alignment=None)
    elif lacks == "places":
        comparison = replace(comparison, alignment=None)
    elsewhere = replace(
        comparison.gone[0], status=Status.NOT_SCANNED, center_lps_mm=(0.0, 0.0, 900.0), place=None
    )
    comparison = replace(comparison, gone=(*comparison.gone, elsewhere))
    ward.read(LATER, **(whole | {"comparison": comparison}))
    pictures = pictures_of(client.get(f"/studies/{study_key(LATER)}").text)
    assert len(pictures) == {"images": 4, "places": 7, "nothing": 8}[lacks]
    for path in pictures:
        assert client.get(path).status_code == 200, path
