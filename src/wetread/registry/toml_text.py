"""Tables as TOML text.

In: texts, numbers, booleans, lists and tables of them.  Out: text that ``tomllib`` reads back.
Never: None (TOML has none): such words are left out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def to_toml(table: Mapping[str, Any], name: str = "") -> str:
    """Return a table as text: its own values first, then its tables and lists of tables."""
    own = {key: value for key, value in table.items() if not _is_table(value) and not _is_tables(value)}
    lines = [f"{_key(key)} = {_value(value)}" for key, value in own.items() if value is not None]
    parts = ["\n".join(lines)] if lines else []
    for key, value in table.items():
        full = f"{name}.{_key(key)}" if name else _key(key)
        if _is_table(value):
            parts.append(f"[{full}]\n{to_toml(value, full)}".rstrip("\n"))
        elif _is_tables(value):
            parts += [f"[[{full}]]\n{to_toml(one, full)}".rstrip("\n") for one in value]
    return "\n\n".join(parts) + "\n"


def _is_table(value: Any) -> bool:
    return isinstance(value, Mapping)


def _is_tables(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(map(_is_table, value))


def _key(key: str) -> str:
    is_bare = key.isascii() and key.replace("_", "").replace("-", "").isalnum()
    return key if is_bare else json.dumps(key)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, int):
        return str(value)
    # A JSON text is a TOML text but for escapes beyond the basic plane, which are written as they are.
    return json.dumps(str(value), ensure_ascii=False)
