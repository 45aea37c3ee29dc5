"""The PDF shows what has changed: then beside now, each with its day, what matters most first."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from tests.compose.conftest import text_of
from tests.compose.past import compare, make_alignment
from tests.compose.scene import (
    NODULES,
    ORIENTATIONS,
    make_grid,
    make_reading,
    make_source,
    make_volume,
    write_series,
)
from tests.compose.test_pdf import _pdf
from wetread.compose import compose
from wetread.compose.draft import Draft
from wetread.compose.pairs import draw_pairs
from wetread.domain.comparison import Bending, PriorImages, PriorPlace
from wetread.domain.document import DocumentKind
from wetread.domain.reading import digest

SERIES = "1.2.826.0.1.3680043.10.9.1"
AXIAL = ORIENTATIONS["axial"]


@pytest.fixture(scope="module")
def draft(tmp_path_factory: pytest.TempPathFactory) -> Draft:
    """The scene and the same patient earlier: with the nodules, without the free air's new place."""
    folder = tmp_path_factory.mktemp("visits")
    grid = make_grid(AXIAL, shape=(28, 80, 80), spacing_mm=(8.0, 3.0, 3.0))
    volume = make_volume(grid)
    uids = tuple(f"{SERIES}.{number}" for number in range(1, 29))
    before = make_volume(dataclasses.replace(grid, sop_instance_uids=uids))
    prior = write_series(
        folder / "prior", before, AXIAL, StudyInstanceUID="1.2.826.0.1.3680043.10.9", SeriesInstanceUID=SERIES
    )
    source = dataclasses.replace(make_source(folder / "now", volume, AXIAL), prior=prior)
    still = make_alignment(shift_mm=(0.0, 0.0, 0.0))
    alignment = dataclasses.replace(
        still,
        matrix=((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
        bending=Bending(
            shape=(4, 4, 4),
            origin_lps_mm=(-300.0, -300.0, -300.0),
            spacing_mm=200.0,
            displacements_um=(0,) * 192,
        ),
    )
    images = PriorImages(
        series_instance_uid=SERIES,
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        frame_of_reference_uid="",
        sop_instance_uids=uids,
    )
    reading = compare(make_reading(volume), images=images, alignment=alignment)
    findings = [reading.findings[0]]
    for finding, (center, _) in zip(reading.findings[1:], NODULES, strict=True):
        place = PriorPlace(sop_instance_uid="", center_lps_mm=center)
        findings.append(dataclasses.replace(finding, prior=dataclasses.replace(finding.prior, place=place)))
    reading = dataclasses.replace(reading, findings=tuple(findings))
    return Draft(reading=reading, source=source, digest=digest(reading))


def test_each_finding_stands_then_and_now_what_matters_most_first(draft: Draft) -> None:
    pairs = draw_pairs(draft)
    # Of what is gone nobody kept where it was.
    assert [one.title for one in pairs] == [
        "Right pneumothorax: new", "Nodule 1: grown", "Nodule 2: no change",
    ]  # fmt: skip
    for one in pairs:
        assert one.prior.size == one.now.size
        # The same scene twice, shown alike.
        assert np.abs(np.asarray(one.prior, float) - np.asarray(one.now, float)).mean() < 2.0
    assert np.asarray(pairs[1].now)[155:165, 155:165].mean() > 200


def test_the_pdf_says_both_days(draft: Draft, tmp_path: Path) -> None:
    (document,) = compose(draft.reading, draft.source, (DocumentKind.PDF,))
    text = " ".join(text_of(_pdf(document.data), tmp_path).split())
    assert "Change since the prior study" in text
    assert "prior 2026-08-22" in text
    assert "now 2026-11-20" in text
    again = compose(draft.reading, draft.source, (DocumentKind.PDF,))
    assert again == (document,)


def test_without_the_prior_images_the_words_stand_alone(draft: Draft, tmp_path: Path) -> None:
    source = dataclasses.replace(draft.source, prior=None)
    assert draw_pairs(dataclasses.replace(draft, source=source)) == ()
    (document,) = compose(draft.reading, source, (DocumentKind.PDF,))
    text = text_of(_pdf(document.data), tmp_path)
    assert "Change since the prior study" not in text
    assert "1 new, 1 grown" in text


def test_an_image_that_is_gone_leaves_its_pair_out(draft: Draft) -> None:
    gone = tuple(
        dataclasses.replace(one, path=Path("/nowhere/at/all.dcm")) for one in draft.source.prior.instances
    )
    prior = dataclasses.replace(draft.source.prior, instances=gone)
    assert draw_pairs(dataclasses.replace(draft, source=dataclasses.replace(draft.source, prior=prior))) == ()
