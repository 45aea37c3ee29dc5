"""The description of the API for machines: OpenAPI 3.1.

In: its routes.  Out: the document.  Never: a route that is not described.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi.openapi.utils import get_openapi
from starlette.routing import BaseRoute

_TAGS = {
    "studies": "What arrived, and how far it is.",
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
