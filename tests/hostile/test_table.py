"""docs/reference/hostile-inputs.md lists every row, and what it names is there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "reference" / "hostile-inputs.md").read_text(encoding="utf-8")
LINES = re.findall(r"^\| (H\d\d)(?: to (H\d\d))? \|.*\| (.*) \|$", TEXT, re.MULTILINE)


def test_every_row_is_there_once() -> None:
    listed = [
        number for first, last, _ in LINES for number in range(int(first[1:]), int((last or first)[1:]) + 1)
    ]
    assert listed == list(range(1, 65))


def test_each_row_of_ours_is_in_the_file_that_is_named() -> None:
    named = [
        (row, name) for row, _, where in LINES for name in re.findall(r"`(tests/hostile/\w+\.py)`", where)
    ]
    assert len(named) > 30
    rows = (ROOT / "tests" / "hostile" / "rows.py").read_text(encoding="utf-8")
    for row, name in named:
        content = (ROOT / name).read_text(encoding="utf-8")
        assert f"{row}" in content or (name.endswith("test_files.py") and f'"{row}-' in rows), (row, name)
