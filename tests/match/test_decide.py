"""Which series is read, and for every other one why not."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from tests.dicom.small_ct import Edit, SmallCt, data_folder, read_ct
from wetread.dicom.header import read_instance
from wetread.domain.model import Eligibility, Model
from wetread.domain.study import Study, group_instances
from wetread.match import Match, default_rules, find_rule, match_study, parse_rules
from wetread.registry import read_models

CHEST = read_models()["chest-ct"]
LOOSE = dataclasses.replace(
    CHEST,
    eligibility=Eligibility(
        modalities=("CT",),
        minimum_slices=5,
        maximum_slice_spacing_mm=3.0,
        maximum_slice_thickness_mm=3.0,
        minimum_extent_mm=5.0,
        minimum_age_years=18,
        allows_contrast_agent=False,
        preferred_kernels=("B31", "B40"),
        preferred_slice_spacing_mm=1.25,
    ),
)


def match(study: Study, *tables: dict, model: Model = LOOSE) -> Match:
    rules = parse_rules(list(tables)) if tables else default_rules()
    return match_study(study, {model.identity.name: model}, rules)


def put(keyword: str, value: object) -> Edit:
    def edit(ds: Dataset, plane: int) -> None:
        setattr(ds, keyword, value)

    return edit


def refused(study: Study) -> list[str]:
    (model,) = match(study).models
    assert not model.is_chosen
    text = json.dumps(match(study).to_json())
    assert "Doe" not in text
    assert "SECRET" not in text
    return [problem.code.value for problem in model.problems]


def test_the_one_suitable_series_is_chosen(tmp_path: Path) -> None:
    found = match(read_ct(tmp_path, SmallCt()))
    (chosen,) = found.chosen
    assert (chosen.model, chosen.series_instance_uid, chosen.rule) == ("chest-ct", "1.2.3.1", "CT")
    assert "5 slices of 2.00 mm" in chosen.reason
    assert chosen.problems == ()


def drop_gap(ds: Dataset, plane: int) -> None:
    if plane == 4:
        ds.ImagePositionPatient = [-20, -30, 120]


def duplicate(ds: Dataset, plane: int) -> None:
    if plane == 4:
        ds.ImagePositionPatient = [-20, -30, 106]


def turn_first(ds: Dataset, plane: int) -> None:
    if plane == 0:
        ds.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]


@pytest.mark.parametrize(
    ("ct", "codes"),
    [
        (SmallCt(shape=(1, 8, 10)), ["too-few-slices"]),
        (SmallCt(spacing_mm=(0.5, 1, 1)), ["too-few-slices"]),
        (SmallCt(spacing_mm=(5, 1, 1)), ["slices-too-thick"]),
        (SmallCt(edit=put("SliceThickness", 5)), ["slices-too-thick"]),
        (SmallCt(edit=put("ImageType", ["ORIGINAL", "PRIMARY", "LOCALIZER"])), ["localizer"]),
        (SmallCt(edit=put("ImageType", ["DERIVED", "SECONDARY", "REFORMATTED"])), ["derived-image"]),
        (SmallCt(edit=put("ImageType", ["DERIVED", "PRIMARY", "AXIAL", "MIP"])), ["derived-image"]),
        (SmallCt(edit=drop_gap), ["slice-gap"]),
        (SmallCt(edit=duplicate), ["duplicate-positions"]),
        (SmallCt(edit=turn_first), ["mixed-orientations"]),
        (SmallCt(edit=lambda ds, _plane: delattr(ds, "ImagePositionPatient")), ["missing-geometry"]),
        (SmallCt(edit=put("ImageOrientationPatient", [1, 0, 0, 1, 0, 0])), ["invalid-geometry"]),
        (SmallCt(edit=lambda ds, _plane: delattr(ds, "RescaleSlope")), ["missing-rescale"]),
        (SmallCt(edit=put("PatientAge", "006M")), ["age-out-of-range"]),
        (SmallCt(edit=put("ContrastBolusAgent", "OMNIPAQUE")), ["contrast-agent"]),
    ],
)
def test_what_the_model_may_not_read_has_its_code(tmp_path: Path, ct: SmallCt, codes: list[str]) -> None:
    assert refused(read_ct(tmp_path, ct)) == ["no-suitable-series", *codes]


def test_coronal_slices_are_not_axial(tmp_path: Path) -> None:
    axes = [[1.0, 0, 0], [0, 0, -1.0], [0, 1.0, 0]]
    assert refused(read_ct(tmp_path, SmallCt(axes=np.array(axes)))) == ["no-suitable-series", "not-axial"]


def test_age_is_told_from_the_birth_date_too(tmp_path: Path) -> None:
    def edit(ds: Dataset, plane: int) -> None:
        ds.PatientAge, ds.PatientBirthDate, ds.StudyDate = "", "20200101", "20260101"

    assert "age-out-of-range" in refused(read_ct(tmp_path, SmallCt(edit=edit)))


def test_an_unknown_age_and_no_contrast_pass(tmp_path: Path) -> None:
    def edit(ds: Dataset, plane: int) -> None:
        ds.PatientAge, ds.ContrastBolusAgent = "", "NONE"

    assert match(read_ct(tmp_path, SmallCt(edit=edit))).chosen


def series(number: int, step: float = 1.25, count: int = 8, kernel: str = "B31f", **more: object) -> SmallCt:
    def edit(ds: Dataset, plane: int) -> None:
        ds.SeriesNumber, ds.ConvolutionKernel = number, kernel
        for keyword, value in more.items():
            setattr(ds, keyword, value)

    return SmallCt(shape=(count, 4, 4), spacing_mm=(step, 1, 1), series_uid=f"1.2.3.{number}", edit=edit)


@pytest.mark.parametrize(
    ("best", "other", "why"),
    [
        (series(1), series(2, step=2.5, count=5), "slice spacing of 2.50 mm"),
        (series(1, step=2.5), series(2, step=1.0, count=10), "covers much less"),
        (series(2), series(1, kernel="B70h"), "kernel is less wanted"),
        (series(2), series(1, kernel="B40f"), "kernel is less wanted"),
        (series(2, step=1.2), series(1), "slices of 1.25 mm are thicker"),
        (series(2, count=10), series(1, count=9), "fewer slices (9)"),
        (series(1), series(2), "equals the chosen one"),
        (series(2, step=1.25, count=20), series(1, step=1.25, count=8), "covers much less"),
    ],
)
def test_the_best_series_and_why_not_the_other(
    tmp_path: Path, best: SmallCt, other: SmallCt, why: str
) -> None:
    found = match(read_ct(tmp_path, other, best))
    (chosen,) = found.chosen
    assert chosen.series_instance_uid == best.series_uid
    assert "best of the suitable series" in chosen.reason
    assert why in chosen.places[other.series_uid]
    assert [one.series_instance_uid for one in chosen.series] == [best.series_uid, other.series_uid]


def test_localizers_and_reformats_beside_the_best_series_are_explained(tmp_path: Path) -> None:
    scout = series(9, count=2, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    mip = series(8, ImageType=["DERIVED", "SECONDARY", "AXIAL", "MIP"])
    plain = match(read_ct(tmp_path, scout, mip, series(2))).to_json()
    (model,) = plain["models"]
    assert model["chosen_series"] == "1.2.3.2"
    codes = {one["series_instance_uid"]: [p["code"] for p in one["problems"]] for one in model["series"]}
    assert codes == {"1.2.3.2": [], "1.2.3.9": ["localizer"], "1.2.3.8": ["derived-image"]}
    json.dumps(plain, allow_nan=False)


def test_wrong_modality_names_the_failed_condition(tmp_path: Path) -> None:
    study = read_ct(tmp_path, SmallCt(edit=put("Modality", "MR")))
    (model,) = match(study).models
    assert [problem.code.value for problem in model.problems] == ["rule-not-met"]
    assert "Modality must be CT, found 'MR'" in model.reason
    (by_guard,) = match(study, {"name": "all", "models": ["chest-ct"]}).models
    assert [problem.code.value for problem in by_guard.problems] == ["no-suitable-series", "wrong-modality"]


def test_the_order_of_arrival_does_not_matter(tmp_path: Path) -> None:
    study = read_ct(tmp_path, series(1), series(2), series(3, step=2.5))
    turned = dataclasses.replace(study, series=tuple(reversed(study.series)))
    assert match(study).chosen[0].series_instance_uid == match(turned).chosen[0].series_instance_uid


def test_a_study_rule_makes_every_series_a_candidate(tmp_path: Path) -> None:
    lung = series(1, step=2.5, SeriesDescription="Lung")
    soft = series(2, count=16, SeriesDescription="Soft")
    study = read_ct(tmp_path, lung, soft)
    table = {"name": "lung", "models": ["chest-ct"], "description": "lung"}
    assert match(study, table).chosen[0].series_instance_uid == "1.2.3.2"
    narrow = match(study, {**table, "level": "series"})
    assert narrow.chosen[0].series_instance_uid == "1.2.3.1"
    assert "rule-not-met" in json.dumps(narrow.to_json())


def test_the_first_rule_that_applies_asks(tmp_path: Path) -> None:
    study = read_ct(tmp_path, SmallCt())
    mr = {"name": "mr", "models": ["chest-ct"], "modality": "MR"}
    ct = {"name": "ct", "models": ["chest-ct"], "modality": "CT", "urgency": "urgent", "quiet_s": 3}
    assert match(study, mr, ct).chosen[0].rule == "ct"
    rule = find_rule(study, parse_rules([mr, ct]))
    assert rule is not None
    assert (rule.name, rule.quiet_s, rule.urgency.value) == ("ct", 3.0, "urgent")
    assert find_rule(study, parse_rules([mr])) is None


def test_models_that_nobody_asks_and_that_nobody_registered_are_named(tmp_path: Path) -> None:
    study = read_ct(tmp_path, SmallCt())
    found = match(study, {"name": "ct", "models": ["chest-kt"]})
    assert {model.model: model.problems[0].code.value for model in found.models} == {
        "chest-ct": "no-rule-applies",
        "chest-kt": "unknown-model",
    }


def test_a_retired_model_does_not_read(tmp_path: Path) -> None:
    study = read_ct(tmp_path, SmallCt())
    (model,) = match(study, model=dataclasses.replace(LOOSE, state="retired")).models
    assert not model.is_chosen
    assert "retired" in model.reason


def test_the_real_chest_series_is_read_by_the_built_in_model() -> None:
    paths = sorted(data_folder("ct_chest_series").glob("*.dcm"))
    (study,) = group_instances([read_instance(path) for path in paths])
    (chosen,) = match(study, model=CHEST).chosen
    assert "98 slices of 1.00 mm" in chosen.reason


def test_real_single_slices_are_refused_with_reasons() -> None:
    paths = sorted(data_folder("ct_two_dates").glob("*/*/*.dcm"))
    for study in group_instances([read_instance(path) for path in paths]):
        found = match(study, model=CHEST)
        assert not found.chosen
        for model in found.models:
            assert model.problems
            assert len(model.series) == len(study.series)
