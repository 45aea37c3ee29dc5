"""The commands about models.

In: names, reasons, reports.  Out: what is registered and how it stands; decisions, kept.
Never: a model that is run; a decision without its reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wetread.cli.console import console
from wetread.cli.model_add import add_model
from wetread.cli.people import JsonOption
from wetread.cli.place import ConfigOption, DataOption, has_place, open_settings, who_asks
from wetread.cli.remote import TokenOption, UrlOption, open_service

if TYPE_CHECKING:
    from wetread.contract.models import ModelDetail, ModelLine
    from wetread.domain.model import Model
    from wetread.registry.lineup import Lineup
    from wetread.registry.promotion import Decision
    from wetread.store import Store
    from wetread.store.model_states import ModelChange

models_app = typer.Typer(no_args_is_help=True, help="The registered models, and what is decided about them.")
NameArgument = Annotated[str, typer.Argument(help="As `wetread models list` shows it; NAME@VERSION.")]
WhyOption = Annotated[str, typer.Option("--why", help="Reason, without names: it is shown.")]
models_app.command("add")(add_model)


@models_app.command("list")
def list_models(
    as_json: JsonOption = False,
    url: UrlOption = "",
    token_file: TokenOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """List the registered versions and how they stand: of a service, or of this installation."""
    from wetread.cli.studies import to_json

    service = open_service(url, token_file, config, data)
    lines = service.list_models().items if service is not None else _here(config, data)
    if as_json:
        typer.echo(to_json(lines))
        return
    for one in lines:
        since = f"since {one.since.astimezone().isoformat(' ', 'minutes')}" if one.since else "as packaged"
        typer.echo(f"{one.name}  {one.version}  {one.state}  {one.digest[:12]}  {since}  {one.title}")
        if one.withheld:
            typer.echo(f"    {one.withheld}")


@models_app.command("show")
def show_model(
    name: Annotated[str, typer.Argument(help="As `wetread models list` shows it.")],
    url: UrlOption = "",
    token_file: TokenOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Show one model: its versions, what was decided, what it may read, with which numbers, its card."""
    from wetread.cli.studies import to_json

    service = open_service(url, token_file, config, data)
    typer.echo(to_json(service.get_model(name) if service is not None else _detail(config, data, name)))


@models_app.command("promote")
def promote_model(
    name: NameArgument,
    to: Annotated[str, typer.Option(help="validated, shadow or live; lower: a step back.")],
    why: WhyOption,
    report: Annotated[
        Path | None,
        typer.Option(help="Folder that `wetread lab validate` wrote.", exists=True, file_okay=False),
    ] = None,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Bring a version into a state; one that becomes live takes the place of the one that is."""
    from wetread.domain.lifecycle import ModelState
    from wetread.errors import StateRefused
    from wetread.registry.promotion import promote
    from wetread.registry.report import read_report

    if to not in (ModelState.VALIDATED, ModelState.SHADOW, ModelState.LIVE):
        raise StateRefused("--to is validated, shadow or live.", given=to)
    with _lineup(config, data) as lineup:
        held = read_report(report) if report else None
        model, version = split_name(name)
        done = promote(lineup, model, ModelState(to), decision_of(why), version=version, report=held)
    _tell(done)


@models_app.command("retire")
def retire_model(
    name: NameArgument, why: WhyOption, config: ConfigOption = None, data: DataOption = None
) -> None:
    """Take a version out of use: only a new validation report brings it back."""
    from wetread.registry.promotion import retire

    with _lineup(config, data) as lineup:
        model, version = split_name(name)
        done = retire(lineup, model, decision_of(why), version=version)
    _tell(done)


@models_app.command("rollback")
def roll_model_back(
    name: Annotated[str, typer.Argument(help="As `wetread models list` shows it.")],
    why: WhyOption,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Make the version live again that was live before; every worker reads with it from then on."""
    from wetread.registry.promotion import roll_back

    with _lineup(config, data) as lineup:
        done = roll_back(lineup, name, decision_of(why))
    _tell(done)


@models_app.command("restore")
def restore_model(
    name: NameArgument, why: WhyOption, config: ConfigOption = None, data: DataOption = None
) -> None:
    """Put a version back into service that went out of it after failing again and again."""
    from wetread.registry.promotion import restore

    with _lineup(config, data) as lineup:
        model, version = split_name(name)
        done = restore(lineup, model, decision_of(why), version=version)
    _tell(done)


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


@contextmanager
def _lineup(config: Path | None, data: Path | None) -> Iterator[Lineup]:
    with opened(config, data) as (lineup, _store):
        yield lineup


@contextmanager
def opened(config: Path | None, data: Path | None) -> Iterator[tuple[Lineup, Store]]:
    """Open what is registered and what was decided; a service may be running on it."""
    from wetread.registry import read_packages
    from wetread.registry.lineup import Lineup

    with open_settings(config, data) as (settings, store):
        packages = read_packages(settings.models, settings.registry)
        yield Lineup(packages, store.model_states), store


def _here(config: Path | None, data: Path | None) -> tuple[ModelLine, ...]:
    from wetread.telling import tell_models

    if has_place(config, data):
        with _lineup(config, data) as lineup:
            return tell_models(lineup.entries()).items
    from wetread.registry.lineup import stand

    return tell_models(stand(_packages(config), ())).items


def _detail(config: Path | None, data: Path | None, name: str) -> ModelDetail:
    from wetread.registry.lineup import stand
    from wetread.telling import tell_model

    if has_place(config, data):
        with opened(config, data) as (lineup, store):
            changes, points = lineup.states.list_all(), store.operating_points.list_all(name)
            return tell_model(stand(lineup.packages, changes), changes, points, name)
    return tell_model(stand(_packages(config), ()), (), (), name)


def _packages(config: Path | None) -> tuple[Model, ...]:
    from wetread.config import Config, read_config
    from wetread.registry import read_packages

    settings = read_config(config) if config else Config()
    return read_packages(settings.models, settings.registry)


def split_name(name: str) -> tuple[str, str]:
    """Return name and version of NAME or NAME@VERSION."""
    model, _, version = name.partition("@")
    return model, version


def decision_of(why: str) -> Decision:
    """Return what who runs this command decides now."""
    from wetread.domain.audit import Actor
    from wetread.registry.promotion import Decision
    from wetread.work import now

    return Decision(actor=Actor(user_id=who_asks(), is_requestor=True), at=now(), why=why)


def _tell(change: ModelChange) -> None:
    typer.echo(f"{change.name}  {change.version}  {change.state}  {change.digest[:12]}")
