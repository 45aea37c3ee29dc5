"""The same for programs: JSON.

In: requests.  Out: what the pages show, as plain values.  Never: more than the pages show.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, HTTPException
from fastapi.responses import JSONResponse

from wetread.domain.jsonable import to_jsonable
from wetread.errors import StorageError
from wetread.web.listing import list_lines
from wetread.web.pages import Key, Show
from wetread.web.site import Site


def make_api(site: Site) -> APIRouter:
    """Return the routes under ``/api`` and ``/health``."""
    router = APIRouter()

    @router.get("/api/studies")
    def studies(show: Show = "waiting") -> dict[str, Any]:
        """List the studies, most urgent first."""
        lines = list_lines(site.store, site.now(), is_reported=show == "reported")
        return {"studies": to_jsonable(lines)}

    @router.get("/api/studies/{key}")
    def study(key: Key) -> dict[str, Any]:
        """Return everything about one study."""
        row = site.find_study(key)
        if row is None:
            raise HTTPException(404)
        plain: dict[str, Any] = to_jsonable(site.views.make(row, site.now()))
        return {"study_instance_uid": row.study_instance_uid, **plain}

    @router.get("/health")
    def health() -> JSONResponse:
        """Tell whether the index answers."""
        try:
            site.store.history.last_id()
        except StorageError as error:
            return JSONResponse({"status": error.code}, 503)
        return JSONResponse({"status": "ok"})

    return router
