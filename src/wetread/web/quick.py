"""Routes that are asked hundreds of times for one picture on a screen.

In: requests.  Out: answers.  Never: a route that is open because it is quick; a value that was not checked.

FastAPI gives a request two threads, one after the other, and works out its function's parameters each time,
which for a frame of an image takes longer than to find and read it. Here a request has one thread.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool

from wetread.store.together import together
from wetread.web.access import Doorkeeper
from wetread.web.eyes import look
from wetread.web.site import Site


class QuickRoute(APIRoute):
    """A route whose function takes the request and ``Eyes``, and nothing else."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what answers a request."""

        async def answer(request: Request) -> Response:
            return await run_in_threadpool(self._answer, request)

        return answer

    def _answer(self, request: Request) -> Response:
        site: Site = request.app.state.site
        with together(site.store.engine):
            Doorkeeper(site.identity).admit(request)
            response: Response = self.endpoint(request, look(request, request.state.principal))
        return response
