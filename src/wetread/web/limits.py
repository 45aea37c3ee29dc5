"""How much a request may bring.

In: requests.  Out: the same, or 413.  Never: a large body in memory.
"""

from __future__ import annotations

from fastapi import HTTPException
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: Our forms have a handful of fields.
LARGEST_BODY = 64 * 1024


class BodyLimit:
    """ASGI middleware: refuses large bodies, whether announced or not."""

    def __init__(self, app: ASGIApp, largest: int = LARGEST_BODY) -> None:
        self._app = app
        self._largest = largest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 413 or pass on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "0")
        if not announced.isdigit() or int(announced[:20]) > self._largest:
            # What is still to come is not read: the connection ends with the answer.
            answer = PlainTextResponse("Too large.\n", 413, headers={"Connection": "close"})
            await answer(scope, receive, send)
            return
        taken = 0

        async def receive_limited() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self._largest:
                raise HTTPException(413)
            return message

        await self._app(scope, receive_limited, send)
