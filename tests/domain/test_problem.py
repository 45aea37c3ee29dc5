"""Every code is explained, and an error turns into its problem."""

import re
from pathlib import Path

import pytest

from wetread.domain.problem import Problem, ProblemCode, RefusedImages, problem_from_error
from wetread.errors import ConfigError, ModelTimeout

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "problems.md"


def documented() -> dict[str, tuple[str, str]]:
    rows = re.findall(
        r"^\| `([a-z-]+)` \| (.+?) \| (.+?) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE
    )
    return {code: (meaning, action) for code, meaning, action in rows}


@pytest.mark.parametrize("code", list(ProblemCode))
def test_every_code_is_documented(code: ProblemCode) -> None:
    meaning, action = documented()[code.value]
    assert len(meaning) > 10
    assert action


def test_nothing_else_is_documented() -> None:
    assert set(documented()) == {code.value for code in ProblemCode}


def test_a_refusal_keeps_its_problem() -> None:
    note = Problem(code=ProblemCode.LOCALIZER, message="left out", refuses=False)
    gap = Problem(code=ProblemCode.SLICE_GAP, message="a slice is missing")
    assert problem_from_error(RefusedImages((note, gap))) == gap


def test_an_error_becomes_the_problem_of_its_code() -> None:
    assert problem_from_error(ModelTimeout()).code is ProblemCode.MODEL_TIMEOUT
    assert problem_from_error(ConfigError()).code is ProblemCode.INTERNAL_ERROR
