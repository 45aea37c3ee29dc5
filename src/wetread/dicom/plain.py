"""A data set of a message as plain values, within bounds.

In: a data set as it came in a DIMSE message.  Out: its values by tag, items of sequences as lists.
Never: a value decoded; more items or deeper nesting than the limits; a length that is believed.

References
----------
PS3.5 section 7.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field

from wetread.dicom.scan import ITEM, Cursor, Path, Scan, ScanLimits

#: Longest data set of a message that names instances, in bytes: some 20 000 of them. No more is kept of one.
MOST_BYTES = 4 << 20
#: Longer values say nothing that is asked of a notice.
_LONGEST_VALUE_BYTES = 1024
_LIMITS = ScanLimits(depth=8, elements=250_000, top_elements=1000)


@dataclass(slots=True)
class Node:
    """A data set, or an item."""

    #: Values as written, by tag; None where one is too long.
    values: dict[int, bytes | None] = field(default_factory=dict)
    sequences: dict[int, list[Node]] = field(default_factory=dict)

    def has(self, tag: int) -> bool:
        """Tell whether the attribute is there, with or without a value."""
        return tag in self.values or tag in self.sequences

    def text(self, tag: int) -> str:
        """Return a value as text without padding, "" where there is none."""
        return (self.values.get(tag) or b"").decode("ascii", "replace").strip("\0 ")

    def items(self, tag: int) -> list[Node]:
        """Return the items of a sequence, none where it is missing or empty."""
        return self.sequences.get(tag, [])


def read_plain(data: bytes, *, is_implicit: bool) -> Node:
    """Return a data set of little endian byte order.

    Raises
    ------
    UnreadableInstance
        If its structure is broken, or it holds more than any real one.
    """
    scan = Scan(
        cursor=Cursor(io.BytesIO(data), len(data)),
        is_implicit=is_implicit,
        longest=_LONGEST_VALUE_BYTES,
        deepest=_LIMITS.depth,
        limits=_LIMITS,
        tells_sequences=True,
    )
    root = Node()
    # Only the items that are open: the scan comes by once.
    opened: list[tuple[Path, Node]] = [((), root)]
    for element in scan:
        is_item = element.tag == ITEM
        around = element.path[:-1] if is_item else element.path
        while opened[-1][0] != around:
            opened.pop()
        holder = opened[-1][1]
        if is_item:
            node = Node()
            holder.sequences.setdefault(element.path[-1][0], []).append(node)
            opened.append((element.path, node))
        elif element.vr == "SQ":
            holder.sequences.setdefault(element.tag, [])
        else:
            holder.values[element.tag] = element.value
    return root
