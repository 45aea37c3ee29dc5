"""Every architecture takes and gives what its task needs; boxes and augmentation do what they say."""

from pathlib import Path

import pytest
import torch

from tests.lab.sets import make_plan
from wetread.errors import InvalidPlan
from wetread.lab.augment import augment, blur
from wetread.lab.boxes import boxes_of, decode, encode, match_anchors, overlap, suppress
from wetread.lab.detections import detection_score
from wetread.lab.networks import build_network
from wetread.lab.networks.build import shape_of
from wetread.lab.networks.retinanet import anchors_of
from wetread.lab.plan import AugmentationPlan

NOTHING = AugmentationPlan(
    rotate_degrees=0, scale=0, shift=0, intensity_scale=0, intensity_shift=0, gamma=0, noise=0
)


@pytest.mark.parametrize("patch", [[32, 32], [32, 32, 32]], ids=["flat", "block"])
@pytest.mark.parametrize(
    ("task", "kind", "layers"),
    [
        ("classification", "resnet", [1, 1, 1, 1]),
        ("classification", "densenet", [1, 2]),
        ("classification", "efficientnet", [1]),
        ("classification", "vit", [1, 1]),
        ("classification", "vgg", [1, 1, 2]),
        ("classification", "inception", [1, 1]),
        ("segmentation", "unet", [1, 1, 1]),
        ("segmentation", "residual-unet", [2, 2, 2]),
        ("segmentation", "attention-unet", [1, 1, 1]),
        ("segmentation", "swin-unetr", [1]),
        ("segmentation", "deeplabv3plus", [1]),
        ("detection", "heatmap", [1, 1, 1]),
        ("detection", "retinanet", [1]),
    ],
)
def test_shapes(tmp_path: Path, task: str, kind: str, layers: list[int], patch: list[int]) -> None:
    if kind == "swin-unetr":
        patch = [64 for _ in patch]
    plan = make_plan(
        tmp_path,
        task=task,
        data={"classes": ["background", "a", "b"], "positive": "b"},
        input={"patch": patch, "dimensions": "3d" if len(patch) == 3 else "2d"},
        network={"kind": kind, "layers": layers, "width": 8},
    )
    network = build_network(plan).eval()
    with torch.inference_mode():
        said = network(torch.randn(2, shape_of(plan).channels, *patch))
    axes = len(patch)
    wanted = {
        "classification": (2, 3),
        "segmentation": (2, 3, *patch),
        "detection": (2, 2 + axes, *patch),
    }[task]
    if kind == "retinanet":
        wanted = (2, len(anchors_of(tuple(patch))[0]), 2 + 2 * axes)
    assert tuple(said.shape) == wanted
    assert torch.isfinite(said).all()


def test_a_network_for_another_task_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidPlan, match="resnet"):
        build_network(make_plan(tmp_path, network={"kind": "unet"}))
    with pytest.raises(InvalidPlan, match="four stages"):
        build_network(make_plan(tmp_path, network={"layers": [1, 1]}))


@pytest.mark.parametrize("axes", [2, 3])
def test_a_mask_moves_with_its_image(axes: int) -> None:
    masks = torch.zeros(4, *[24] * axes, dtype=torch.long)
    masks[(slice(None), *[slice(8, 16)] * axes)] = 1
    images = masks[:, None].float() * 10
    plan = AugmentationPlan(
        rotate_degrees=20, scale=0.2, shift=0.1, flip=True, elastic=0.02, intensity_scale=0,
        intensity_shift=0, gamma=0, noise=0,
    )  # fmt: skip
    moved, following = augment(images, masks, plan, torch.Generator().manual_seed(1))
    assert following is not None
    assert set(following.unique().tolist()) == {0, 1}
    assert not torch.equal(following, masks)
    # Where both were moved alike, a voxel is marked where it is bright; the edges lie in between.
    assert ((moved[:, 0] > 5) == (following > 0)).float().mean() > 0.97
    again, _ = augment(images, masks, plan, torch.Generator().manual_seed(1))
    assert torch.equal(moved, again)


@pytest.mark.parametrize(
    "word", ["intensity_scale", "intensity_shift", "gamma", "noise", "blur", "low_dose", "elastic", "shift"]
)
def test_each_kind_changes_something_and_zero_nothing(word: str) -> None:
    from dataclasses import replace

    images = torch.randn(3, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    still, _ = augment(images, None, NOTHING, torch.Generator().manual_seed(0))
    assert torch.equal(still, images)
    changed, _ = augment(images, None, replace(NOTHING, **{word: 0.9}), torch.Generator().manual_seed(0))
    assert not torch.allclose(changed, images)
    assert torch.isfinite(changed).all()


def test_blur_keeps_the_sum() -> None:
    images = torch.zeros(1, 1, 21, 21)
    images[0, 0, 10, 10] = 1
    blurred = blur(images, 1.5)
    assert blurred.sum() == pytest.approx(1, abs=1e-5)
    assert float(blurred.max()) == pytest.approx(1 / (2 * torch.pi * 1.5**2), rel=0.05)


def test_boxes_are_what_is_connected() -> None:
    mask = torch.zeros(16, 16, dtype=torch.long)
    mask[2:5, 3:9] = 1
    mask[10:12, 10:12] = 2
    boxes, classes = boxes_of(mask)
    assert boxes.tolist() == [[2, 3, 5, 9], [10, 10, 12, 12]]
    assert classes.tolist() == [0, 1]
    assert boxes_of(torch.zeros(4, 4, dtype=torch.long))[0].shape == (0, 4)


def test_matching_takes_near_anchors_that_overlap() -> None:
    anchors, levels = anchors_of((64, 64))
    boxes = torch.tensor([[10.0, 10.0, 22.0, 22.0], [30.0, 30.0, 60.0, 60.0], [1.0, 50.0, 3.0, 52.0]])
    matched = match_anchors(anchors, levels, boxes)
    for number in range(len(boxes)):
        own = anchors[matched == number]
        assert len(own)
        assert overlap(own, boxes[number : number + 1]).min() > 0
    coarse = matched[levels[0] :]
    assert (coarse == 1).any(), "the large box belongs to a coarser level"
    assert not (coarse == 0).any()


def test_boxes_are_encoded_and_decoded() -> None:
    anchors, _ = anchors_of((32, 32, 32))
    boxes = torch.tensor([[1.0, 2.0, 3.0, 9.0, 8.0, 7.0]]).expand(len(anchors), 6)
    assert torch.allclose(decode(encode(boxes, anchors), anchors), boxes, atol=1e-3)


def test_of_boxes_that_say_the_same_the_best_stays() -> None:
    boxes = torch.tensor([[0.0, 0.0, 10.0, 10.0], [1.0, 1.0, 11.0, 11.0], [20.0, 20.0, 30.0, 30.0]])
    assert suppress(boxes, torch.tensor([0.5, 0.9, 0.1])).tolist() == [1, 2]


def test_perfect_and_empty_answers_score_as_they_should() -> None:
    mask = torch.zeros(1, 32, 32, dtype=torch.long)
    mask[0, 8:16, 8:16] = 1
    said = torch.full((1, 3, 32, 32), -8.0)
    said[:, 1:] = 2.0
    said[0, 0, 12, 12] = 4.0
    assert detection_score([said], [mask], is_retinanet=False)["average_precision"] == 1
    said[0, 0, 12, 12] = -8.0
    assert detection_score([said], [mask], is_retinanet=False)["average_precision"] == 0
