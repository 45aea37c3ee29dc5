"""The documentation lists every operation."""

import re
from pathlib import Path

from fastapi.routing import iter_route_contexts

from tests.api.conftest import Place
from wetread.web.api.description import operation_table

PAGE = Path(__file__).parents[2] / "docs/reference/api.md"


def test_the_documentation_lists_every_operation(filled: Place) -> None:
    routes = [one.original_route for one in iter_route_contexts(filled.app.routes)]
    table = operation_table([route for route in routes if route.path.startswith("/api/v1/")])
    found = re.search("<!-- operations -->\n(.*)<!-- end of operations -->", PAGE.read_text(), re.S)
    assert found is not None
    assert found[1].strip() == table, f"put this there:\n{table}"
