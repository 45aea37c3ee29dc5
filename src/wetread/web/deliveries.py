"""The page of what has not arrived: per destination what waits and what is dead, and its second chance.

In: requests.  Out: HTML, deliveries that wait again.  Never: a change by GET; a delivery past ``Eyes``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from wetread.domain.audit import Actor
from wetread.identity import Permission
from wetread.steps.again import retry_deliveries
from wetread.store.deliveries import DeliveryRow
from wetread.web.access import needs
from wetread.web.eyes import Eyes, Look
from wetread.web.pages import PAGE, Number, answer_fragment
from wetread.web.site import Site

#: The page to go back to.
Then = Annotated[str, Query(pattern="^(study|deliveries)$")]
Destination = Annotated[str, Query(max_length=256)]

#: Dead letters shown of one destination: who has more begins with "all of this destination".
SHOWN = 50


def make_deliveries(site: Site) -> APIRouter:
    """Return the routes of the deliveries."""
    router = APIRouter(default_response_class=HTMLResponse, include_in_schema=False)
    _add_page(router, site)
    _add_retries(router, site)
    return router


def _add_page(router: APIRouter, site: Site) -> None:
    def render(template: str, eyes: Eyes) -> str:
        pulse = site.pulse.now(eyes.principal.sources)
        destinations = eyes.list_destinations(letters=SHOWN)
        return site.render(template, eyes.principal, pulse=pulse, destinations=destinations)

    @router.get("/deliveries")
    @needs(*PAGE)
    def deliveries(eyes: Look) -> HTMLResponse:
        return HTMLResponse(render("deliveries.html", eyes))

    @router.get("/fragments/deliveries")
    @needs(*PAGE, is_background=True)
    def fragment(request: Request, eyes: Look) -> Response:
        return answer_fragment(request, render("_deliveries.html", eyes))


def _add_retries(router: APIRouter, site: Site) -> None:
    @router.post("/deliveries/{delivery_id}/retry")
    @needs(*PAGE, Permission.RETRY)
    def retry_one(eyes: Look, delivery_id: Number, then: Then = "study") -> RedirectResponse:
        delivery, study = eyes.find_delivery(delivery_id)
        retry(site, eyes, [delivery])
        return RedirectResponse(
            f"/studies/{study.key}" if then == "study" else "/deliveries", status_code=303
        )

    @router.post("/deliveries/retry")
    @needs(*PAGE, Permission.RETRY)
    def retry_all(eyes: Look, destination: Destination) -> RedirectResponse:
        retry(site, eyes, eyes.list_dead(destination))
        return RedirectResponse("/deliveries", status_code=303)


def retry(site: Site, eyes: Eyes, rows: Sequence[DeliveryRow]) -> int:
    """Try dead letters again; returns how many."""
    if site.on_retry is None:
        raise HTTPException(404)
    visitor = eyes.visitor
    actor = Actor(user_id=visitor.principal.name, is_requestor=True, address=visitor.address)
    count = retry_deliveries(site.store, rows, actor, site.now())
    if count:
        site.on_retry()
    return count
