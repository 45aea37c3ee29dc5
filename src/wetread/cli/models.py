"""The commands about models.

In: names.  Out: what is registered.  Never: a model that is run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wetread.cli.console import console
from wetread.cli.people import JsonOption
from wetread.cli.remote import TokenOption, UrlOption, open_service

models_app = typer.Typer(no_args_is_help=True, help="The registered models.")


@models_app.command("list")
def list_models(as_json: JsonOption = False, url: UrlOption = "", token_file: TokenOption = None) -> None:
    """List the registered models: of a service, or of this installation."""
    from wetread.cli.studies import to_json

    service = open_service(url, token_file)
    if service is not None:
        lines = service.list_models().items
    else:
        from wetread.registry import read_models
        from wetread.web.api.models import tell_model

        lines = tuple(map(tell_model, read_models().values()))
    if as_json:
        typer.echo(to_json(lines))
        return
    for one in lines:
        typer.echo(f"{one.name}  {one.version}  {one.state}  {one.digest[:12]}  {one.title}")


@models_app.command("show")
def show_model(
    name: Annotated[str, typer.Argument(help="As `wetread models list` shows it.")],
    url: UrlOption = "",
    token_file: TokenOption = None,
) -> None:
    """Show one model: what it may read, with which numbers, and its card."""
    from wetread.cli.studies import to_json
    from wetread.errors import UnknownModel

    service = open_service(url, token_file)
    if service is not None:
        typer.echo(to_json(service.get_model(name)))
        return
    from wetread.registry import read_models
    from wetread.web.api.models import tell_model_detail

    models = read_models()
    if name not in models:
        raise UnknownModel(model=name)
    typer.echo(to_json(tell_model_detail(models[name])))


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
