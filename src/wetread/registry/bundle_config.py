"""The configuration of a MONAI bundle: read, never run.

In: ``configs/*.json``, by anybody.  Out: plain values, references (``@id#key``) followed.
Never: an expression (``$``) evaluated, a ``_target_`` imported, a macro (``%``) fetched.

What stands in keys that nobody asks for is never looked at. Of expressions only a value and a choice between
two values are understood, by the patterns below; every other one is refused with its key.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wetread.errors import InvalidPackage

_LIMIT_BYTES = 1 << 20
_LONGEST_EXPRESSION = 300
#: Longer chains of references go in a circle.
_DEEPEST = 40
_REFERENCE = re.compile(r"@([A-Za-z_]\w*(?:(?:#|::)\w+)*)")
# Numbers, lists of numbers, quoted words, True, False, None.
_VALUE = r"""(?:[\[(][\d\s,.eE+-]*[\])]|[+-]?[\d.]+(?:[eE][+-]?\d+)?|'[\w .-]*'|"[\w .-]*"|True|False|None)"""
_PLAIN = re.compile(_VALUE)
_NOT = re.compile(r"\(?not (@[\w#:]+)\)?")
_CHOICE = re.compile(
    rf"(?P<yes>{_VALUE}|@[\w#:]+) if (?P<no_>not )?(?P<which>@[\w#:]+) else (?P<no>{_VALUE}|@[\w#:]+)"
)
_WORDS = {"True": True, "False": False, "None": None}


class BundleConfig:
    """One configuration file of a bundle."""

    def __init__(self, content: Mapping[str, Any], name: str) -> None:
        self._content = content
        self.name = name

    def __contains__(self, key: str) -> bool:
        return key in self._content

    def get(self, where: str) -> Any:
        """Return the value at ``a#b#0``, references in it not followed but at its top.

        Raises
        ------
        InvalidPackage
            If it is not there, or an expression that is not understood.
        """
        return self._follow(self._find(where), where, 0)

    def within(self, table: Mapping[str, Any], key: str, where: str, default: Any = None) -> Any:
        """Return the value of a key of a table, with all that it refers to; ``default`` where it has none."""
        return self.whole(table[key], f"{where}#{key}") if key in table else default

    def whole(self, value: Any, where: str, depth: int = 0) -> Any:
        """Return a value with everything inside of it followed."""
        found = self._follow(value, where, depth)
        if isinstance(found, list):
            return [self.whole(one, f"{where}#{number}", depth + 1) for number, one in enumerate(found)]
        if isinstance(found, Mapping):
            return {key: self.whole(one, f"{where}#{key}", depth + 1) for key, one in found.items()}
        return found

    def _find(self, where: str) -> Any:
        found: Any = self._content
        for part in re.split(r"#|::", where):
            try:
                found = found[int(part)] if isinstance(found, list) else found[part]
            except (LookupError, TypeError, ValueError) as error:
                raise InvalidPackage(f"The bundle's {self.name} has no {where}.", key=where[:200]) from error
        return found

    def _follow(self, value: Any, where: str, depth: int) -> Any:
        if depth > _DEEPEST:
            raise InvalidPackage(f"The bundle's {self.name} refers to itself.", key=where[:200])
        if not isinstance(value, str) or value[:1] not in ("@", "$", "%"):
            return value
        if match := _REFERENCE.fullmatch(value):
            return self._follow(self._find(match[1]), match[1], depth + 1)
        if value.startswith("$") and len(value) <= _LONGEST_EXPRESSION:
            return self._understand(value[1:].strip(), where, depth + 1)
        raise self.refuse(where)

    def _understand(self, text: str, where: str, depth: int) -> Any:
        if _PLAIN.fullmatch(text):
            return self._value(text, where)
        if _REFERENCE.fullmatch(text):
            return self._follow(text, where, depth)
        if match := _NOT.fullmatch(text):
            return not self._yes_or_no(match[1], where, depth)
        if match := _CHOICE.fullmatch(text):
            is_yes = self._yes_or_no(match["which"], where, depth) is not bool(match["no_"])
            return self._understand(match["yes" if is_yes else "no"], where, depth)
        raise self.refuse(where)

    def _yes_or_no(self, reference: str, where: str, depth: int) -> bool:
        found = self._follow(reference, where, depth)
        if not isinstance(found, bool):
            raise self.refuse(where)
        return found

    def _value(self, text: str, where: str) -> Any:
        if text in _WORDS:
            return _WORDS[text]
        if text[0] in "'\"":
            return text[1:-1]
        listed = re.sub(r",\s*\]", "]", text.replace("(", "[").replace(")", "]"))
        try:
            return json.loads(listed, parse_constant=_no_number)
        except ValueError as error:
            raise self.refuse(where) from error

    def refuse(self, where: str) -> InvalidPackage:
        """Return the error of an expression that is not understood."""
        return InvalidPackage(
            f"The bundle's {where[:200]} is an expression, which is never run here:"
            f" write its value into configs/{self.name}.",
            key=where[:200],
        )


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file by anybody.

    Raises
    ------
    InvalidPackage
        If it is too long, no JSON, too deep, or no table.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_LIMIT_BYTES + 1)
        if len(data) > _LIMIT_BYTES:
            raise ValueError(f"it is longer than {_LIMIT_BYTES} bytes")
        content = json.loads(data.decode("utf-8"), parse_constant=_no_number)
    except (OSError, ValueError, RecursionError) as error:
        reason = type(error).__name__
        raise InvalidPackage(f"The bundle's {path.name} cannot be read.", reason=reason) from error
    if not isinstance(content, dict):
        raise InvalidPackage(f"The bundle's {path.name} is no table.")
    return content


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is no number")
