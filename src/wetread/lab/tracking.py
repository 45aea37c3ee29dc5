"""A run told to the MLflow store that a user has.

In: a run's content.  Out: a run in MLflow, where it is installed and MLFLOW_TRACKING_URI is set.
Never: a need for it; an image or a patient.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def track(folder: Path, content: Mapping[str, Any]) -> bool:
    """Tell MLflow of a finished run.

    Returns
    -------
    bool
        Whether there was somebody to tell.
    """
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        return False
    try:
        mlflow = importlib.import_module("mlflow")
    except ImportError:
        return False
    mlflow.set_experiment(content["name"])
    with mlflow.start_run(run_name=folder.name):
        mlflow.set_tags({"wetread.run": content["digest"], "wetread.data": content["data"]["digest"]})
        mlflow.log_params(_flatten(content["plan"]))
        for member in content["members"]:
            for epoch, record in enumerate(member["history"], start=1):
                name = f"fold{member['fold']}_seed{member['seed']}"
                mlflow.log_metrics({f"{name}_{key}": value for key, value in record.items()}, step=epoch)
        mlflow.log_metrics({f"out_of_fold_{key}": value for key, value in content["out_of_fold"].items()})
        for path in [folder / "run.json", *sorted(folder.glob("*.png"))]:
            mlflow.log_artifact(str(path))
    return True


def _flatten(table: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return ``section.word`` -> text, as MLflow wants parameters."""
    flat: dict[str, str] = {}
    for name, value in table.items():
        if isinstance(value, Mapping):
            flat |= _flatten(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = str(value)[:250]
    return flat
