"""The conformance statement says what is served, all of it, and each claim has a test that is there."""

import ast
from functools import cache
from pathlib import Path

import pytest
from pynetdicom import sop_class

from wetread.conformance import write_statement
from wetread.conformance.claim import Role
from wetread.conformance.profiles import PROFILES
from wetread.conformance.registered import list_resources, list_served
from wetread.conformance.resources import RESOURCES, USED
from wetread.conformance.services import SERVICES

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/conformance.md"
CLAIMS = [*SERVICES, *RESOURCES, *USED, *PROFILES]


@cache
def names_in(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda one: getattr(one, "name", None) or one.service)
def test_each_claim_has_its_tests(claim: object) -> None:
    nodes = claim.tests  # type: ignore[attr-defined]
    assert nodes
    for node in nodes:
        path, _, name = node.partition("::")
        assert name.startswith("test_")
        assert name in names_in(path), f"{node} is not there: name the test that holds this claim"


def test_every_served_sop_class_is_claimed_and_nothing_else() -> None:
    claimed = [uid for one in SERVICES if one.role is Role.SCP for uid in one.sop_classes]
    assert sorted(claimed) == sorted(list_served()), "add a Service to wetread.conformance.services"


def test_every_sop_class_that_the_code_names_is_claimed() -> None:
    claimed = {uid for one in SERVICES for uid in one.sop_classes}
    named = {}
    for path in (ROOT / "src/wetread").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module == "pynetdicom.sop_class":
                named |= {alias.name: path.name for alias in node.names}
    assert {"Verification", "StudyRootQueryRetrieveInformationModelFind"} <= set(named)
    missing = {f"{name} in {named[name]}" for name in named if getattr(sop_class, name) not in claimed}
    assert not missing, "add a Service to wetread.conformance.services"


def test_every_resource_is_claimed_and_nothing_else() -> None:
    claimed = [operation for one in RESOURCES for operation in one.operations]
    assert sorted(claimed) == sorted(list_resources()), "add it to wetread.conformance.resources"


def test_the_page_is_what_the_program_says() -> None:
    assert PAGE.read_text() == write_statement(), "run: wetread conformance --out docs/conformance.md"
