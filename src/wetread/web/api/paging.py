"""Pages of a list: what follows, in the body and in the Link header.

In: what was asked, what was found.  Out: cursors and addresses.  Never: an address with what names a patient.

References
----------
RFC 8288.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar
from urllib.parse import urlencode

from fastapi import Request, Response

from wetread.web.api.asked import PageAsked

Row = TypeVar("Row")


def split(rows: Sequence[Row], limit: int) -> tuple[Sequence[Row], bool]:
    """Return the rows of a page, of which one more was asked for, and whether there are more."""
    return rows[:limit], len(rows) > limit


def link_next(request: Request, response: Response, asked: PageAsked, after: str | None) -> str | None:
    """Return the address of the page after this cursor, and put it into the answer's Link header."""
    if after is None:
        return None
    given = asked.model_dump(mode="json", exclude_defaults=True) | {"after": after}
    address = f"{request.url.path}?{urlencode(given, doseq=True)}"
    response.headers["Link"] = f'<{address}>; rel="next"'
    return address
