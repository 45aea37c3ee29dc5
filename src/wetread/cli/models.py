"""The commands about models.

In: names.  Out: what is registered.  Never: a model that is run.
"""

from __future__ import annotations

import json
from typing import Annotated

import typer

models_app = typer.Typer(no_args_is_help=True, help="The registered models.")


@models_app.command("list")
def list_models(
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """List the registered models."""
    from wetread.domain.jsonable import to_jsonable
    from wetread.registry import read_models

    models = read_models()
    if as_json:
        typer.echo(json.dumps([to_jsonable(model) for model in models.values()], indent=2))
        return
    for model in models.values():
        one = model.identity
        typer.echo(f"{one.name}  {one.version}  {model.state}  {one.digest[:12]}  {model.title}")


@models_app.command("show")
def show_model(name: Annotated[str, typer.Argument(help="As `wetread models list` shows it.")]) -> None:
    """Show one model: what it may read, with which numbers, and its card."""
    from wetread.domain.jsonable import to_jsonable
    from wetread.errors import UnknownModel
    from wetread.registry import read_models

    models = read_models()
    if name not in models:
        raise UnknownModel(model=name)
    typer.echo(json.dumps(to_jsonable(models[name]), indent=2))
