"""The tree keeps its shape: layers, sizes, words, module heads."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "wetread"
MODULES = sorted(path for path in SOURCE.rglob("*.py") if "migrations" not in path.parts)
#: ``chest_reader`` is what the others share.
BENCHMARKS = sorted(set((ROOT / "benchmarks").glob("*.py")) - {ROOT / "benchmarks" / "chest_reader.py"})
FORBIDDEN_NAMES = {
    "utils",
    "util",
    "helpers",
    "helper",
    "common",
    "core",
    "base",
    "manager",
    "misc",
    "handler",
}


def name_of(path: Path) -> str:
    return str(path.relative_to(SOURCE))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_module_opens_with_in_out_never(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text()))
    assert docstring, "a module says what it is for"
    if path.name == "__init__.py" and len(path.read_text().splitlines()) < 8:
        return
    if path == SOURCE / "__init__.py":
        return
    for word in ("In:", "Out:", "Never:"):
        assert word in docstring, f"{word} is missing"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_sizes(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 400, "a module of more than 400 lines wants to be two"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            lines = body[-1].end_lineno - body[0].lineno + 1 if body else 0
            assert lines <= 50, f"{node.name} has {lines} lines"


def test_no_attic() -> None:
    words = {part for path in MODULES for part in re.split(r"[/_.]", name_of(path))}
    assert not words & FORBIDDEN_NAMES


def test_imports_point_downwards() -> None:
    command = [str(Path(sys.executable).parent / "lint-imports")]
    outcome = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stdout


@pytest.mark.parametrize("script", BENCHMARKS, ids=lambda path: path.name)
def test_benchmarks_start(script: Path) -> None:
    """A benchmark that nobody runs must not rot: each at least loads and explains itself."""
    command = [sys.executable, str(script), "--help"]
    outcome = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert outcome.returncode == 0, outcome.stderr
    assert "usage:" in outcome.stdout


def test_the_command_line_starts_lean() -> None:
    code = "import sys, wetread.cli; print(sorted({m.split('.')[0] for m in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    for heavy in ("highdicom", "scipy", "dbos", "fastapi", "torch"):
        assert f"'{heavy}'" not in loaded
