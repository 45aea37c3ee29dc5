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
    data: Annotated[Path | None, typer.Option(help="Data folder of the service.")] = None,
    config: Annotated[Path | None, typer.Option(help="wetread.toml of the service.", exists=True)] = None,
) -> None:
    """Tell which models ran on a study or did not, and why."""
    from wetread.config import Config, read_config
    from wetread.explain import explain_study
    from wetread.store import open_store
    from wetread.store.settings import read_database_url

    settings = read_config(config) if config else Config()
    data, url = data or settings.data, read_database_url(settings.store)
    if not url and not (data / "index.sqlite").exists():
        raise ConfigError("There is no data folder of Wetread here: name it with --data.", data=data)
    store = open_store(data, url)
    try:
        typer.echo(explain_study(store, study))
    finally:
        store.close()
