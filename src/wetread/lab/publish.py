"""Make a model package of a run.

In: a run folder, what its plan says of the package.  Out: a package folder in state ``draft``.
Never: a card without data, licence and scores; a package that the registry does not read.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from wetread.domain.model import Model
from wetread.errors import InvalidPlan
from wetread.imaging.recipe import recipe_from_table, recipe_to_table
from wetread.imaging.recipe_steps import Resize
from wetread.lab.export import export_onnx
from wetread.lab.plan import Dimensions, Plan, Task
from wetread.lab.run import Run, read_run
from wetread.registry import read_package
from wetread.registry.package import FILE_NAME
from wetread.registry.toml_text import to_toml
from wetread.stats.classify import decision_rates
from wetread.stats.interval import Interval
from wetread.stats.roc import auc_interval

WEIGHTS = "model.onnx"
_NEEDED = ("title", "intended_use", "eligibility", "card")
_CARD = ("data", "licence", "limits")
_ARRANGEMENTS = {Dimensions.FLAT: "planes", Dimensions.NEIGHBOURS: "slab", Dimensions.BLOCK: "volume"}
#: From a voxel on it is marked; networks are trained so that this is the middle.
_HALF = 0.5


def publish(run_folder: Path, out: Path, *, weights: Path | None = None) -> Model:
    """Write a package and read it back.

    Parameters
    ----------
    weights
        Optimised weights of the run; None: they are exported now.

    Raises
    ------
    InvalidPlan
        If the plan's ``[package]`` lacks something, or its task needs more than a network to be served.
    ParityLost
        If the exported network answers otherwise than the trained one.
    """
    run = read_run(run_folder)
    _check(run.plan)
    out.mkdir(parents=True, exist_ok=True)
    if weights is None:
        export_onnx(run, out / WEIGHTS, halved=run.plan.task is not Task.REGRESSION)
    else:
        shutil.copyfile(weights, out / WEIGHTS)
    (out / FILE_NAME).write_text(to_toml(_content(run)), encoding="utf-8")
    return read_package(out)


def _check(plan: Plan) -> None:
    for word in _NEEDED:
        if word not in plan.package:
            raise InvalidPlan(f"package.{word} is missing: a package cannot go without.")
    for word in _CARD:
        if word not in plan.package["card"]:
            raise InvalidPlan(f"package.card.{word} is missing: a card cannot go without.")
    if plan.task is Task.SEGMENTATION and "output" not in plan.package:
        raise InvalidPlan("package.output is missing: say what is marked (label, code, scheme, meaning).")
    is_whole = plan.task in (Task.CLASSIFICATION, Task.REGRESSION)
    if plan.task is Task.DETECTION or (is_whole and plan.input.dimensions is not Dimensions.FLAT):
        raise InvalidPlan(
            "Published by itself is what marks voxels or judges flat images; candidates, and slabs or blocks"
            " that are judged, need an entry point that puts them together: write model.toml by hand."
        )


def _content(run: Run) -> dict[str, Any]:
    plan, package = run.plan, run.plan.package
    content: dict[str, Any] = {
        "name": plan.name,
        "version": str(package.get("version", "0.1.0")),
        "title": package["title"],
        "intended_use": package["intended_use"],
        "state": "draft",
        "operating_point": "default",
        "eligibility": package["eligibility"],
        "runtime": {"kind": "onnx", "file": WEIGHTS} | _arrangement(plan),
        "task": _task(run),
        "recipe": _recipe(plan),
    }
    content |= {name: package[name] for name in ("output", "acceptance") if name in package}
    if plan.task is Task.SEGMENTATION:
        content["output"] = {"channel": plan.data.classes.index(plan.data.positive)} | content["output"]
    content["card"] = dict(package["card"]) | _trained(run)
    return content


def _arrangement(plan: Plan) -> dict[str, Any]:
    shape, sides = plan.input, list(plan.input.patch)
    told: dict[str, Any] = {"arrangement": _ARRANGEMENTS[shape.dimensions]}
    if shape.dimensions is Dimensions.NEIGHBOURS:
        told["reach"] = shape.planes // 2
    if plan.task is Task.SEGMENTATION:
        # The network sees patches, whatever the size of the image.
        told["window"] = sides if shape.dimensions is Dimensions.BLOCK else [1, *sides]
    return told


def _task(run: Run) -> dict[str, Any]:
    plan, point = run.plan, run.operating_point
    if plan.task is Task.REGRESSION:
        return {"kind": "regression"}
    task: dict[str, Any] = {
        "kind": plan.task.value,
        "classes": list(plan.data.classes),
        "positive": plan.data.positive,
    }
    if plan.task is Task.SEGMENTATION:
        return task | {"threshold": _HALF}
    return task if point is None else task | {"threshold": round(point.threshold, 6)}


def _recipe(plan: Plan) -> dict[str, Any]:
    """Return the recipe of training; where whole images are judged it ends in the size of training."""
    recipe = recipe_from_table(plan.recipe)
    if plan.task is Task.SEGMENTATION:
        return recipe_to_table(recipe)
    rows, columns = plan.input.patch
    return recipe_to_table(type(recipe)((*recipe.steps, Resize(shape=(0, rows, columns)))))


def _trained(run: Run) -> dict[str, str]:
    """Return what the run itself tells: who was trained on, by what, with which scores."""
    data = run.content["data"]
    # Where each image counts as a patient, the data may name none: then no more is claimed.
    is_by_image = data["patients"] == data["samples"]
    whose = "each taken for a patient of its own" if is_by_image else f"of {data['patients']} patients"
    told = {
        "trained_on": f"{data['name']}: {data['samples']} images, {whose}, sha256 {data['digest']}.",
        "run": f"{run.folder.name}; networks {len(run.members)}; torch {run.content['versions']['torch']}.",
    }
    scores = _out_of_fold(run)
    if scores:
        unseen = "image" if is_by_image else "patient"
        told["metrics"] = f"By networks that had not seen the {unseen}: " + "; ".join(
            f"{name} {one.value:.3f} ({one.low:.3f} to {one.high:.3f})" for name, one in scores.items()
        )
    return told


def _out_of_fold(run: Run) -> Mapping[str, Interval]:
    point, plan = run.operating_point, run.plan
    if point is None:
        return {}
    with np.load(run.folder / "out_of_fold.npz", allow_pickle=False) as arrays:
        said, truth, ids = arrays["said"], arrays["truth"], arrays["ids"]
    positive = plan.data.classes.index(plan.data.positive)
    margin = said[:, positive] - said[:, 1 - positive]
    probability, labels = point.probability(margin), truth == positive
    rates = decision_rates(labels, probability >= point.threshold, ids)
    return {"AUC": auc_interval(labels, probability, ids)} | {
        name: rates[name] for name in ("accuracy", "sensitivity", "specificity")
    }
