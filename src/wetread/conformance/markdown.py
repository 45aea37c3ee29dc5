"""Tables in Markdown, and the names of UIDs.

In: cells.  Out: text.  Never: a cell that breaks its table.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pydicom.uid import UID

#: Of old, named by its number in the first editions of the Standard.
_OLD = " (Retired)"


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table."""
    lines = [_line(titles), _line(["---"] * len(titles)), *map(_line, rows)]
    return "\n".join(lines)


def name_of(uid: str) -> str:
    """Return what PS3.6 calls a UID."""
    name = UID(uid).name
    return "private" if name == uid else name.removesuffix(_OLD)


def named(uid: str) -> str:
    """Return a UID with its name."""
    return f"{name_of(uid)} `{uid}`"


def tests(nodes: Sequence[str]) -> str:
    """Return the tests that hold a claim."""
    return "<br>".join(f"`{node.removeprefix('tests/')}`" for node in nodes)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"
