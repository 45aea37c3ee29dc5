"""The same for programs: JSON.

In: requests.  Out: what the pages show, as plain values.  Never: more than the pages show.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from wetread.domain.jsonable import to_jsonable
from wetread.errors import StorageError
from wetread.identity import Permission
from wetread.web.access import needs, public
from wetread.web.eyes import Look
from wetread.web.pages import Key, Show
from wetread.web.site import Site


def make_api(site: Site) -> APIRouter:
    """Return the routes under ``/api`` and ``/health``."""
    router = APIRouter()

    @router.get("/api/studies")
    @needs(Permission.STUDIES)
    def studies(eyes: Look, show: Show = "waiting") -> dict[str, Any]:
        """List the studies, most urgent first."""
        return {"studies": to_jsonable(eyes.list_lines(is_reported=show == "reported"))}

    @router.get("/api/studies/{key}")
    @needs(Permission.STUDIES)
    def study(eyes: Look, key: Key) -> dict[str, Any]:
        """Return everything about one study."""
        view = eyes.view_study(key)
        plain: dict[str, Any] = to_jsonable(view)
        return {"study_instance_uid": view.line.study_instance_uid, **plain}

    @router.get("/api/openapi.json", include_in_schema=False)
    @needs(Permission.STUDIES)
    def description(request: Request) -> JSONResponse:
        """Describe these routes."""
        return JSONResponse(request.app.openapi())

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
