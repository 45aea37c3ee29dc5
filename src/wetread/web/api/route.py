"""A route of the API: answers that did not change are not sent again.

In: requests.  Out: answers with an ``ETag``, or 304.  Never: a tag on what changes something.

References
----------
RFC 9110 sections 8.8.3 and 13.1.2.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute


class TaggedRoute(APIRoute):
    """Tags what GET answers by a digest of it."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what answers a request."""
        answer = super().get_route_handler()

        async def answer_tagged(request: Request) -> Response:
            response = await answer(request)
            if request.method != "GET" or response.status_code != 200:
                return response
            tag = f'"{hashlib.sha256(response.body).hexdigest()[:32]}"'
            if _names(request.headers.get("if-none-match", ""), tag):
                return Response(status_code=304, headers={"ETag": tag})
            response.headers["ETag"] = tag
            return response

        return answer_tagged


def _names(header: str, tag: str) -> bool:
    # Weak comparison: W/"x" is "x".
    return header.strip() == "*" or tag in (one.strip().removeprefix("W/") for one in header.split(","))
