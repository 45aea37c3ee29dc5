"""Changes are folded in their order; what was taken back leaves no trace in what counts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra import numpy as hnp

from tests.domain.test_reading import make_reading
from wetread.domain.change import (
    LONG,
    MEAN,
    SHORT,
    Change,
    ChangeKind,
    Outline,
    Said,
    Slice,
    added,
    apply,
    lengths,
    revise,
    standing,
)
from wetread.domain.comparison import PriorComparison
from wetread.domain.mask import Mask
from wetread.domain.packed_mask import pack_mask, unpack_mask

UID = "2.25.1"
NOTHING = Said()


def change(kind: ChangeKind, said: Said = NOTHING, uid: str = UID, number: int = 1) -> Change:
    return Change(
        id=number,
        study_instance_uid="1.2.3",
        reading_digest="ab",
        tracking_uid=uid,
        kind=kind,
        said=said,
        at=0.0,
        who="ana",
    )


def outline() -> Outline:
    array = np.zeros((4, 5, 6), dtype=bool)
    array[0, 0, 0] = True
    return Outline(
        mask=Mask.from_array(array),
        center_lps_mm=(7.0, 8.0, 9.0),
        box_lps_mm=((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
        key_plane=0,
        sop_class_uid="1.2",
        sop_instance_uid="1.3",
        series_instance_uid="1.4",
        segment_number=5,
    )


OUTLINED = change(ChangeKind.OUTLINED, Said(measurements={"volume_mm3": 9.0}, outline=outline()))


def test_the_last_is_taken_back_first() -> None:
    first = change(ChangeKind.EDITED, Said(label="cyst"))
    second = change(ChangeKind.EDITED, Said(label="scar"))
    undo = change(ChangeKind.UNDONE)
    assert standing([first, second, undo], "ab") == {UID: (first,)}
    assert standing([first, second, undo, undo, undo], "ab") == {}
    assert standing([first], "of another reading") == {}


def test_another_name_is_not_the_models_code() -> None:
    finding = apply(make_reading().findings[0], [change(ChangeKind.EDITED, Said(label="cyst"))])
    assert (finding.label, finding.code.meaning) == ("cyst", "Clinical finding")


def test_an_outline_takes_the_place_of_every_number_and_of_the_change_since_the_prior() -> None:
    before = replace(
        make_reading().findings[0],
        measurements={"volume_mm3": 500.0, "distance_to_pleura_mm": 3.0},
        prior=PriorComparison(
            study_instance_uid="1.2.9", volume_change_percent=1.0, volume_change_ci95=(0.0, 2.0)
        ),
    )
    after = apply(before, [OUTLINED])
    assert after.measurements == {"volume_mm3": 9.0}
    assert (after.prior, after.center_lps_mm, after.axes) == (None, (7.0, 8.0, 9.0), None)


def test_lengths_by_hand_leave_the_volume_and_drop_what_they_contradict() -> None:
    measured = {"volume_mm3": 500.0, "greatest_long_axis_mm": 20.0, "area_mm2": 60.0, LONG: 9.0, SHORT: 8.0}
    before = replace(
        make_reading().findings[0],
        measurements=measured,
        prior=PriorComparison(
            study_instance_uid="1.2.9",
            volume_change_percent=1.0,
            volume_change_ci95=(0.0, 2.0),
            mean_diameter_change_mm=1.5,
        ),
    )
    after = apply(before, [change(ChangeKind.EDITED, Said(measurements={LONG: 12.0}))])
    assert after.measurements == {"volume_mm3": 500.0, LONG: 12.0, SHORT: 8.0, MEAN: 10.0}
    assert after.axes is None
    assert after.prior is not None
    assert (after.prior.volume_change_percent, after.prior.mean_diameter_change_mm) == (1.0, None)


def test_a_reading_is_revised_with_its_mask_and_keeps_its_names() -> None:
    reading = make_reading()
    revised = revise(reading, {UID: (OUTLINED, change(ChangeKind.EDITED, Said(label="cyst")))})
    assert revised.segments[0].mask.voxel_count == 1
    assert revised.finding_names == reading.finding_names
    assert revised.findings[0].label == "cyst"
    assert revise(reading, {}) == reading


def test_what_is_added_is_numbered_in_its_order() -> None:
    place = Slice(series_instance_uid="1", sop_instance_uid="1.1", number=1)
    several = {
        f"2.25.{number}": (
            change(ChangeKind.ADDED, Said(label=label, place=place), f"2.25.{number}", number),
        )
        for number, label in ((8, "later"), (3, "first"))
    }
    assert [(name, one.said.label) for name, one in added(several)] == [
        ("Added 1", "first"),
        ("Added 2", "later"),
    ]


@pytest.mark.parametrize(
    "measurements",
    [{LONG: 0.0}, {LONG: -1.0}, {LONG: 3.0, SHORT: 4.0}, {"girth": 3.0}, {LONG: float("nan")}],
)
def test_sizes_that_cannot_be_are_refused(measurements: dict[str, float]) -> None:
    with pytest.raises(ValueError):
        Said(measurements=measurements)


def test_the_mean_needs_both_axes() -> None:
    assert lengths(9.0, 7.0)[MEAN] == 8.0
    assert lengths(None, 7.0) == {SHORT: 7.0}


@pytest.mark.parametrize("kind", [ChangeKind.OUTLINED, ChangeKind.ADDED])
def test_a_change_has_what_its_kind_needs(kind: ChangeKind) -> None:
    with pytest.raises(ValueError):
        change(kind)


@given(hnp.arrays(bool, hnp.array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=7)))
def test_any_mask_comes_back_from_text(array: np.ndarray) -> None:
    mask = Mask.from_array(array)
    again = unpack_mask(pack_mask(mask))
    assert again.digest == mask.digest


def test_text_that_claims_more_than_it_holds_is_refused() -> None:
    head, _, bits = pack_mask(outline().mask).partition("\n")
    larger = head.replace("[1, 1, 1]", "[4, 5, 6]").replace("[0, 0, 0]", "[0, 0, 0]")
    assert larger != head
    with pytest.raises(ValueError, match="cut short"):
        unpack_mask(f"{larger}\n{bits}")
