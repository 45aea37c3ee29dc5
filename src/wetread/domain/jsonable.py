"""Domain values to plain JSON values and back.

In: frozen dataclasses.  Out: dict, list, str, numbers, and the dataclasses again.
Never: pickle; a type named in the data (the caller says what is expected).
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

from wetread.domain.mask import Mask


def to_jsonable(value: Any) -> Any:
    """Return the plain form; a ``Mask`` becomes its digest, its bits travel elsewhere."""
    if isinstance(value, Mask):
        return value.digest
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        # A field may stay behind: what it holds is of this process only.
        fields = [field for field in dataclasses.fields(value) if field.metadata.get("travels", True)]
        return {field.name: to_jsonable(getattr(value, field.name)) for field in fields}
    if isinstance(value, Mapping):
        return {str(key): to_jsonable(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [to_jsonable(item) for item in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, Path):
        return str(value)
    return value


def from_jsonable(expected: Any, value: Any, masks: Mapping[str, Mask] | None = None) -> Any:
    """Build a value of the expected type from its plain form.

    Parameters
    ----------
    expected
        A dataclass or a type annotation of one of its fields.
    masks
        Digest -> mask, for fields of type ``Mask``.

    Raises
    ------
    TypeError, ValueError, KeyError
        If the value does not fit.
    """
    if expected is Mask:
        return (masks or {})[value]
    if dataclasses.is_dataclass(expected) and isinstance(expected, type):
        return _build(expected, value, masks)
    if isinstance(expected, type) and issubclass(expected, StrEnum | Path):
        return expected(value)
    if expected is datetime:
        return datetime.fromisoformat(value)
    origin, arguments = typing.get_origin(expected), typing.get_args(expected)
    if origin in (types.UnionType, typing.Union):
        return _from_union(arguments, value, masks)
    if origin is tuple:
        inner = arguments[:1] * len(value) if arguments[-1] is Ellipsis else arguments
        return tuple(from_jsonable(kind, item, masks) for kind, item in zip(inner, value, strict=True))
    if origin is not None and issubclass(origin, Mapping):
        return {key: from_jsonable(arguments[1], item, masks) for key, item in value.items()}
    if expected is float:
        return float(value)
    if expected in (str, bool, int) and type(value) is not expected:
        raise TypeError(f"{value!r} is no {expected.__name__}")
    return value


def _build(expected: type, value: Any, masks: Mapping[str, Mask] | None) -> Any:
    hints = _hints(expected)
    return expected(**{key: from_jsonable(hints[key], item, masks) for key, item in value.items()})


@cache
def _hints(expected: type) -> Mapping[str, Any]:
    # They are evaluated from text: most of the time that a value took.
    return typing.get_type_hints(expected)


def _from_union(arguments: tuple[Any, ...], value: Any, masks: Mapping[str, Mask] | None) -> Any:
    if value is None:
        return None
    if isinstance(value, list):
        return tuple(value)
    inner = [kind for kind in arguments if kind is not type(None)]
    return from_jsonable(inner[0], value, masks) if len(inner) == 1 else value
