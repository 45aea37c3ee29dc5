"""Small real MONAI bundles, in the layout of the model zoo."""

from __future__ import annotations

import copy
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from wetread.domain.volume import Volume
from wetread.imaging.nifti import nifti_affine

METADATA: dict[str, Any] = {
    "schema": "https://example.org/meta_schema.json",
    "version": "0.2.1",
    "monai_version": "1.6.0",
    "name": "Bright things in CT",
    "task": "Bright things in CT",
    "authors": "Somebody",
    "copyright": "Apache-2.0",
    "data_source": "made up",
    "intended_use": "This is an example, not to be used for diagnostic purposes",
    "eval_metrics": {"mean_dice": 0.96},
    "network_data_format": {
        "inputs": {"image": {"type": "image", "modality": "CT", "num_channels": 1}},
        "outputs": {
            "pred": {
                "type": "image",
                "format": "segmentation",
                "num_channels": 2,
                "channel_def": {"0": "background", "1": "nodule"},
            }
        },
    },
}
#: As the zoo's: expressions in all that only a training machine needs.
INFERENCE: dict[str, Any] = {
    "imports": ["$import glob", "$import os"],
    "bundle_root": ".",
    "image_key": "image",
    "highres": True,
    "output_dir": "$@bundle_root + '/eval'",
    "datalist": "$list(sorted(glob.glob(@bundle_root + '/imagesTs/*.nii.gz')))",
    "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
    "network_def": {"_target_": "UNet", "spatial_dims": 3},
    "network": "$@network_def.to(@device)",
    "preprocessing": {
        "_target_": "Compose",
        "transforms": [
            {"_target_": "LoadImaged", "keys": "@image_key"},
            {"_target_": "EnsureChannelFirstd", "keys": "image", "channel_dim": "no_channel"},
            {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS"},
            {
                "_target_": "Spacingd",
                "keys": "image",
                "pixdim": "$[1.5, 1.4, 2.0] if @highres else [3.0, 3.0, 3.0]",
                "mode": "bilinear",
            },
            {
                "_target_": "monai.transforms.ScaleIntensityRanged",
                "keys": "image",
                "a_min": -200,
                "a_max": 200,
                "b_min": 0.0,
                "b_max": 1.0,
                "clip": True,
            },
            {"_target_": "EnsureTyped", "keys": "image"},
        ],
    },
    "inferer": {
        "_target_": "SlidingWindowInferer",
        "roi_size": [16, 24, 16],
        "sw_batch_size": 4,
        "overlap": 0.5,
    },
    "postprocessing": {
        "_target_": "Compose",
        "transforms": [
            {"_target_": "Activationsd", "keys": "pred", "softmax": True},
            {
                "_target_": "Invertd",
                "keys": "pred",
                "transform": "@preprocessing",
                "orig_keys": "image",
                "nearest_interp": False,
                "to_tensor": True,
            },
            {"_target_": "AsDiscreted", "keys": "pred", "argmax": True},
            {"_target_": "SaveImaged", "keys": "pred", "output_dir": "@output_dir"},
        ],
    },
    "run": ["$@evaluator.run()"],
}


def inference(**changes: Any) -> dict[str, Any]:
    """Return the configuration with the values at ``a#b#0`` changed."""
    content = copy.deepcopy(INFERENCE)
    for where, value in changes.items():
        found: Any = content
        *path, last = where.split("#")
        for part in path:
            found = found[int(part)] if isinstance(found, list) else found[part]
        if isinstance(found, list):
            found[int(last)] = value
        else:
            found[last] = value
    return content


def write_bundle(
    folder: Path, config: dict[str, Any] | None = None, metadata: dict[str, Any] | None = None
) -> Path:
    """Write a bundle without weights."""
    (folder / "configs").mkdir(parents=True)
    (folder / "models").mkdir()
    (folder / "configs/metadata.json").write_text(json.dumps(metadata or METADATA))
    (folder / "configs/inference.json").write_text(json.dumps(config or INFERENCE))
    (folder / "LICENSE").write_text("Apache License 2.0")
    return folder


def zip_bundle(folder: Path, path: Path) -> Path:
    """Write a bundle as the zoo hands it out: a zip with one folder."""
    with zipfile.ZipFile(path, "w") as archive:
        for one in sorted(folder.rglob("*")):
            if one.is_file():
                archive.write(one, Path(folder.name) / one.relative_to(folder))
    return path


def network(channels: int = 2) -> Any:
    """A network that marks what is bright a little to the right, front and head of itself.

    Seen any other way than right, front, head it would mark another place.
    """
    import torch
    from torch import nn

    net = nn.Conv3d(1, channels, 5, padding=2)
    weight = torch.zeros(channels, 1, 5, 5, 5)
    weight[1, 0, 4, 3, 3] = 12.0
    weight[1, 0, 2, 2, 2] = 8.0
    if channels > 2:
        weight[2, 0, 0, 2, 2] = 16.0
    net.weight = nn.Parameter(weight)
    net.bias = nn.Parameter(torch.tensor([0.0, -11.0, -11.0, -11.0][:channels]))
    return net.eval()


def save_script(net: Any, path: Path) -> Path:
    """Write a network as TorchScript, as ``monai.bundle ckpt_export`` does."""
    import torch

    torch.jit.script(net).save(str(path))
    return path


def infer_by_monai(config: dict[str, Any], net: Any, volume: Volume) -> np.ndarray:
    """Run a bundle as MONAI does, but for files; what it says: (channels, planes, rows, columns).

    The affine is not rounded to the single precision of a NIfTI file: of rounded oblique ones MONAI takes
    other sampling points, up to half a voxel away (``monai.data.utils.compute_shape_offset``).
    """
    import torch
    from monai.bundle import ConfigParser
    from monai.data import MetaTensor

    config = copy.deepcopy(config)
    del config["imports"]
    for name, left_out in (("preprocessing", "LoadImaged"), ("postprocessing", "SaveImaged")):
        steps = config[name]["transforms"]
        config[name]["transforms"] = [one for one in steps if one["_target_"] != left_out]
    parser = ConfigParser(config)
    parser.parse()
    voxels = torch.as_tensor(np.transpose(volume.voxels, (2, 1, 0)).astype(np.float32).copy())
    image = MetaTensor(voxels, affine=torch.as_tensor(nifti_affine(volume.grid)))
    data = parser.get_parsed_content("preprocessing")({"image": image})
    with torch.inference_mode():
        pred = parser.get_parsed_content("inferer")(data["image"][None], net)[0]
    found = np.asarray(parser.get_parsed_content("postprocessing")({**data, "pred": pred})["pred"])
    return np.transpose(found, (0, 3, 2, 1))
