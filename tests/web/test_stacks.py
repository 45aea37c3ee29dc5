"""Stacks are in order, turned as usual and named right; outlines lie where the patient has the finding."""

from __future__ import annotations

import dataclasses
import io
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest
from fastapi.testclient import TestClient
from PIL import Image, ImageDraw
from pydicom.dataset import Dataset
from scipy import ndimage

from tests.compose.scene import NODULES, ORIENTATIONS, RIGHT_LUNG
from tests.dicom.small_ct import SmallCt, make_enhanced, make_slice
from tests.store.test_catalogue import Archive
from tests.stores import open_store
from tests.web.conftest import ORIGIN
from tests.web.scene import Scene, stage_scene
from wetread.domain.document import DocumentKind
from wetread.domain.mask import BoolArray
from wetread.domain.study import study_key
from wetread.store import Store
from wetread.web import create_web
from wetread.web.marks import mask_on, shares_space
from wetread.web.pictures import Pictures
from wetread.web.stacks import Stack

SHAPE = (40, 96, 104)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    one = open_store(tmp_path / "data")
    yield one
    one.close()


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, Scene]]:
    """A study that nobody changes."""
    folder = tmp_path_factory.mktemp("staged")
    one = open_store(folder / "data")
    yield one, stage_scene(one, folder / "ct", kinds=(DocumentKind.TEXT,))
    one.close()


def client_of(store: Store) -> TestClient:
    return TestClient(create_web(store, ()), base_url=ORIGIN, follow_redirects=False)


def stacks_of(store: Store, uid: str) -> tuple[Stack, ...]:
    row = store.studies.find(uid)
    assert row is not None
    return Pictures(store).list_stacks(row)


def drawn(svg: str, size: tuple[int, int]) -> BoolArray:
    """Return which pixels the outlines of a picture enclose, filled four times as fine."""
    image = Image.new("1", (size[1] * 4, size[0] * 4))
    for path in re.findall(r'd="([^"]*)"', svg):
        for loop in re.findall(r"M([^Z]*)Z", path):
            points = [tuple(4 * float(one) for one in pair.split()) for pair in loop.split("L")]
            ImageDraw.Draw(image).polygon(points, fill=1)
    return np.asarray(image).reshape(size[0], 4, size[1], 4).mean(axis=(1, 3)) > 0.5


@pytest.mark.parametrize("name", ORIENTATIONS)
def test_outlines_lie_on_what_is_seen_however_the_slices_lie(name: str, store: Store, tmp_path: Path) -> None:
    """What is bright in the picture, where it is drawn, is the nodule; the SEG that we send says the same."""
    scene = stage_scene(store, tmp_path / "ct", ORIENTATIONS[name])
    (stack,) = stacks_of(store, scene.study_instance_uid)
    client = client_of(store)
    assert stack.layout is not None
    for index, finding in enumerate(scene.reading.findings):
        of = f"{scene.row.digest[:12]}-{index}"
        uid = scene.reading.grid.sop_instance_uids[finding.key_plane]
        number = stack.find_slice(finding.center_lps_mm, uid)
        at = f"/studies/{scene.key}/stacks/{stack.key}/{number}"
        picture = np.asarray(Image.open(io.BytesIO(client.get(f"{at}/image?window=soft").content)))
        found = drawn(client.get(f"{at}/marks?of={of}").text, picture.shape)
        truth = seg_frame(scene, store, finding.segment_number, uid)
        turned = stack.layout.view.turn(truth)
        assert truth.any()
        assert (found != turned).sum() <= 0.1 * turned.sum() + 2, (name, index)
        if finding.label == "lung nodule":
            # Soft tissue within a lung, in this window: bright within, black around.
            assert picture[found].mean() > 100
            around = ring_around(found)
            assert picture[around].mean() < 20
    check_sides(stack, drawn_nodule(client, scene, stack), name)


def drawn_nodule(client: TestClient, scene: Scene, stack: Stack) -> BoolArray:
    """Return where the right nodule is drawn on its slice."""
    at = f"/studies/{scene.key}/stacks/{stack.key}/{stack.find_slice(NODULES[0][0])}"
    picture = Image.open(io.BytesIO(client.get(f"{at}/image?window=soft").content))
    text = client.get(f"{at}/marks?of={scene.row.digest[:12]}-1").text
    return drawn(text, (picture.height, picture.width))


def check_sides(stack: Stack, right_nodule: BoolArray, name: str) -> None:
    """The patient's right is on the left, and says so."""
    left, right, top, bottom = stack.letters
    assert (left[0], right[0]) == ("R", "L")
    assert (top[0], bottom[0]) == ("A", "P")
    columns = np.nonzero(right_nodule)[1]
    assert columns.mean() < right_nodule.shape[1] / 2
    heights = [one.position_lps_mm[2] for one in stack.slices]
    assert heights == sorted(heights, reverse=True) or name == "oblique", "from the head to the feet"


def ring_around(found: BoolArray) -> BoolArray:
    """Return the pixels two and three away from what is found."""
    near, far = (ndimage.binary_dilation(found, iterations=count) for count in (2, 3))
    return far & ~near


def seg_frame(scene: Scene, store: Store, segment: int, sop_instance_uid: str) -> BoolArray:
    """Return a segment on an image, from the Segmentation as it is sent, by its own frames."""
    [row] = [one for one in store.readings.list_documents(scene.row.id) if one.kind is DocumentKind.SEG]
    ds = pydicom.dcmread(io.BytesIO(store.readings.load_document(row).data))
    frames = ds.pixel_array
    image = next(one for one in scene.series.instances if one.sop_instance_uid == sop_instance_uid)
    position = image.header["ImagePositionPatient"]
    for pixels, groups in zip(frames, ds.PerFrameFunctionalGroupsSequence, strict=True):
        number = groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        at = groups.PlanePositionSequence[0].ImagePositionPatient
        if number == segment and np.allclose([float(one) for one in at], position, atol=1e-3):
            return pixels > 0
    raise AssertionError("the segment has no frame on this image")


def test_another_series_of_the_same_space_shows_the_marks_where_it_has_them(
    store: Store, tmp_path: Path
) -> None:
    """A coronal reconstruction with other spacing: computed in millimetres, not by counting slices."""
    scene = stage_scene(store, tmp_path / "ct", kinds=())
    coronal = SmallCt(
        shape=(11, 30, 40),
        spacing_mm=(6.0, 6.0, 4.0),
        axes=np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]]),
        origin_lps_mm=(-80.0, -40.0, 90.0),
        study_uid=scene.study_instance_uid,
        series_uid="1.2.826.0.1.3680043.10.1.7",
    )
    archive = Archive(store, count=100)
    for number in range(11):
        ds = make_slice(coronal, number)
        ds.FrameOfReferenceUID = scene.reading.grid.frame_of_reference_uid
        archive.add_data_set(ds)
    other = next(
        one
        for one in stacks_of(store, scene.study_instance_uid)
        if one.series_instance_uid == coronal.series_uid
    )
    assert other.letters == ("R", "L", "H", "F")
    assert other.layout is not None
    mask = scene.reading.get_segment(3).mask
    for one in other.slices:
        found = mask_on(mask, scene.reading.grid, other.layout, one.position_lps_mm)
        expected = np.zeros_like(found)
        for row in range(30):
            for column in range(40):
                point = np.add(one.position_lps_mm, (column * 4.0, 0.0, -row * 6.0))
                voxel = np.floor(scene.reading.grid.to_index(point) + 0.5 + 1e-6).astype(int)
                if np.all((voxel >= 0) & (voxel < SHAPE)):
                    expected[row, column] = mask.to_array()[tuple(voxel)]
        assert np.array_equal(found, expected)
    assert any(
        mask_on(mask, scene.reading.grid, other.layout, one.position_lps_mm).any() for one in other.slices
    )


def test_a_series_of_another_space_shows_none(store: Store, tmp_path: Path) -> None:
    scene = stage_scene(store, tmp_path / "ct", kinds=())
    ct = SmallCt(
        shape=(3, 8, 10),
        study_uid=scene.study_instance_uid,
        series_uid="1.2.9",
        origin_lps_mm=(-70.0, -10.0, 30.0),
    )
    archive = Archive(store, count=100)
    for number in range(3):
        archive.add_data_set(make_slice(ct, number))
    other = next(
        one for one in stacks_of(store, scene.study_instance_uid) if one.series_instance_uid == "1.2.9"
    )
    text = client_of(store).get(f"/studies/{scene.key}/stacks/{other.key}/1/marks").text
    assert "<path" not in text


@pytest.mark.parametrize(
    ("frame", "series", "shared"),
    [("1.2.3.99", "1.2.3.1", True), ("1.2.3.99", "9", True), ("7", "1.2.3.1", False), ("", "1.2.3.1", True),
     ("", "9", False)],
)  # fmt: skip
def test_a_frame_of_reference_decides_and_where_it_is_not_named_the_series(
    store: Store, staged: tuple[Store, Scene], frame: str, series: str, shared: bool
) -> None:
    ct = SmallCt(shape=(2, 8, 10))
    for number in range(2):
        Archive(store, count=number).add_data_set(make_slice(ct, number))
    (stack,) = stacks_of(store, ct.study_uid)
    grid = dataclasses.replace(staged[1].reading.grid, frame_of_reference_uid=frame)
    assert shares_space(grid, series, stack) is shared


def test_pixels_that_are_not_square_are_shown_as_they_are_in_the_patient(store: Store) -> None:
    ct = SmallCt(shape=(3, 8, 10), spacing_mm=(2.0, 3.0, 1.0))
    archive = Archive(store)
    for number in range(3):
        archive.add_data_set(make_slice(ct, number))
    (stack,) = stacks_of(store, ct.study_uid)
    at = f"/studies/{study_key(ct.study_uid)}/stacks/{stack.key}/1"
    client = client_of(store)
    assert Image.open(io.BytesIO(client.get(f"{at}/image").content)).size == (10, 24)
    assert 'width="10" height="24"' in client.get(f"{at}/marks").text
    (described,) = client.get(f"/studies/{study_key(ct.study_uid)}/stacks").json()["stacks"]
    assert described["pixel_mm"] == 1.0


def test_an_object_of_many_frames_is_a_stack_in_the_order_of_the_patient(store: Store) -> None:
    ct = SmallCt(shape=(4, 8, 10))
    ds = make_enhanced(ct)
    ds.SOPInstanceUID = "1.2.3.77"
    Archive(store).add_data_set(ds)
    (stack,) = stacks_of(store, ct.study_uid)
    # Its frames are written from the top: the first is the one nearest to the head.
    assert [one.frame for one in stack.slices] == [1, 2, 3, 4]
    at = f"/studies/{study_key(ct.study_uid)}/stacks/{stack.key}"
    client = client_of(store)
    first, last = (
        np.asarray(Image.open(io.BytesIO(client.get(f"{at}/{number}/image?window=bone").content)))
        for number in (1, 4)
    )
    assert first.mean() > last.mean(), "the stored values of this object grow towards the head"


def test_images_without_a_place_are_shown_in_their_order_and_without_sides(store: Store) -> None:
    archive = Archive(store)

    def edit(ds: Dataset, plane: int) -> None:
        del ds.ImagePositionPatient, ds.ImageOrientationPatient, ds.PixelSpacing
        ds.Modality, ds.InstanceNumber = "CR", 3 - plane

    ct = SmallCt(shape=(2, 8, 10), edit=edit)
    for number in range(2):
        archive.add_data_set(make_slice(ct, number))
    (stack,) = stacks_of(store, ct.study_uid)
    assert [one.sop_instance_uid for one in stack.slices] == ["1.2.3.1.2", "1.2.3.1.1"]
    assert (stack.letters, stack.windows, stack.place_words(1)) == (("", "", "", ""), ("stored",), "")


def test_a_picture_is_kept_by_one_browser_only(staged: tuple[Store, Scene]) -> None:
    store, scene = staged
    (stack,) = stacks_of(store, scene.study_instance_uid)
    at = f"/studies/{scene.key}/stacks/{stack.key}"
    client = client_of(store)
    for path in (f"{at}/1/image?window=lung", f"{at}/1/marks?v=1"):
        headers = client.get(path).headers
        assert headers["cache-control"].startswith("private")
        assert "Cookie" in headers["vary"]
        assert "unsafe" not in headers["content-security-policy"]
    assert client.get(f"/studies/{scene.key}/stacks").headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("1/image", 200), ("40/image", 200), ("41/image", 404), ("0/image", 404), ("x/image", 404),
        ("1/image?window=brain", 400), ("1/image?part=0,0,5,5", 200), ("1/image?part=0,0,105,5", 400),
        ("1/image?part=0,0,0,5", 400), ("1/image?part=-1,0,5,5", 400), ("1/marks?of=x", 400),
        ("1/marks?of=000000000000-0", 200), ("1/marks?part=1", 400),
    ],
)  # fmt: skip
def test_what_is_not_there_is_not_found(staged: tuple[Store, Scene], path: str, status: int) -> None:
    store, scene = staged
    (stack,) = stacks_of(store, scene.study_instance_uid)
    assert client_of(store).get(f"/studies/{scene.key}/stacks/{stack.key}/{path}").status_code == status
    assert client_of(store).get(f"/studies/{scene.key}/stacks/{'0' * 16}/{path}").status_code == 404


def test_cards_name_the_slice_and_links_work_without_a_script(staged: tuple[Store, Scene]) -> None:
    store, scene = staged
    (stack,) = stacks_of(store, scene.study_instance_uid)
    client = client_of(store)
    page = client.get(f"/studies/{scene.key}").text
    links = re.findall(r'href="(/studies/[^"]*#viewer)" data-go="([^"]*)"', page)
    assert [of for _, of in links] == [f"{scene.row.digest[:12]}-{index}" for index in range(3)]
    finding = scene.reading.findings[1]
    number = stack.find_slice(finding.center_lps_mm, scene.reading.grid.sop_instance_uids[finding.key_plane])
    there = client.get(links[1][0].replace("&amp;", "&").split("#")[0]).text
    assert f"Slice {number} of 40 · {stack.place_words(number)}" in there
    assert f'src="/studies/{scene.key}/stacks/{stack.key}/{number}/image?window=lung"' in there
    assert f"slice={number - 1}#viewer" in there
    assert "<script>" not in page
    assert "style=" not in page
    for nonsense in ("stack=zzz", "slice=-4", "slice=99999", "window=brain", "slice=²"):
        assert client.get(f"/studies/{scene.key}?{nonsense}").status_code == 200


def test_the_volume_of_the_scene_is_what_is_shown(staged: tuple[Store, Scene]) -> None:
    """The window is what its name says: a lung is grey in its window and black in that of soft tissue."""
    store, scene = staged
    (stack,) = stacks_of(store, scene.study_instance_uid)
    number = stack.find_slice(RIGHT_LUNG[0])
    client, at = client_of(store), f"/studies/{scene.key}/stacks/{stack.key}/{number}"
    row, column = (round(one) for one in scene.volume.grid.to_index(RIGHT_LUNG[0])[1:])
    for window, low, high in (("lung", 70, 100), ("soft", 0, 0), ("bone", 0, 0)):
        picture = np.asarray(Image.open(io.BytesIO(client.get(f"{at}/image?window={window}").content)))
        assert low <= picture[row - 2 : row + 3, column - 2 : column + 3].mean() <= high, window


def test_outlines_of_a_reading_that_was_replaced_are_not_kept(store: Store, tmp_path: Path) -> None:
    scene = stage_scene(store, tmp_path / "ct", kinds=())
    client = client_of(store)
    (stack,) = stacks_of(store, scene.study_instance_uid)
    before = client.get(f"/studies/{scene.key}/stacks").json()["marks"]
    assert f"/marks?v={before}" in client.get(f"/studies/{scene.key}").text
    at = f"/studies/{scene.key}/stacks/{stack.key}/20/marks"
    assert client.get(f"{at}?v={before}").headers["cache-control"].startswith("private")
    assert client.get(at).headers["cache-control"] == "no-store"
    assert "<path" in client.get(at).text
    again = dataclasses.replace(scene.reading, revision=2, findings=())
    store.readings.save(again)
    after = client.get(f"/studies/{scene.key}/stacks").json()["marks"]
    assert after != before
    assert f"/marks?v={after}" in client.get(f"/studies/{scene.key}").text
    assert "<path" not in client.get(f"{at}?v={after}").text


def test_a_slice_that_comes_later_makes_another_stack(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Browsers keep pictures by their address: the second slice of before may be the third of now."""
    monkeypatch.setattr("wetread.web.stacks._FRESH_S", 0.0)
    ct, archive, pictures = SmallCt(shape=(4, 8, 10)), Archive(store), Pictures(store)
    keys = []
    for number in (0, 3, 1):
        archive.add_data_set(make_slice(ct, number))
        (stack,) = pictures.list_stacks(store.studies.find(ct.study_uid))
        keys.append(stack.key)
    assert len(set(keys)) == 3
    assert [one.sop_instance_uid for one in stack.slices] == ["1.2.3.1.4", "1.2.3.1.2", "1.2.3.1.1"]


def test_while_images_pour_in_the_stacks_of_a_moment_ago_will_do(store: Store) -> None:
    ct, archive, pictures = SmallCt(shape=(4, 8, 10)), Archive(store), Pictures(store)
    archive.add_data_set(make_slice(ct, 0))
    before = pictures.list_stacks(store.studies.find(ct.study_uid))
    archive.add_data_set(make_slice(ct, 1))
    assert pictures.list_stacks(store.studies.find(ct.study_uid)) is before
