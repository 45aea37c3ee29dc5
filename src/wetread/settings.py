"""Tables of ``wetread.toml`` as frozen values.

In: a parsed TOML table and the dataclass that describes it.  Out: the value, checked.
Never: a misspelt word that is silently ignored; a type that is silently converted.

The dataclass is the description: its fields are the words, their annotations the types, their defaults
what holds when nothing is written. Understood are ``bool``, ``int``, ``float``, ``str``, ``Path`` (relative
to the file's folder), enumerations, ``X | None``, ``tuple[X, ...]`` and other such dataclasses.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from wetread.errors import ConfigError

T = TypeVar("T")


def read_table(kind: type[T], table: Any, where: str, folder: Path) -> T:
    """Return the value that a table describes.

    Parameters
    ----------
    kind
        A dataclass.
    where
        What the table is called in the file, e.g. ``dicom``; for messages.
    folder
        Paths in the table are relative to it.

    Raises
    ------
    ConfigError
        If a word is unknown or missing, or a value has the wrong type; it is named.
    """
    if not isinstance(table, dict):
        raise ConfigError(f"{where} must be a table, not {type(table).__name__}.")
    hints = typing.get_type_hints(kind)
    words = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    for word in table:
        if word not in words:
            raise unknown_word(word, f" in [{where}]" if where else "", words)
    values = {
        word: _value(hints[word], value, f"{where}.{word}" if where else word, folder)
        for word, value in table.items()
    }
    try:
        return kind(**values)
    except TypeError as error:
        needed = [name for name in words if name not in values and f"'{name}'" in str(error)]
        raise ConfigError(f"[{where}] needs {', '.join(needed)}.") from error


def unknown_word(word: str, where: str, known: list[str]) -> ConfigError:
    """Return the error for a word that is not known, with the nearest one that is."""
    near = get_close_matches(word, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}."
    return ConfigError(f"Unknown word {word!r}{where}: {hint}")


def _value(hint: Any, value: Any, where: str, folder: Path) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        [hint] = [one for one in arguments if one is not type(None)]
        return _value(hint, value, where, folder)
    if origin is tuple:
        _check(where, value, (list,))
        return tuple(
            _value(arguments[0], one, f"{where}[{number}]", folder) for number, one in enumerate(value)
        )
    if dataclasses.is_dataclass(hint):
        return read_table(typing.cast(type[Any], hint), value, where, folder)
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return _choice(hint, value, where)
    if hint is Path:
        _check(where, value, (str,))
        return folder / Path(value).expanduser()
    if hint is float:
        _check(where, value, (int, float))
        return float(value)
    _check(where, value, (hint,))
    return value


def _choice(kind: type[StrEnum], value: Any, where: str) -> StrEnum:
    known = [one.value for one in kind]
    if value not in known:
        raise ConfigError(f"{where} must be one of {', '.join(known)}, not {value!r}.")
    return kind(value)


def _check(where: str, value: Any, expected: tuple[type, ...]) -> None:
    is_wrong_bool = isinstance(value, bool) and bool not in expected
    if is_wrong_bool or not isinstance(value, expected):
        words = " or ".join(one.__name__ for one in expected)
        raise ConfigError(f"{where} must be of type {words}, not {type(value).__name__}.")
