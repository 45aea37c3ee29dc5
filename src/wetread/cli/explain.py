"""The command that tells why.

In: a study.  Out: which models ran or did not, and why.  Never: a change, a patient's name.
"""

from __future__ import annotations

from typing import Annotated

import typer

from wetread.cli.place import ConfigOption, DataOption, open_settings
from wetread.cli.remote import TokenOption, UrlOption, open_service


def explain(
    study: Annotated[str, typer.Argument(help="Study Instance UID, or accession number.")],
    data: DataOption = None,
    config: ConfigOption = None,
    url: UrlOption = "",
    token_file: TokenOption = None,
) -> None:
    """Tell which models ran on a study or did not, and why."""
    from wetread.explain import explain_study

    service = open_service(url, token_file, config, data)
    if service is not None:
        lines = service.explain(service.find_study(study).key).lines
        typer.echo("\n".join(lines))
        return
    with open_settings(config, data) as (_settings, store):
        typer.echo(explain_study(store, study))
