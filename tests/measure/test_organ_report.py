"""What masks of organs say, and what they may not say."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.measure.texture.phantom import volume_of
from wetread.domain.code import Code
from wetread.domain.mask import Mask
from wetread.domain.measurement import MEASUREMENTS
from wetread.domain.study import Instance, Series
from wetread.measure.native import Acquisition, Phase, find_phase, read_acquisition
from wetread.measure.organ_code import Organ, find_organ
from wetread.measure.organ_report import Limits, MarkedOrgan, Sign, report_organs

SPACING_MM = (2.5, 1.0, 1.0)
SHAPE = (12, 60, 90)
NATIVE = Acquisition(agent="NONE", kvp=120.0, thickness_mm=2.5)
LIVER, SPLEEN, AORTA = "10200004", "78961009", "15825003"
L1, L3, L4 = "66794005", "36470004", "11994002"
CORONARY, RIGHT_CORONARY, HEART = "41801008", "13647002", "80891009"
MUSCLE, SKIN_FAT = "127954009", "67769002"


def sct(value: str) -> Code:
    return Code(value=value, scheme="SCT", meaning="as somebody called it")


class Body:
    """Boxes of one density each."""

    def __init__(self) -> None:
        self.hu = np.full(SHAPE, 0.0)
        self.marked: list[MarkedOrgan] = []
        self.left = 0

    def add(self, value: str, hu: float, width: int = 12, site: str = "") -> slice:
        """Put a box of an organ beside the others."""
        place = slice(self.left, self.left + width)
        self.left += width + 1
        mask = np.zeros(SHAPE, bool)
        mask[:, 5:45, place] = True
        self.hu[mask] = hu
        known = find_organ(sct(value), sct(site) if site else None)
        assert known is not None
        self.marked.append(MarkedOrgan(known=known, mask=Mask.from_array(mask)))
        return place

    def report(self, acquisition: Acquisition = NATIVE, limits: Limits | None = None):
        return report_organs(volume_of(self.hu, SPACING_MM), self.marked, acquisition, limits)


@pytest.mark.parametrize(
    ("kind", "site", "organ"),
    [
        (sct(LIVER), None, Organ.LIVER),
        (Code(value="T-62000", scheme="SRT", meaning="Liver"), None, Organ.LIVER),
        (Code(value="T-11910", scheme="99SDM", meaning="L1 vertebra"), None, Organ.VERTEBRA),
        (sct("55603005"), sct("22943007"), Organ.VISCERAL_FAT),
        (sct("55603005"), None, None),
        (sct("55603005"), sct(LIVER), None),
        (sct("18115005"), sct(CORONARY), Organ.CALCIUM),
        (sct("18115005"), sct(AORTA), None),
        (sct("18115005"), None, None),
        (Code(value=LIVER, scheme="99MINE", meaning="Liver"), None, None),
        (sct("27925004"), None, None),
        (None, sct(LIVER), None),
    ],
)
def test_organs_are_known_by_code_and_place(kind: Code, site: Code, organ: Organ) -> None:
    found = find_organ(kind, site)
    assert (found.organ if found else None) is organ


@pytest.mark.parametrize(
    ("agent", "aorta_hu", "phase"),
    [
        ("Iomeprol", None, Phase.CONTRAST),
        ("Iomeprol", 40.0, Phase.CONTRAST),
        ("none", None, Phase.NATIVE),
        # What is seen goes before what is written.
        ("NONE", 250.0, Phase.CONTRAST),
        ("", 45.0, Phase.NATIVE),
        ("", 70.0, Phase.NATIVE),
        ("", 71.0, Phase.UNKNOWN),
        ("", 90.0, Phase.CONTRAST),
        ("", None, Phase.UNKNOWN),
    ],
)
def test_the_phase(agent: str, aorta_hu: float | None, phase: Phase) -> None:
    found, reason = find_phase(
        Acquisition(agent=agent), aorta_hu, native_most_hu=70.0, contrast_least_hu=90.0
    )
    assert found is phase
    assert reason


def series(*headers: dict[str, str]) -> Series:
    instances = tuple(
        Instance(
            sop_instance_uid=f"1.{number}",
            sop_class_uid="1.2",
            series_instance_uid="1.2.3",
            study_instance_uid="1.2",
            transfer_syntax_uid="1.2",
            header=header,
            path=Path(),
        )
        for number, header in enumerate(headers)
    )
    return Series(series_instance_uid="1.2.3", instances=instances)


def test_of_numbers_only_what_all_images_say_alike_is_believed() -> None:
    one, other = {"KVP": "120", "SliceThickness": "2.5"}, {"KVP": "120.0", "SliceThickness": "3"}
    found = read_acquisition(series(one, other))
    assert found.kvp == 120
    assert math.isnan(found.thickness_mm)
    for text in ("", "0", "-1", "nan", "high", "80\\140"):
        assert math.isnan(read_acquisition(series({"KVP": text})).kvp)
    # One image with an agent is enough.
    mixed = series({"ContrastBolusAgent": "NONE"}, {"ContrastBolusAgent": "Iohexol"}, {})
    assert read_acquisition(mixed).agent == "Iohexol"
    assert read_acquisition(series({}, {"ContrastBolusAgent": "none"})).agent == "none"


@pytest.mark.parametrize(
    ("liver", "spleen", "is_fatty"),
    [(40.0, 45.0, True), (40.1, 45.0, False), (42.0, 52.0, True), (42.0, 51.9, False), (30.0, None, True)],
)
def test_fat_in_the_liver(liver: float, spleen: float | None, is_fatty: bool) -> None:
    body = Body()
    body.add(LIVER, liver)
    if spleen is not None:
        body.add(SPLEEN, spleen)
    found = body.report()
    assert [one.sign for one in found.conclusions] == ([Sign.FATTY_LIVER] if is_fatty else [])
    assert found.organs[0].measurements["mean_hu"] == pytest.approx(liver)
    assert ("liver_spleen_difference_hu" in found.organs[0].measurements) == (spleen is not None)
    assert found.not_evaluable == ()


@pytest.mark.parametrize(
    ("acquisition", "reason"),
    [
        (replace(NATIVE, agent="Iohexol"), "the header names a contrast agent"),
        (replace(NATIVE, agent=""), "no aorta is marked"),
        (replace(NATIVE, kvp=100.0), "100 kV"),
        (replace(NATIVE, kvp=math.nan), "does not say the tube voltage"),
    ],
)
def test_no_verdict_on_a_ct_that_the_threshold_is_not_of(acquisition: Acquisition, reason: str) -> None:
    body = Body()
    body.add(LIVER, 20.0)
    body.add(L1, 50.0, width=20)
    body.add(CORONARY, 40.0)
    body.hu[5:7, 20:25, body.left - 8] = 300
    found = body.report(acquisition)
    assert found.conclusions == ()
    # The densities themselves are told.
    assert found.organs[0].measurements["mean_hu"] == pytest.approx(20)
    assert found.organs[2].measurements == {}
    about = ("Fat in the liver", "Loss of bone density", "Coronary calcium")
    assert [one.split(":")[0] for one in found.not_evaluable] == list(about)
    assert all(reason in one for one in found.not_evaluable), found.not_evaluable


def test_contrast_agent_that_only_the_aorta_shows() -> None:
    body = Body()
    body.add(LIVER, 30.0)
    body.add(AORTA, 280.0)
    found = body.report()
    assert (found.phase, found.conclusions) == (Phase.CONTRAST, ())
    assert "the aorta has 280 HU" in found.not_evaluable[0]


@pytest.mark.parametrize(("hu", "is_low"), [(110.0, True), (110.5, False)])
def test_the_first_lumbar_vertebra(hu: float, is_low: bool) -> None:
    body = Body()
    place = body.add(L1, hu, width=20)
    # The cortex is not what is asked of.
    body.hu[:, 5:45, place.start] = body.hu[:, 5:45, place.stop - 1] = 800
    found = body.report()
    assert [one.sign for one in found.conclusions] == ([Sign.LOW_VERTEBRA] if is_low else [])
    assert found.organs[0].measurements["mean_hu"] == pytest.approx(hu)
    assert "volume_ml" not in found.organs[0].measurements


def test_another_vertebra_has_a_density_and_no_verdict() -> None:
    body = Body()
    body.add(L4, 60.0, width=20)
    found = body.report()
    assert found.organs[0].measurements["mean_hu"] == pytest.approx(60)
    assert found.conclusions == ()
    assert "only that of the first lumbar vertebra" in found.not_evaluable[0]


def test_what_two_masks_of_arteries_share_counts_once() -> None:
    body = Body()
    place = body.add(CORONARY, 40.0)
    body.hu[5, 20:24, place.start + 3] = 250
    body.marked.append(
        MarkedOrgan(known=find_organ(sct(RIGHT_CORONARY)), mask=body.marked[0].mask)  # type: ignore[arg-type]
    )
    found = body.report(limits=Limits(calcium_mg_per_ml_hu=0.8))
    (calcium,) = found.conclusions
    # 4 pixels of 1 mm2, weight 2, slices of 2.5 mm.
    assert calcium.measurements["agatston_score"] == pytest.approx(4 * 2 * 2.5 / 3)
    assert calcium.measurements["calcium_volume_mm3"] == pytest.approx(10)
    assert calcium.measurements["calcium_mass_mg"] == pytest.approx(0.8 * 250 * 10 / 1000)
    assert calcium.members == (0, 1)
    assert found.organs[1].measurements == found.organs[0].measurements == calcium.measurements
    assert found.not_evaluable == ()


def test_no_calcium_is_a_score_of_0_and_no_conclusion() -> None:
    body = Body()
    body.add(CORONARY, 40.0)
    found = body.report()
    assert found.organs[0].measurements["agatston_score"] == 0
    assert found.conclusions == ()
    assert found.not_evaluable == (
        "Mass of coronary calcium: not evaluable, the scanner is not calibrated for it.",
    )


@pytest.mark.parametrize(
    ("thickness_mm", "step_mm", "reason"),
    [
        (2.5, 2.5, ""),
        (3.0, 3.0, ""),
        (1.0, 1.0, "1 mm thick"),
        (5.0, 5.0, "5 mm thick"),
        (3.0, 1.5, "1.50 mm apart"),
        (math.nan, 3.0, "does not say the slice thickness"),
    ],
)
def test_slices_that_the_score_is_defined_for(thickness_mm: float, step_mm: float, reason: str) -> None:
    body = Body()
    body.add(CORONARY, 40.0)
    acquisition = replace(NATIVE, thickness_mm=thickness_mm)
    found = report_organs(volume_of(body.hu, (step_mm, 1.0, 1.0)), body.marked, acquisition)
    assert bool(found.organs[0].measurements) == (not reason)
    assert reason in found.not_evaluable[0]


def test_a_mask_of_the_whole_heart_is_no_mask_of_its_arteries() -> None:
    body = Body()
    body.add(HEART, 400.0)
    found = body.report()
    assert (found.conclusions, found.organs[0].measurements) == ((), {})
    assert "mark the coronary arteries" in found.not_evaluable[0]


def test_body_composition_is_that_of_the_third_lumbar_vertebra() -> None:
    body = Body()
    place = body.add(MUSCLE, 50.0)
    # Fat in the muscle, on other slices than that of the vertebra's middle.
    body.hu[:3, 5:45, place] = -100
    body.add(SKIN_FAT, -100.0)
    body.add("55603005", -90.0, site="22943007")
    body.add(L3, 150.0, width=20)
    found = body.report()
    muscle, skin, visceral, _ = found.organs
    assert muscle.measurements == pytest.approx({"muscle_area_cm2": 40 * 12 / 100, "muscle_hu": 50})
    assert skin.measurements == pytest.approx({"fat_area_cm2": 4.8})
    assert visceral.measurements == pytest.approx({"fat_area_cm2": 4.8})
    assert muscle.plane == skin.plane == 5
    enhanced = body.report(replace(NATIVE, agent="Iohexol"))
    assert "muscle_hu" not in enhanced.organs[0].measurements
    assert enhanced.organs[0].measurements["muscle_area_cm2"] == pytest.approx(4.8)
    assert any(one.startswith("Density of the muscles: not evaluable") for one in enhanced.not_evaluable)


def test_without_that_vertebra_there_is_none() -> None:
    body = Body()
    body.add(MUSCLE, 50.0)
    body.add(L4, 150.0, width=20)
    found = body.report()
    assert found.organs[0].measurements == {}
    assert any(one.startswith("Body composition: not evaluable") for one in found.not_evaluable)


def test_what_is_too_small_has_no_density() -> None:
    body = Body()
    body.add(LIVER, 50.0, width=2)
    found = body.report()
    assert found.organs[0].measurements == {}
    assert found.not_evaluable[0].startswith("Density of the liver: not evaluable")


def test_every_number_has_a_code_and_a_unit() -> None:
    body = Body()
    body.add(LIVER, 20.0)
    body.add(SPLEEN, 50.0)
    body.add(L3, 100.0, width=20)
    body.add(MUSCLE, 50.0)
    body.add(CORONARY, 40.0)
    names = {name for one in body.report().organs for name in one.measurements}
    assert names <= MEASUREMENTS.keys()
    assert {MEASUREMENTS[name].unit.value for name in names} == {"ml", "[hnsf'U]", "cm2", "1", "mm3"}
