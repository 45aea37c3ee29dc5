"""The API for programs: ``/api/v1``, in the words of ``wetread.contract``.

In: requests.  Out: JSON.  Never: more than the pages show; what names a patient in an address.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from wetread.identity import Permission
from wetread.web.access import needs
from wetread.web.api.deliveries import add_deliveries
from wetread.web.api.description import describe
from wetread.web.api.failure import FAILURES, PREFIX
from wetread.web.api.models import add_model_decisions, add_models, add_rules
from wetread.web.api.queue import add_queue
from wetread.web.api.readings import add_readings
from wetread.web.api.replay import add_replay
from wetread.web.api.route import TaggedRoute
from wetread.web.api.studies import add_studies
from wetread.web.api.study_changes import add_study_changes
from wetread.web.site import Site


def make_api(site: Site) -> APIRouter:
    """Return the routes under ``/api/v1``."""
    router = APIRouter(
        prefix=PREFIX,
        route_class=TaggedRoute,
        responses=FAILURES,
        generate_unique_id_function=lambda route: route.name,
    )
    studies = (add_studies, add_study_changes, add_queue, add_readings, add_deliveries)
    for add in (*studies, add_models, add_model_decisions, add_rules, add_replay):
        add(router, site)

    @cache
    def description() -> dict[str, Any]:
        return describe(router.routes)

    @router.get("/openapi.json", include_in_schema=False)
    @needs(Permission.STUDIES)
    def openapi() -> JSONResponse:
        """Describe these routes."""
        return JSONResponse(description())

    return router
