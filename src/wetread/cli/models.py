"""The commands about models.

In: names.  Out: what is registered.  Never: a model that is run.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from wetread.cli.console import console

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


@models_app.command("key")
def make_signing_key(
    out: Annotated[Path, typer.Option(help="File for the private key; the public one is put beside it.")],
) -> None:
    """Make a key to sign model packages with."""
    from wetread.registry.signature import make_key

    public = make_key(out)
    console.print(f"Keep {out} secret. Put this into wetread.toml of every machine that may trust it:")
    typer.echo(f'[registry]\ntrusted_keys = ["{public}"]')


@models_app.command("sign")
def sign(
    folder: Annotated[Path, typer.Argument(help="Package folder.", exists=True, file_okay=False)],
    key: Annotated[Path, typer.Option(help="Private key of `wetread models key`.", exists=True)],
) -> None:
    """Vouch for a model package."""
    from wetread.registry import read_package
    from wetread.registry.signature import sign_package

    model = read_package(folder)
    sign_package(folder, model.identity, key)
    console.print(f"Signed {model.identity.name} {model.identity.version}, digest {model.identity.digest}.")


@models_app.command("verify")
def verify(
    folder: Annotated[Path, typer.Argument(help="Package folder.", exists=True, file_okay=False)],
    key: Annotated[list[Path], typer.Option(help="Trusted public key; may be repeated.")],
) -> None:
    """Check that a package is whole and that somebody trusted vouches for it."""
    from wetread.registry import read_package
    from wetread.registry.signature import verify_package

    model = read_package(folder)
    signer = verify_package(folder, model.identity, key)
    typer.echo(
        f"{model.identity.name}  {model.identity.version}  {model.identity.digest}  signed by {signer}"
    )
