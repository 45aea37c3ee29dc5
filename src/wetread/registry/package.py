"""A model package: a folder with ``model.toml``.

In: a folder.  Out: ``Model`` with the digest of everything in the folder.
Never: the package's code run, a file outside the folder read.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from wetread.domain.model import Eligibility, Model, ModelIdentity, Output, Runtime, Task
from wetread.errors import ConfigError, InvalidPackage
from wetread.imaging.recipe import recipe_from_table
from wetread.registry.elsewhere import check_receiver, check_remote
from wetread.registry.files import check_harmless, iter_files
from wetread.registry.schema import check_schema
from wetread.registry.settings import RegistrySettings
from wetread.registry.signature import SIGNATURE_NAME, verify_package

_DEFAULTS = RegistrySettings()
#: Where the built-in packages lie.
BUILTIN_FOLDER = Path(__file__).parent / "packages"
FILE_NAME = "model.toml"
_NAME = re.compile(r"[a-z][a-z0-9-]{0,63}")
_VERSION = re.compile(r"\d+\.\d+\.\d+(?:[-+.][0-9A-Za-z.-]{1,32})?")
_ENTRY = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
#: What a package of each kind cannot go without.
_NEEDED = {
    "python": "entry",
    "onnx": "file",
    "openvino": "file",
    "kserve": "url",
    "container": "image",
    "dicom-peer": "peer",
}
#: Directions that lie on one axis with L, P and S.
_AXES = {"R": "L", "A": "P", "I": "S"}
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}(?:\.[A-Za-z0-9]{1,16}){1,2}")
#: A description of some hundred lines.
_LIMIT_BYTES = 256 << 10
#: Two classes have no order that says more.
_FEWEST_GRADES = 3


def read_packages(folders: Iterable[Path] = (), settings: RegistrySettings = _DEFAULTS) -> tuple[Model, ...]:
    """Return the built-in packages and those of more folders; a model may be there in several versions.

    Raises
    ------
    InvalidPackage, InvalidSignature
        If a package is wrong or would send images where they may not go, two are of one name and version,
        or nobody trusted vouches for one.
    """
    builtin = sorted(path.parent for path in BUILTIN_FOLDER.glob(f"*/{FILE_NAME}"))
    known = {_title(model): model for model in map(read_package, builtin)}
    for folder in folders:
        model = read_package(folder)
        check_receiver(model.runtime, settings.may_send_to)
        if settings.trusted_keys:
            verify_package(folder, model.identity, settings.trusted_keys)
        if known.setdefault(_title(model), model).identity != model.identity:
            raise InvalidPackage(
                "Another package has this name and version: give it a version of its own.",
                package=_title(model),
            )
    return tuple(known.values())


def read_models(folders: Iterable[Path] = (), settings: RegistrySettings = _DEFAULTS) -> dict[str, Model]:
    """Return one version of each model where no index says which is live: a folder's before a built-in one.

    Raises like ``read_packages``.
    """
    return {model.identity.name: model for model in read_packages(folders, settings)}


def read_package(folder: Path) -> Model:
    """Read a package folder.

    Raises
    ------
    InvalidPackage
        If ``model.toml`` is missing, is no TOML, or holds an unknown, missing or wrong entry.
    """
    try:
        content = _read_toml(folder / FILE_NAME)
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidPackage(f"{FILE_NAME} cannot be read: {error}", folder=folder.name) from error
    check_schema(content)
    _check_identity(content)
    _check_boxes(content)
    return Model(
        identity=ModelIdentity(
            name=content["name"], version=content["version"], digest=package_digest(folder)
        ),
        title=content["title"],
        intended_use=content["intended_use"],
        state=content["state"],
        eligibility=Eligibility(**_values(content["eligibility"])),
        runtime=Runtime(**_values(content["runtime"])),
        task=_task(content["task"]) if content.get("task") else None,
        output=_output(content["output"]) if content.get("output") else None,
        recipe=_recipe(content.get("recipe", {})),
        acceptance={name: float(value) for name, value in content.get("acceptance", {}).items()},
        operating_point=content["operating_point"],
        parameters={name: float(value) for name, value in content.get("parameters", {}).items()},
        # A built-in reader's code lies in wetread itself, not in its package folder.
        folder="" if folder.parent == BUILTIN_FOLDER else str(folder.resolve()),
        card=dict(content.get("card", {})),
    )


def package_folder(model: Model) -> Path:
    """Return where a model's package lies."""
    return Path(model.folder) if model.folder else BUILTIN_FOLDER / model.identity.name


def _read_toml(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise OSError("it is not there")
    with path.open("rb") as file:
        data = file.read(_LIMIT_BYTES + 1)
    if len(data) > _LIMIT_BYTES:
        raise ValueError(f"it is longer than {_LIMIT_BYTES} bytes")
    return tomllib.loads(data.decode("utf-8"))


def package_digest(folder: Path) -> str:
    """Return the sha256 over all files but the signature: relative name, size and content, sorted by name.

    Raises
    ------
    InvalidPackage
        If a link leads out of the folder, a file cannot be read, or one would run code when loaded.
    """
    total = hashlib.sha256()
    for name, path in iter_files(folder):
        if name == SIGNATURE_NAME:
            continue
        check_harmless(name, path)
        with path.open("rb") as file:
            one = hashlib.file_digest(file, "sha256").hexdigest()
        total.update(f"{name}\0{path.stat().st_size}\0{one}\n".encode())
    return total.hexdigest()


def _title(model: Model) -> str:
    return f"{model.identity.name} {model.identity.version}"


def _check_identity(content: Mapping[str, Any]) -> None:
    if not _NAME.fullmatch(content["name"]):
        raise InvalidPackage("name must be small letters, digits and hyphens", key="name")
    if not _VERSION.fullmatch(content["version"]):
        raise InvalidPackage("version must be like 1.2.3", key="version")
    runtime = content["runtime"]
    needed = _NEEDED[runtime["kind"]]
    # A python package may judge images only, and read no series.
    if needed not in runtime and not (needed == "entry" and "sample_entry" in runtime):
        raise InvalidPackage(f"runtime.{needed} is missing", key=needed)
    _check_arrangement(runtime)
    check_remote(runtime)
    for key in ("entry", "sample_entry"):
        if key in runtime and not _ENTRY.fullmatch(runtime[key]):
            raise InvalidPackage(f"runtime.{key} must be like module:function", key=f"runtime.{key}")
    if "file" in runtime and not _FILE.fullmatch(runtime["file"]):
        raise InvalidPackage("runtime.file must be the name of a file beside model.toml", key="runtime.file")


def _check_arrangement(runtime: Mapping[str, Any]) -> None:
    axes = runtime.get("axes", "SPL")
    if sorted(_AXES.get(letter, letter) for letter in axes) != ["L", "P", "S"]:
        raise InvalidPackage("runtime.axes must be three letters like RAS or SPL", key="runtime.axes")
    if not 0 <= runtime.get("overlap", 0.25) <= 0.9:
        raise InvalidPackage("runtime.overlap must be 0 to 0.9", key="runtime.overlap")
    if not 1 <= min(runtime.get("window", [1])) <= max(runtime.get("window", [1])) <= 512:
        raise InvalidPackage("runtime.window must be 1 to 512 voxels along each axis", key="runtime.window")


def _check_boxes(content: Mapping[str, Any]) -> None:
    output = content.get("output", {})
    if "boxes" not in output and "scores" not in output:
        return
    if not {"boxes", "scores"} <= set(output):
        raise InvalidPackage("output.boxes and output.scores go together", key="output.boxes")
    is_volume = content["runtime"].get("arrangement") == "volume"
    if not is_volume or content.get("task", {}).get("kind") != "detection":
        raise InvalidPackage(
            'Boxes are what a detection answers with that sees volumes: task.kind = "detection",'
            ' runtime.arrangement = "volume"',
            key="output.boxes",
        )


def _task(table: Mapping[str, Any]) -> Task:
    if "kind" not in table:
        raise InvalidPackage("task.kind is missing", key="kind")
    task = Task(**_values(table))
    if task.positive and task.positive not in task.classes:
        raise InvalidPackage("task.positive must be one of task.classes", key="task.positive")
    if task.ordered and len(task.classes) < _FEWEST_GRADES:
        raise InvalidPackage("task.ordered is for three grades or more: task.classes", key="task.ordered")
    if not 0 <= task.threshold <= 1:
        raise InvalidPackage("task.threshold must be 0 to 1", key="task.threshold")
    return task


def _recipe(table: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    try:
        recipe_from_table(table)
    except ConfigError as error:
        raise InvalidPackage(error.message, key="recipe") from error
    return tuple(table.get("steps", ()))


def _output(table: Mapping[str, Any]) -> Output:
    for key in ("label", "code", "scheme", "meaning"):
        if key not in table:
            raise InvalidPackage(f"output.{key} is missing", key=key)
    return Output(**_values(table))


def _values(table: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in table.items()}
