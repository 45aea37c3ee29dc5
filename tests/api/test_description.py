"""Whatever the description of the API allows is answered as it says; whatever it does not is refused."""

import re
from pathlib import Path

import pytest
import schemathesis
from fastapi.routing import iter_route_contexts
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS

from tests.api.conftest import Place
from wetread.web.api.description import operation_table

PAGE = Path(__file__).parents[2] / "docs/reference/api.md"
#: What a rule may hold is more than a schema can say (keywords of DICOM): a refusal names the word.
NOT_ALL_SAID = {"POST /api/v1/rules/replay"}
#: Hypothesis chooses the same ones each time.
EXAMPLES = settings(max_examples=3, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("mode", GenerationMode)
def test_every_operation_does_what_it_says(filled: Place, mode: GenerationMode) -> None:
    token = {"Authorization": filled.client.headers["Authorization"]}
    schema = schemathesis.openapi.from_asgi("/api/v1/openapi.json", filled.app, headers=token)
    for result in schema.get_all_operations():
        operation = result.ok()
        excluded = [CHECKS.get_one("positive_data_acceptance")] if operation.label in NOT_ALL_SAID else []

        @EXAMPLES
        @given(case=operation.as_strategy(generation_mode=mode))
        def call(case: schemathesis.Case) -> None:
            case.call_and_validate(headers=token, excluded_checks=excluded)  # noqa: B023 - called at once

        call()


def test_the_description_is_whole(filled: Place) -> None:
    document = filled.client.get("/api/v1/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    operations = [one for path in document["paths"].values() for one in path.values()]
    names = [one["operationId"] for one in operations]
    assert len(names) == len(set(names)) > 15
    for one in operations:
        assert one["summary"], one
        assert one["description"], one["operationId"]
        [tag] = one["tags"]
        assert tag in {known["name"] for known in document["tags"]}
        for status in ("400", "401", "403", "404", "422", "503"):
            [body] = one["responses"][status]["content"].values()
            assert body["schema"]["$ref"].endswith("/Failure")
        for parameter in one.get("parameters", []):
            assert parameter["name"] not in {"patient_id", "accession_number", "study_instance_uid"}
    said = document["components"]["schemas"]
    assert {"StudyPage", "StudyDetail", "ReadingDetail", "DeliveryPage", "RuleList", "Replayed"} <= set(said)


def test_the_documentation_lists_every_operation(filled: Place) -> None:
    routes = [one.original_route for one in iter_route_contexts(filled.app.routes)]
    table = operation_table([route for route in routes if route.path.startswith("/api/v1/")])
    found = re.search("<!-- operations -->\n(.*)<!-- end of operations -->", PAGE.read_text(), re.S)
    assert found is not None
    assert found[1].strip() == table, f"put this there:\n{table}"
