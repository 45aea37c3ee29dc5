"""Weights and states of training on disk, written whole, read as plain tensors.

In: tensors by name; a file or MONAI bundle by anybody.  Out: files; tensors.
Never: a pickle run (``weights_only``); half a file; a path taken from an archive.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import Tensor, nn

from wetread.archive import open_archive
from wetread.errors import InvalidCheckpoint, StorageError

#: Larger than any network that is trained here.
_LARGEST_BYTES = 4 << 30
_BUNDLE_WEIGHTS = ("models/model.safetensors", "models/model.pt", "models/model.pth")
_UNREADABLE = (
    OSError,
    RuntimeError,
    ValueError,
    TypeError,
    KeyError,
    EOFError,
    AttributeError,
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    SafetensorError,
)


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let a file be written beside ``path`` and put in its place once it is whole and on the disk.

    Raises
    ------
    StorageError
        If it cannot be written (disk full); what was there before stays.
    """
    beside = path.with_name(f".{path.name}.part")
    try:
        write(beside)
        with beside.open("rb+") as file:
            os.fsync(file.fileno())
        beside.replace(path)
    except (OSError, RuntimeError) as error:  # torch.save tells of a full disk by a RuntimeError
        beside.unlink(missing_ok=True)
        raise StorageError(
            "The run folder cannot be written: make room, then give the same command again; it goes on from"
            " the last whole checkpoint.",
            file=path.name,
        ) from error


def save_text(path: Path, text: str) -> None:
    """Write a text whole."""
    write_whole(path, lambda beside: beside.write_text(text, encoding="utf-8"))


def save_json(path: Path, content: Any) -> None:
    """Write JSON whole."""
    save_text(path, json.dumps(content, indent=1) + "\n")


def save_state(path: Path, state: Mapping[str, Any]) -> None:
    """Write the state of a training: tensors, numbers and texts in dicts and lists."""
    write_whole(path, lambda beside: torch.save(dict(state), beside))


def load_state(path: Path) -> dict[str, Any]:
    """Read what ``save_state`` wrote.

    Raises
    ------
    InvalidCheckpoint
        If it is no such file, or holds anything but plain values.
    """
    return _load_plain(path.read_bytes(), path.name)


def pack_weights(weights: Mapping[str, Tensor]) -> bytes:
    """Return weights as safetensors: the same weights give the same bytes."""
    return save_safetensors({name: one.detach().cpu().contiguous() for name, one in weights.items()})


def save_weights(path: Path, weights: Mapping[str, Tensor]) -> None:
    """Write weights as safetensors."""
    write_whole(path, lambda beside: beside.write_bytes(pack_weights(weights)))


def load_weights(path: Path) -> dict[str, Tensor]:
    """Read weights: ``.safetensors``, a file of ``torch.save`` with plain tensors, or a MONAI bundle.

    Raises
    ------
    InvalidCheckpoint
        If it cannot be read, would run code, or is a bundle with paths out of its folder or without weights.
    """
    if path.is_dir():
        path = next((path / name for name in _BUNDLE_WEIGHTS if (path / name).is_file()), path)
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            raise InvalidCheckpoint("The file of weights is larger than any that is read.", file=path.name)
        name, data = path.name, path.read_bytes()
    except OSError as error:
        raise InvalidCheckpoint(file=path.name) from error
    if path.suffix == ".zip":
        name, data = _read_bundle(path)
    return _parse_weights(name, data)


def begin_with(network: nn.Module, weights: Mapping[str, Tensor]) -> int:
    """Put weights into a network wherever name and shape agree.

    Returns
    -------
    int
        How many tensors agreed.

    Raises
    ------
    InvalidCheckpoint
        If none did: it is of another architecture.
    """
    own = network.state_dict()
    fitting = {
        name: value for name, value in weights.items() if name in own and own[name].shape == value.shape
    }
    if not fitting:
        raise InvalidCheckpoint(
            "No tensor of the checkpoint fits the network: choose the architecture it was made with.",
            tensors=len(weights),
        )
    network.load_state_dict(fitting, strict=False)
    return len(fitting)


def _read_bundle(path: Path) -> tuple[str, bytes]:
    """Return name and content of the weights in a zipped bundle, without unpacking it anywhere."""
    try:
        with open_archive(path) as archive:
            for member in archive.infolist():
                parts = PurePosixPath(member.filename.replace("\\", "/"))
                if parts.is_absolute() or ".." in parts.parts:
                    raise InvalidCheckpoint("The bundle has a path that leads out of it.", file=path.name)
            for member in archive.infolist():
                if member.filename.endswith(_BUNDLE_WEIGHTS) and member.file_size <= _LARGEST_BYTES:
                    return member.filename, archive.read(member)
    except _UNREADABLE as error:
        raise InvalidCheckpoint(file=path.name) from error
    raise InvalidCheckpoint("The bundle holds no weights at models/model.pt.", file=path.name)


def _parse_weights(name: str, data: bytes) -> dict[str, Tensor]:
    if name.endswith(".safetensors"):
        try:
            return load_safetensors(data)
        except _UNREADABLE as error:
            raise InvalidCheckpoint(file=Path(name).name) from error
    content: Any = _load_plain(data, Path(name).name)
    for key in ("state_dict", "model", "network"):
        content = content.get(key, content) if isinstance(content, dict) else content
    if not isinstance(content, dict) or not any(isinstance(one, Tensor) for one in content.values()):
        raise InvalidCheckpoint("The checkpoint holds no tensors by name.", file=Path(name).name)
    return {str(key): one for key, one in content.items() if isinstance(one, Tensor)}


def _load_plain(data: bytes, name: str) -> dict[str, Any]:
    try:
        # weights_only: numbers, texts and tensors; anything else in the pickle is refused, never called.
        content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except _UNREADABLE as error:
        raise InvalidCheckpoint(file=name) from error
    if not isinstance(content, dict):
        raise InvalidCheckpoint("The checkpoint holds no tensors by name.", file=name)
    return content
