"""`wetread guideline` as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from wetread.cli import app
from wetread.errors import InvalidExam
from wetread.measure.guidelines import ask_guideline

EXAM = {"exam": {"date": "2026-06-01"}, "nodules": [{"id": "a", "type": "solid", "mean_diameter_mm": 9}]}


def test_a_file_and_standard_input_give_the_same(tmp_path: Path) -> None:
    path = tmp_path / "exam.json"
    path.write_text(json.dumps(EXAM))
    by_file = CliRunner().invoke(app, ["guideline", "lung-rads", "--json", str(path)])
    by_input = CliRunner().invoke(app, ["guideline", "lung-rads", "--json", "-"], input=json.dumps(EXAM))
    assert by_file.exit_code == by_input.exit_code == 0
    assert by_file.stdout == by_input.stdout
    answer = json.loads(by_file.stdout)
    assert (answer["category"], answer["nodule"]) == ("4A", "a")
    assert answer["next_exam"] == {"after_months": [3, 3], "date": "2026-09-01"}


def test_what_is_wrong_is_named_and_nothing_is_answered() -> None:
    wrong = EXAM | {"nodules": [{"id": "a", "type": "solid", "mean_diametr_mm": 9}]}
    result = CliRunner().invoke(app, ["guideline", "lung-rads", "--json", "-"], input=json.dumps(wrong))
    assert result.exit_code != 0
    assert result.stdout == ""
    assert isinstance(result.exception, InvalidExam)
    assert result.exception.facts["field"] == "nodules[0].mean_diametr_mm"
    assert "did you mean 'mean_diameter_mm'?" in result.exception.message


@pytest.mark.parametrize("text", ["", "[", "[]", '{"exam": NaN}', "[" * 100_000, '"' + "x" * (1 << 20) + '"'])
def test_any_text_gives_an_answer_or_a_field(text: str) -> None:
    with pytest.raises(InvalidExam):
        ask_guideline("lung-rads", text)
