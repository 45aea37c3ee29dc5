"""The command that tells why.

In: a study.  Out: which models ran or did not, and why.  Never: a change, a patient's name.
"""

from __future__ import annotations

from typing import Annotated

import typer

from wetread.cli.place import ConfigOption, DataOption, open_settings


def explain(
    study: Annotated[str, typer.Argument(help="Study Instance UID, or accession number.")],
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Tell which models ran on a study or did not, and why."""
    from wetread.explain import explain_study

    with open_settings(config, data) as (_settings, store):
        typer.echo(explain_study(store, study))
