"""Whether the service is well, for whoever watches it.

In: requests.  Out: JSON.  Never: anything about a study.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from wetread.errors import StorageError
from wetread.web.access import public
from wetread.web.site import Site


def make_health(site: Site) -> APIRouter:
    """Return the route ``/health``."""
    router = APIRouter(include_in_schema=False)

    @router.get("/health")
    @public
    def health() -> JSONResponse:
        """Tell whether the index answers."""
        try:
            site.store.history.last_id()
        except StorageError as error:
            return JSONResponse({"status": error.code}, 503)
        state: dict[str, Any] = {"status": "ok"}
        if site.audit_backlog is not None:
            waiting, trouble = site.audit_backlog()
            state["audit"] = {"waiting": waiting, "collector": "away" if trouble else "ok"}
        return JSONResponse(state)

    return router
