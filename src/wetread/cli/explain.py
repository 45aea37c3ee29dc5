"""The command that tells why.

In: a study.  Out: which models ran or did not, and why.  Never: a change.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wetread.errors import ConfigError


def explain(
    study: Annotated[str, typer.Argument(help="Study Instance UID, or accession number.")],
    data: Annotated[Path, typer.Option(help="Data folder of the service.")] = Path("wetread-data"),
) -> None:
    """Tell which models ran on a study or did not, and why."""
    from wetread.explain import explain_study
    from wetread.store import open_store

    if not (data / "index.sqlite").exists():
        raise ConfigError("There is no data folder of Wetread here: name it with --data.", data=data)
    store = open_store(data)
    try:
        typer.echo(explain_study(store, study))
    finally:
        store.close()
