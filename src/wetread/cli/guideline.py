"""The command that asks a guideline.

In: JSON of an exam.  Out: JSON of what the guideline says.  Never: an answer to what contradicts itself.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer


def guideline(
    name: Annotated[Literal["lung-rads", "fleischner", "bts", "brock", "recist"], typer.Argument()],
    source: Annotated[Path, typer.Option("--json", help="File with the exam, - for standard input.")],
) -> None:
    """Ask a guideline what to do about nodules that were measured.

    Not for clinical use: a radiologist decides.
    """
    from wetread.measure.guidelines import ask_guideline
    from wetread.measure.guidelines.answer import to_json
    from wetread.measure.guidelines.ask import LARGEST_BYTES

    if str(source) == "-":
        data = sys.stdin.buffer.read(LARGEST_BYTES + 1)
    else:
        try:
            with source.open("rb") as file:
                data = file.read(LARGEST_BYTES + 1)
        except OSError as error:
            raise typer.BadParameter(f"{source} cannot be read", param_hint="--json") from error
    answer = ask_guideline(name, data.decode("utf-8", "replace"))
    typer.echo(json.dumps(to_json(answer), indent=2))
