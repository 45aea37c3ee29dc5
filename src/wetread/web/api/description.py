"""The description of the API for machines: OpenAPI 3.1.

In: its routes.  Out: the document.  Never: a route that is not described.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute

from wetread.identity import Permission
from wetread.web.access import read_needs

_TAGS = {
    "studies": "What arrived, and how far it is.",
    "queue": "What waits for its models, and what people do about it.",
    "readings": "What models said, and the documents made from it.",
    "deliveries": "What goes where, and how far it is.",
    "models": "What is registered.",
    "rules": "Which models are asked, and what other rules would do.",
}
_ABOUT = (
    "Errors have a `code` and a `message`. Lists come in pages: send `after` of a page, or follow `next`"
    " (or the Link header), to get what follows; what arrives meanwhile moves nothing. Answers to GET have an"
    " ETag. Within v1 nothing is renamed or taken away; fields may be added."
)


def describe(routes: Sequence[BaseRoute]) -> dict[str, Any]:
    """Return the OpenAPI document."""
    document = get_openapi(
        title="Wetread",
        version="1",
        openapi_version="3.1.0",
        description=_ABOUT,
        routes=list(routes),
        tags=[{"name": name, "description": about} for name, about in _TAGS.items()],
    )
    schemes = document.setdefault("components", {}).setdefault("securitySchemes", {})
    schemes["token"] = {
        "type": "http",
        "scheme": "bearer",
        "description": "A token of `wetread tokens add`.",
    }
    document["security"] = [{"token": []}]
    return document


def operation_table(routes: Sequence[BaseRoute]) -> str:
    """Return the operations as the documentation lists them."""
    lines = ["| operation | what it does | beside seeing studies needs to |", "|---|---|---|"]
    for route in routes:
        declared = read_needs(route.endpoint) if isinstance(route, APIRoute) else None
        if not isinstance(route, APIRoute) or declared is None or not route.include_in_schema:
            continue
        [method] = route.methods or {""}
        about = route.description.partition("\n\n")[0].replace("\n", " ").rstrip(".")
        more = "; ".join(sorted(one.value for one in declared.permissions - {Permission.STUDIES}))
        lines.append(f"| `{method} {route.path}` | {about} | {more} |")
    return "\n".join(lines)
