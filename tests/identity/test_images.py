"""Slices for whom names are not: pictures of scanners, and nothing that words may be burnt into."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.dicom.small_ct import SmallCt, make_slice
from tests.identity.conftest import House
from tests.store.test_catalogue import Archive
from tests.web.scene import stage_scene
from wetread.identity import Role
from wetread.web.ohif.prepare import VERSION


@pytest.mark.parametrize("role", [Role.ADMINISTRATOR, Role.DATA_SCIENTIST])
def test_who_needs_no_names_sees_slices_but_nothing_with_words_in_it(
    house: House, role: Role, tmp_path: Path
) -> None:
    house.add("anna", role)
    house.add("lea", Role.RADIOLOGIST)
    store = house.store
    scene = stage_scene(store, tmp_path / "ct", kinds=(), SeriesDescription="Müller Thorax")
    archive = Archive(store, count=100)
    with_words = (
        {"Modality": "US"},
        {"BurnedInAnnotation": "YES"},
        {"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]},
    )
    for number, changes in enumerate(with_words):
        ct = SmallCt(shape=(1, 8, 10), study_uid=scene.study_instance_uid, series_uid=f"1.2.8.{number}")
        ds = make_slice(ct, 0)
        for keyword, value in changes.items():
            setattr(ds, keyword, value)
        archive.add_data_set(ds)
    hers, theirs = house.signed_in("lea"), house.signed_in("anna")
    every = hers.get(f"/studies/{scene.key}/stacks").json()["stacks"]
    shown = theirs.get(f"/studies/{scene.key}/stacks").json()["stacks"]
    assert len(every) == 4
    assert [one["title"] for one in shown] == ["CT · 40 slices"]
    for one in every:
        status = theirs.get(f"/studies/{scene.key}/stacks/{one['key']}/1/image").status_code
        assert status == (200 if one["key"] == shown[0]["key"] else 404)
        assert hers.get(f"/studies/{scene.key}/stacks/{one['key']}/1/image").status_code == 200
    page = theirs.get(f"/studies/{scene.key}").text
    for word in ("Müller", "Zoë", scene.study_instance_uid):
        assert word not in page
    assert page.count("data-go=") == 3
    # A viewer is set up: it reads DICOMweb, which names the patient.
    folder = store.data / "viewer" / VERSION
    folder.mkdir(parents=True)
    (folder / "index.html").write_text("the viewer")
    assert "/static/ohif.js" in hers.get(f"/studies/{scene.key}").text
    assert "ohif" not in theirs.get(f"/studies/{scene.key}").text.lower()
    assert (hers.get("/ohif/").text, theirs.get("/ohif/").status_code) == ("the viewer", 403)
