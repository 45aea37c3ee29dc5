"""A MONAI bundle, as the model zoo has them, becomes a package.

In: a bundle's folder, by anybody.  Out: a package folder, a draft: ``model.toml``, weights, licence.
Never: code of the bundle run or taken over; a pickled checkpoint opened; what it does not say guessed.

References
----------
MONAI bundle specification: ``configs/metadata.json``, ``configs/inference.json``, ``models/``.
"""

from __future__ import annotations

import re
import shutil
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wetread.archive import open_archive
from wetread.dicom.segment_words import find_segment_code
from wetread.domain.code import Code
from wetread.errors import InvalidCheckpoint, InvalidPackage
from wetread.measure.orientation import axis_order
from wetread.registry.bundle_config import BundleConfig, read_json
from wetread.registry.bundle_recipe import Handling, read_handling
from wetread.registry.files import ARCHIVE_ERRORS
from wetread.registry.schema import SCHEMES
from wetread.registry.toml_text import to_toml

METADATA = Path("configs/metadata.json")
_INFERENCE = "inference.json"
WEIGHTS = "model.onnx"
_MOST_TEXT = 600
_MOST_LICENCE_BYTES = 1 << 20
_VERSION = re.compile(r"\d+\.\d+\.\d+(?:[-+.][0-9A-Za-z.-]{1,32})?")
#: Given TorchScript, where ONNX is to be written, and the tensor's lengths along its own axes or ().
ToOnnx = Callable[[Path, Path, tuple[int, ...]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What whoever adds a package says of it; ``""`` or None: as it says itself."""

    name: str = ""
    version: str = ""
    #: Which channel marks what is looked for: its number, or its name in the bundle's metadata.
    channel: str = ""
    #: Of what is marked: ``SCHEME:CODE:MEANING``.
    code: str = ""
    modality: str = ""
    #: Where the tensor's axes point to, for a bundle that does not turn its images itself.
    axes: str = ""
    #: File in the bundle's ``models`` folder, where there are several.
    weights: str = ""


def is_bundle(folder: Path) -> bool:
    """Tell whether a folder is a MONAI bundle."""
    return (folder / METADATA).is_file()


def convert_bundle(folder: Path, out: Path, wishes: Wishes, to_onnx: ToOnnx) -> None:
    """Write the package that a bundle makes.

    Parameters
    ----------
    to_onnx
        Turns TorchScript into ONNX, in a process of its own.

    Raises
    ------
    InvalidPackage
        Naming what the bundle holds that has no counterpart, or lacks.
    InvalidCheckpoint
        If its only weights are a pickled checkpoint.
    """
    metadata = read_json(folder / METADATA)
    config = _read_config(folder)
    handling = read_handling(config, wishes.axes)
    weights = find_weights(folder / "models", wishes.weights)
    content = _content(folder, metadata, handling, wishes, weights.name)
    out.mkdir(parents=True, exist_ok=True)
    if weights.suffix == ".onnx":
        shutil.copyfile(weights, out / WEIGHTS)
    else:
        window = handling.window
        to_onnx(
            weights,
            out / WEIGHTS,
            tuple(window[axis] for axis in axis_order(handling.axes)) if window else (),
        )
    licence = folder / "LICENSE"
    if licence.is_file() and not licence.is_symlink() and licence.stat().st_size <= _MOST_LICENCE_BYTES:
        shutil.copyfile(licence, out / "LICENSE")
    (out / "model.toml").write_text(to_toml(content), encoding="utf-8")


def _read_config(folder: Path) -> BundleConfig:
    path = folder / "configs" / _INFERENCE
    if not path.is_file():
        is_yaml = any((path.with_suffix(ending)).is_file() for ending in (".yaml", ".yml"))
        hint = ": its inference.yaml is not read, write it as JSON" if is_yaml else ""
        raise InvalidPackage(f"The bundle has no configs/{_INFERENCE}{hint}.", key=_INFERENCE)
    return BundleConfig(read_json(path), _INFERENCE)


def find_weights(folder: Path, wanted: str = "") -> Path:
    """Return a bundle's weights: ONNX rather than TorchScript, never a pickled checkpoint.

    Raises
    ------
    InvalidPackage
        If there is none, or several.
    InvalidCheckpoint
        If there are pickled checkpoints only.
    """
    there = sorted(one for one in folder.glob("*") if one.is_file() and not one.is_symlink())
    if wanted:
        there = [one for one in there if one.name == wanted]
    networks = [one for one in there if one.suffix == ".onnx"]
    networks = networks or [one for one in there if one.suffix in (".ts", ".pt", ".pth") and _is_script(one)]
    named = [one for one in networks if one.stem == "model"] or networks
    if len(named) > 1:
        found = ", ".join(one.name for one in named)
        raise InvalidPackage(f"The bundle has several weights ({found}): choose by --weights.", key="models")
    if named:
        return named[0]
    if any(one.suffix in (".pt", ".pth", ".ckpt", ".pkl") for one in there):
        raise InvalidCheckpoint(
            "The bundle's weights are a pickled checkpoint, which runs code when it is loaded: write them as"
            " TorchScript by `python -m monai.bundle ckpt_export`, or as ONNX by `onnx_export`."
        )
    raise InvalidPackage("The bundle has no weights: models/model.onnx or models/model.ts.", key="models")


def _is_script(path: Path) -> bool:
    """Tell whether a file is TorchScript: it holds its code as text, where a checkpoint has only a pickle."""
    try:
        with open_archive(path) as archive:
            names = [one.filename.split("/")[1:2] for one in archive.infolist()]
    except (*ARCHIVE_ERRORS, zipfile.BadZipFile):
        return False
    return ["constants.pkl"] in names and ["code"] in names


def _content(
    folder: Path, metadata: Mapping[str, Any], handling: Handling, wishes: Wishes, weights: str
) -> dict[str, Any]:
    data_format = _table(metadata.get("network_data_format"))
    image, answer = (_table(_first(data_format.get(key))) for key in ("inputs", "outputs"))
    if image.get("num_channels", 1) != 1:
        raise InvalidPackage(
            "The bundle's network takes several images; one is read here.", key="num_channels"
        )
    channel, label, count = _channel(answer, wishes.channel)
    code, is_anatomy = _code(label, wishes.code)
    return {
        "name": wishes.name or _name(str(metadata.get("name") or folder.name)),
        "version": wishes.version or _version(metadata),
        "title": _text(metadata.get("name") or metadata.get("task") or folder.name),
        "intended_use": f"{_text(metadata.get('intended_use') or 'Not stated in the bundle')}."
        " Not for clinical use until validated at the site.",
        "state": "draft",
        "operating_point": "default",
        "eligibility": {
            "modalities": [_modality(image, wishes.modality)],
            "orientations": ["axial", "coronal", "sagittal"],
            "minimum_slices": 8,
        },
        "runtime": _runtime(handling),
        "task": _task(handling, count),
        "output": {
            "label": label,
            "code": code.value,
            "scheme": code.scheme,
            "meaning": code.meaning,
            "channel": channel,
            "category": "anatomy" if is_anatomy else "abnormality",
        },
        "recipe": {"steps": handling.steps},
        "card": _card(metadata, handling, weights),
    }


def _runtime(handling: Handling) -> dict[str, Any]:
    return {
        "kind": "onnx",
        "file": WEIGHTS,
        "arrangement": "volume",
        "axes": handling.axes,
        "activation": handling.activation,
        "timeout_s": 1200,
        "memory_mb": 8192,
    } | (
        {
            "window": handling.window,
            "overlap": handling.overlap,
            "blend": handling.blend,
            "padding": handling.padding,
        }
        if handling.window
        else {}
    )


def _task(handling: Handling, count: int) -> dict[str, Any]:
    # Of two channels that sum to 1, the higher is the one above a half.
    if handling.decision == "highest" and count > 2:
        return {"kind": "segmentation", "decision": "highest"}
    return {
        "kind": "segmentation",
        "threshold": 0.5 if handling.decision == "highest" else handling.threshold,
    }


def _channel(answer: Mapping[str, Any], wanted: str) -> tuple[int, str, int]:
    """Return number and name of the channel that is looked for, and how many there are."""
    if answer.get("format") not in (None, "segmentation", "probability map", "labels", "softmax", "sigmoid"):
        raise InvalidPackage(
            "The bundle's network does not answer with a segmentation: write a package by hand"
            " (docs/how-to/bring-your-model.md).",
            key="network_data_format#outputs#pred#format",
        )
    names = {
        str(key): _text(one) for key, one in _table(answer.get("channel_def")).items() if str(key).isdecimal()
    }
    things = {key: one for key, one in names.items() if one.lower() not in ("background", "other", "")}
    chosen = [key for key, one in things.items() if wanted in (key, one)] if wanted else list(things)
    if wanted.isdecimal() and not names:
        chosen, things = [wanted], {wanted: "lesion"}
    if len(chosen) != 1:
        listed = (
            "; ".join(f"{key}: {one}" for key, one in list(things.items())[:120])
            or "not named in its metadata"
        )
        raise InvalidPackage(
            f"Say by --channel which of the bundle's channels is looked for ({listed}).", key="channel_def"
        )
    count = answer.get("num_channels")
    return int(chosen[0]), things[chosen[0]].lower(), count if isinstance(count, int) else len(names)


def _code(label: str, given: str) -> tuple[Code, bool]:
    if given:
        scheme, _, rest = given.partition(":")
        value, _, meaning = rest.partition(":")
        if scheme not in SCHEMES or not value or not meaning:
            raise InvalidPackage("--code must be like SCT:78961009:Spleen.", key="code")
        found = find_segment_code(label)
        return Code(value=value, scheme=scheme, meaning=meaning), found is not None and found[1]
    found = find_segment_code(label)
    if found is None:
        raise InvalidPackage(
            f"There is no code for {label!r} in DICOM's lists of what is segmented: give one by --code, like"
            " SCT:78961009:Spleen.",
            key="code",
        )
    return found


def _modality(image: Mapping[str, Any], given: str) -> str:
    found = (given or str(image.get("modality", ""))).upper()
    found = {"MRI": "MR"}.get(found, found)
    if not re.fullmatch(r"[A-Z]{2}", found):
        raise InvalidPackage(
            "The bundle does not say what it reads: give it by --modality, like CT.", key="modality"
        )
    return found


def _name(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:64] or "bundle"


def _version(metadata: Mapping[str, Any]) -> str:
    version = str(metadata.get("version", ""))
    if not _VERSION.fullmatch(version):
        raise InvalidPackage("The bundle has no version like 1.2.3: give one by --version.", key="version")
    return version


def _card(metadata: Mapping[str, Any], handling: Handling, weights: str) -> dict[str, str]:
    made = f"MONAI bundle, version {metadata.get('version', '?')}, models/{weights}"
    made += f", made with MONAI {metadata.get('monai_version', '?')}"
    scores = ", ".join(f"{name} {one}" for name, one in _table(metadata.get("eval_metrics")).items())
    card = {
        "status": "Draft. Not for clinical use until validated at the site.",
        "source": _text(made),
        "authors": _text(metadata.get("authors")),
        "data": _text(metadata.get("data_source")) or "Not stated in the bundle.",
        "licence": _text(metadata.get("copyright")) or "Not stated in the bundle: ask its authors.",
        "metrics": _text(f"As its authors say: {scores}") if scores else "",
        "limits": " ".join(handling.notes),
    }
    return {key: one for key, one in card.items() if one}


def _text(value: Any) -> str:
    """Return a text of the bundle on one line, printable and bounded."""
    plain = "".join(one if one.isprintable() else " " for one in str(value or ""))
    return " ".join(plain.split())[:_MOST_TEXT]


def _first(value: Any) -> Any:
    return next(iter(_table(value).values()), None)


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
