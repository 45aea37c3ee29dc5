"""A model package: a folder with ``model.toml``.

In: a folder.  Out: ``Model`` with the digest of everything in the folder.
Never: the package's code run, a file outside the folder read.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from wetread.domain.model import Eligibility, Model, ModelIdentity, Runtime
from wetread.errors import InvalidPackage
from wetread.registry.files import check_harmless, iter_files
from wetread.registry.schema import check_schema
from wetread.registry.signature import SIGNATURE_NAME, verify_package

#: Where the built-in packages lie.
BUILTIN_FOLDER = Path(__file__).parent / "packages"
FILE_NAME = "model.toml"
_NAME = re.compile(r"[a-z][a-z0-9-]{0,63}")
_VERSION = re.compile(r"\d+\.\d+\.\d+(?:[-+.][0-9A-Za-z.-]{1,32})?")
#: A description of some hundred lines.
_LIMIT_BYTES = 256 << 10


def read_models(folders: Iterable[Path] = (), trusted_keys: Sequence[Path] = ()) -> dict[str, Model]:
    """Return the built-in models and those of more folders, by name; a folder's goes over a built-in one.

    Parameters
    ----------
    trusted_keys
        Public keys; with one or more, each folder must be signed by one of them.

    Raises
    ------
    InvalidPackage, InvalidSignature
        If a package is wrong, or nobody trusted vouches for it.
    """
    builtin = sorted(path.parent for path in BUILTIN_FOLDER.glob(f"*/{FILE_NAME}"))
    models = {model.identity.name: model for model in map(read_package, builtin)}
    for folder in folders:
        model = read_package(folder)
        if trusted_keys:
            verify_package(folder, model.identity, trusted_keys)
        models[model.identity.name] = model
    return models


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
    return Model(
        identity=ModelIdentity(
            name=content["name"], version=content["version"], digest=package_digest(folder)
        ),
        title=content["title"],
        intended_use=content["intended_use"],
        state=content["state"],
        eligibility=_eligibility(content["eligibility"]),
        runtime=Runtime(**content["runtime"]),
        operating_point=content["operating_point"],
        parameters={name: float(value) for name, value in content.get("parameters", {}).items()},
        # A built-in reader's code lies in wetread itself, not in its package folder.
        folder="" if folder.parent == BUILTIN_FOLDER else str(folder.resolve()),
        card=dict(content.get("card", {})),
    )


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


def _check_identity(content: Mapping[str, Any]) -> None:
    if not _NAME.fullmatch(content["name"]):
        raise InvalidPackage("name must be small letters, digits and hyphens", key="name")
    if not _VERSION.fullmatch(content["version"]):
        raise InvalidPackage("version must be like 1.2.3", key="version")
    entry = content["runtime"]["entry"]
    if not re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", entry):
        raise InvalidPackage("runtime.entry must be like module:function", key="runtime.entry")


def _eligibility(table: Mapping[str, Any]) -> Eligibility:
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in table.items()
    }
    return Eligibility(**values)
