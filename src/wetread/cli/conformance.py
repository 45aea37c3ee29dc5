"""The command that writes the conformance statement.

In: where to.  Out: Markdown.  Never: a running service.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def conformance(
    out: Annotated[Path | None, typer.Option(help="File to write [default: stdout].")] = None,
) -> None:
    """Write the DICOM Conformance Statement of this version."""
    from wetread.conformance import write_statement

    text = write_statement()
    if out is None:
        typer.echo(text, nl=False)
    else:
        out.write_text(text, encoding="utf-8")
