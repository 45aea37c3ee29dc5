"""Another vendor's AI: the series goes out, its Segmentation comes back, and is told as the vendor's."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.sr.codedict import codes

from tests.deliver.test_cstore import running_peer
from tests.dicom.small_ct import SmallCt, write_ct
from tests.ports import free_port
from tests.promoted import make_live
from tests.store.test_store import NOW
from tests.stores import open_store
from wetread.dicom.header import read_instance
from wetread.domain.model import Model
from wetread.domain.problem import ProblemCode
from wetread.domain.progress import StudyState
from wetread.domain.reading import Outcome, Reading
from wetread.errors import InvalidPackage
from wetread.infer.process import run_job
from wetread.match import parse_rules
from wetread.registry import read_package
from wetread.registry.lineup import Lineup
from wetread.steps import ReadingSteps
from wetread.steps.awaiting import AwaitingSteps
from wetread.steps.peers import PeerReader
from wetread.store import Store
from wetread.store.intake import Arrived
from wetread.waits import Waits

TOML = """
name = "vendor-nodules"
version = "4.2.0"
title = "Vendor Nodules 4.2"
intended_use = "Testing."
state = "live"
operating_point = "default"
[eligibility]
modalities = ["CT"]
pixel_range = [-2000, 40000]
[runtime]
kind = "dicom-peer"
peer = "{peer}"
[task]
kind = "segmentation"
[output]
label = "nodule"
code = "27925004"
scheme = "SCT"
meaning = "Nodule"
priority = "urgent"
"""
SHAPE = (8, 24, 20)
STUDY = "1.2.3"


def complete(ds: Dataset, _plane: int) -> None:
    for keyword in ("BirthDate", "Sex"):
        setattr(ds, f"Patient{keyword}", "")
    ds.StudyDate = ds.StudyTime = ds.StudyID = ds.AccessionNumber = ds.ReferringPhysicianName = ""


def vendor_model(folder: Path, peer: str) -> Model:
    folder.mkdir(exist_ok=True)
    (folder / "model.toml").write_text(TOML.format(peer=peer))
    return read_package(folder)


def segment(images: list[Path], mask: np.ndarray, uid: str) -> highdicom.seg.Segmentation:
    return highdicom.seg.Segmentation(
        source_images=[dcmread(path) for path in images],
        pixel_array=mask.astype(np.uint8),
        segmentation_type="BINARY",
        segment_descriptions=[
            highdicom.seg.SegmentDescription(
                segment_number=1,
                segment_label="nodule",
                segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
                segmented_property_type=codes.SCT.Nodule,
                algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.MANUAL,
            )
        ],
        series_instance_uid="1.2.3.7",
        series_number=9,
        sop_instance_uid=uid,
        instance_number=1,
        manufacturer="Vendor",
        manufacturer_model_name="Nodules",
        software_versions="4.2",
        device_serial_number="1",
    )


class Site:
    """A store, a model, and what is done with both."""

    def __init__(self, store: Store, model: Model, images: list[Path], work: Path) -> None:
        self.store, self.model, self.images, self.work = store, model, images, work
        make_live(store, model)
        rules = parse_rules([{"name": "CT", "models": ["vendor-nodules"]}])
        self.steps = ReadingSteps(
            store=store,
            lineup=Lineup([model], store.model_states),
            rules=rules,
            destinations={},
            run_job=PeerReader(store, run_job, "WETREAD"),
            clock=lambda: NOW,
            default_quiet_s=10.0,
        )
        self.seconds = 0

    def take_in(self, path: Path, source: str) -> None:
        self.seconds += 1
        part = self.store.intake.incoming / f"{self.seconds}.part"
        shutil.copyfile(path, part)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        at = NOW + timedelta(seconds=self.seconds)
        self.store.intake.accept(
            Arrived(
                instance=read_instance(part),
                content_digest=digest,
                size=path.stat().st_size,
                received_at=at,
                source=source,
            )
        )

    def read(self) -> Reading:
        begun = self.store.studies.begin_revision(STUDY, "quiet", NOW)
        assert begun is not None
        return self.read_begun(begun.revision)

    def read_begun(self, revision: int) -> Reading:
        for chosen in self.steps.match(STUDY, revision):
            self.steps.infer(STUDY, revision, chosen["model"], chosen["series"])
        self.steps.finish(STUDY, revision)
        row = self.store.readings.find(STUDY, revision, "vendor-nodules")
        assert row is not None
        return self.store.readings.load(row.digest)

    def answer(self, mask: np.ndarray, uid: str = "1.2.3.7.1", source: str = "VENDOR") -> None:
        path = self.work / f"{uid}.dcm"
        segment(self.images, mask, uid).save_as(path)
        self.take_in(path, source)


@pytest.fixture
def make_site(tmp_path: Path) -> Iterator[Callable[[str], Site]]:
    stores = []

    def make(peer: str) -> Site:
        store = open_store(tmp_path / "data")
        stores.append(store)
        images = write_ct(tmp_path / "images", SmallCt(shape=SHAPE, edit=complete))
        site = Site(store, vendor_model(tmp_path / "package", peer), images, tmp_path)
        for path in images:
            site.take_in(path, "CT1")
        return site

    yield make
    for store in stores:
        store.close()


def blob() -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[2:5, 6:11, 7:12] = True
    return mask


def test_the_series_goes_out_and_the_answer_is_told_as_the_vendors(make_site: Callable[[str], Site]) -> None:
    got: list[str] = []

    def on_store(event: Any) -> int:
        got.append(str(event.request.AffectedSOPInstanceUID))
        return 0x0000

    with running_peer(on_store) as port:
        site = make_site(f"VENDOR@127.0.0.1:{port}")
        waiting = site.read()
    assert sorted(got) == sorted(str(dcmread(path).SOPInstanceUID) for path in site.images)
    assert waiting.outcome is Outcome.NOT_READ
    assert [one.code for one in waiting.problems] == [ProblemCode.AWAITING_PEER]
    site.answer(blob())
    reading = site.read()
    assert reading.outcome is Outcome.READ, reading.problems
    (finding,) = reading.findings
    assert finding.probability is None
    np.testing.assert_allclose(finding.center_lps_mm, [-20 + 9 * 0.75, -30 + 8 * 0.5, 100 + 3 * 2], atol=1e-3)
    assert finding.measurements["volume_mm3"] == pytest.approx(75 * 2 * 0.5 * 0.75)
    assert reading.triage.reasons == ("Nodule, marked by Vendor Nodules 4.2",)
    assert reading.model.name == "vendor-nodules"
    (segment_of_it,) = reading.segments
    assert (segment_of_it.mask.to_array() == blob()).all()


def test_an_answer_of_somebody_else_or_to_something_else_is_not_taken(
    make_site: Callable[[str], Site],
) -> None:
    with running_peer(lambda _event: 0x0000) as port:
        site = make_site(f"VENDOR@127.0.0.1:{port}")
        site.answer(blob(), source="PACS")
        assert [one.code for one in site.read().problems] == [ProblemCode.AWAITING_PEER]
        path = site.work / "other.dcm"
        other = segment(site.images, blob(), "1.2.3.7.2")
        other.ReferencedSeriesSequence[0].SeriesInstanceUID = "1.2.3.99"
        other.save_as(path)
        site.take_in(path, "VENDOR")
        assert [one.code for one in site.read().problems] == [ProblemCode.AWAITING_PEER]


def test_an_answer_off_the_grid_is_refused(make_site: Callable[[str], Site]) -> None:
    with running_peer(lambda _event: 0x0000) as port:
        site = make_site(f"VENDOR@127.0.0.1:{port}")
    moved = segment(site.images, blob(), "1.2.3.7.1")
    for frame in moved.PerFrameFunctionalGroupsSequence:
        x, y, z = frame.PlanePositionSequence[0].ImagePositionPatient
        frame.PlanePositionSequence[0].ImagePositionPatient = [x + 0.3, y, z]
    path = site.work / "moved.dcm"
    moved.save_as(path)
    site.take_in(path, "VENDOR")
    assert [one.code for one in site.read().problems] == [ProblemCode.INVALID_OUTPUT]


def test_nothing_marked_is_read_and_nothing_found(make_site: Callable[[str], Site]) -> None:
    with running_peer(lambda _event: 0x0000) as port:
        site = make_site(f"VENDOR@127.0.0.1:{port}")
    site.answer(blob() & False, source="VENDOR")
    reading = site.read()
    assert reading.outcome is Outcome.READ, reading.problems
    assert reading.findings == ()


def test_a_peer_that_does_not_answer_or_refuses_has_its_code(make_site: Callable[[str], Site]) -> None:
    site = make_site(f"VENDOR@127.0.0.1:{free_port()}")
    (problem,) = site.read().problems
    assert problem.code is ProblemCode.PEER_UNREACHABLE
    assert "0 of 8 images" in problem.message


def test_a_peer_that_never_answers_is_awaited_for_its_time_and_no_longer(
    make_site: Callable[[str], Site],
) -> None:
    got: list[str] = []
    clock = [0.0]

    def on_store(event: Any) -> int:
        got.append(str(event.request.AffectedSOPInstanceUID))
        return 0x0000

    with running_peer(on_store) as port:
        site = make_site(f"VENDOR@127.0.0.1:{port}")
        steps = AwaitingSteps(
            store=site.store, lineup=site.steps.lineup, clock=lambda: NOW, waits=Waits(lambda: clock[0])
        )
        assert [one.code for one in site.read().problems] == [ProblemCode.AWAITING_PEER]
        for clock[0] in (0.0, 599.0):
            steps.sweep()
            assert site.store.studies.find(STUDY).revision == 1
        clock[0] = 600.0
        steps.sweep()
        steps.sweep()
        assert site.store.studies.find(STUDY).revision == 2
        ended = site.read_begun(2)
        assert [one.code for one in ended.problems] == [ProblemCode.PEER_TIMEOUT]
        assert "600 s" in ended.problems[0].message
        assert len(got) == len(site.images), "it is not sent once more by itself"
        assert site.store.studies.find(STUDY).state is StudyState.NOT_READ
        clock[0] = 5000.0
        steps.sweep()
        assert site.store.studies.find(STUDY).revision == 2
        # Somebody asks for it: then it is sent, and awaited, again.
        assert site.store.studies.begin_again(STUDY, "asked for by anna", NOW, lambda _: None) is not None
        assert [one.code for one in site.read_begun(3).problems] == [ProblemCode.AWAITING_PEER]
        assert len(got) == 2 * len(site.images)
    site.answer(blob())
    assert site.read().outcome is Outcome.READ, "one that comes late is read all the same"
    clock[0] = 9000.0
    steps.sweep()
    assert site.store.studies.find(STUDY).revision == 4


def test_a_restart_does_not_begin_the_waiting_anew(make_site: Callable[[str], Site]) -> None:
    with running_peer(lambda _event: 0x0000) as port:
        site = make_site(f"VENDOR@127.0.0.1:{port}")
        site.read()

    def run(until: float) -> None:
        clock = [1e6]
        steps = AwaitingSteps(
            store=site.store, lineup=site.steps.lineup, clock=lambda: NOW, waits=Waits(lambda: clock[0])
        )
        for seconds in (0.0, until):
            clock[0] = 1e6 + seconds
            steps.sweep()

    run(400.0)
    run(199.0)
    assert site.store.studies.find(STUDY).revision == 1
    run(1.0)
    assert site.store.studies.find(STUDY).revision == 2
    assert [one.code for one in site.read_begun(2).problems] == [ProblemCode.PEER_TIMEOUT]


def test_two_processes_that_wait_count_no_second_twice(make_site: Callable[[str], Site]) -> None:
    with running_peer(lambda _event: 0x0000) as port:
        site = make_site(f"VENDOR@127.0.0.1:{port}")
        site.read()
    clock = [0.0]
    both = [
        AwaitingSteps(
            store=site.store, lineup=site.steps.lineup, clock=lambda: NOW, waits=Waits(lambda: clock[0])
        )
        for _ in range(2)
    ]
    for clock[0] in (0.0, 300.0, 599.0):
        for steps in both:
            steps.sweep()
    assert site.store.studies.find(STUDY).revision == 1
    clock[0] = 600.0
    both[1].sweep()
    assert site.store.studies.find(STUDY).revision == 2


def test_an_answer_that_came_in_the_last_moment_is_read(make_site: Callable[[str], Site]) -> None:
    with running_peer(lambda _event: 0x0000) as port:
        site = make_site(f"VENDOR@127.0.0.1:{port}")
        site.read()
    waits = iter([0.0, 600.0])
    steps = AwaitingSteps(
        store=site.store, lineup=site.steps.lineup, clock=lambda: NOW, waits=Waits(lambda: next(waits))
    )
    steps.sweep()
    steps.sweep()
    site.answer(blob())
    assert site.read_begun(2).outcome is Outcome.READ


@pytest.mark.parametrize("peer", ["VENDOR", "A\\\\B@host:104", "VENDOR@host", "VERY-LONG-AE-TITLE-@host:104"])
def test_an_address_that_is_none_is_refused(peer: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidPackage, match=r"runtime\.peer"):
        vendor_model(tmp_path / "p", peer)


def test_offline_nobody_is_asked(tmp_path: Path) -> None:
    from tests.dicom.small_ct import read_series
    from wetread.infer.job import ReadJob

    series = read_series(tmp_path / "images", SmallCt(shape=SHAPE))
    job = ReadJob(
        study_instance_uid=STUDY,
        revision=1,
        series=series,
        model=replace(vendor_model(tmp_path / "p", "VENDOR@127.0.0.1:1")),
        made_at=NOW,
    )
    assert [one.code for one in run_job(job).problems] == [ProblemCode.INVALID_PACKAGE]
