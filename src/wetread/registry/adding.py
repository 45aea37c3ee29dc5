"""Take in a model package: ours, or a MONAI bundle, as a folder or a zip.

In: what somebody hands over.  Out: a checked package in the models folder, a draft.
Never: a half-written package in its place; another content under a name and version that is there.
"""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from wetread.archive import unpack_archive
from wetread.domain.model import Model
from wetread.errors import InvalidPackage
from wetread.registry.bundle import ToOnnx, Wishes, convert_bundle, is_bundle
from wetread.registry.files import ARCHIVE_ERRORS, iter_files
from wetread.registry.package import FILE_NAME, read_package
from wetread.registry.signature import verify_package

MOST_FILES = 5000
#: The largest bundles of the zoo have some hundred megabytes of weights.
MOST_BYTES = 8 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """A package that was taken in."""

    model: Model
    folder: Path
    #: What was checked, in words.
    checked: tuple[str, ...]
    #: Whether the very same content was there before.
    was_there: bool = False


def add_package(
    source: Path,
    models: Path,
    *,
    wishes: Wishes,
    to_onnx: ToOnnx,
    try_model: Callable[[Model], str],
    trusted_keys: Sequence[Path] = (),
) -> Added:
    """Check a package and put it into the models folder, at ``NAME-VERSION``.

    Parameters
    ----------
    source
        Folder or zip.
    try_model
        Tries the model out and says what came of it, ``""`` where nothing could be tried.
    trusted_keys
        With one or more, a package of ours must be signed by one of them.

    Raises
    ------
    InvalidPackage, InvalidCheckpoint, InvalidSignature, InvalidOutput
        If it is not taken; nothing is left behind.
    """
    models.mkdir(parents=True, exist_ok=True)
    # Beside its place, so that it gets there in one step.
    with tempfile.TemporaryDirectory(prefix=".adding-", dir=models) as work:
        checked: list[str] = []
        opened = _open(source, Path(work) / "opened", checked)
        staged = Path(work) / "package"
        is_ours = (opened / FILE_NAME).is_file()
        if not is_ours and is_bundle(opened):
            convert_bundle(opened, staged, wishes, to_onnx)
            checked.append(
                "MONAI bundle: read without running anything of it, transforms and weights taken over"
            )
        elif is_ours:
            _copy(opened, staged)
        else:
            raise InvalidPackage(
                "This is no model: it has neither model.toml nor, as a MONAI bundle, configs/metadata.json."
            )
        model = read_package(staged)
        checked.append(f"model.toml and files: nothing that runs when loaded; digest {model.identity.digest}")
        # Nobody can have signed what was made here from a bundle; `wetread models sign` does it behind.
        if trusted_keys and is_ours:
            signer = verify_package(staged, model.identity, trusted_keys)
            checked.append(f"signature: by {signer}")
        told = try_model(model)
        if told:
            checked.append(told)
        return _place(model, staged, models, tuple(checked))


def _open(source: Path, work: Path, checked: list[str]) -> Path:
    if source.is_dir():
        return source
    work.mkdir()
    try:
        unpack_archive(source, work, most_files=MOST_FILES, most_bytes=MOST_BYTES)
    except zipfile.BadZipFile as error:
        raise InvalidPackage(f"The archive is not taken. {error}.", file=source.name) from error
    except ARCHIVE_ERRORS as error:
        raise InvalidPackage("The archive cannot be read.", file=source.name) from error
    checked.append("archive: names lead nowhere else, no links, within bounds")
    inside = list(work.iterdir())
    # Most archives hold one folder with everything in it.
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else work


def _copy(source: Path, target: Path) -> None:
    """Copy what belongs to a package, as files of its own."""
    for name, path in iter_files(source):
        place = target / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)


def _place(model: Model, staged: Path, models: Path, checked: tuple[str, ...]) -> Added:
    identity = model.identity
    folder = models / f"{identity.name}-{identity.version}"
    if folder.exists():
        there = read_package(folder)
        if there.identity != identity:
            raise InvalidPackage(
                f"{identity.name} {identity.version} is there already with another content: give this one"
                " another version, or remove the other.",
                folder=folder,
            )
        return Added(model=there, folder=folder, checked=checked, was_there=True)
    staged.rename(folder)
    return Added(model=read_package(folder), folder=folder, checked=checked)
