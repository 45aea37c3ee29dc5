"""The commands about the key of the data folder.

In: a configuration.  Out: a key file, what is encrypted, progress.  Never: a key on the screen.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wetread.cli.console import console

if TYPE_CHECKING:
    from wetread.store.cipher import Vault

keys_app = typer.Typer(no_args_is_help=True, help="The key that the data folder is encrypted with.")

ConfigFile = Annotated[Path, typer.Option(help="wetread.toml", exists=True, dir_okay=False)]


@keys_app.command("make")
def make_key(
    out: Annotated[Path, typer.Option(help="A new file; only you will be able to read it.")],
) -> None:
    """Make a random key; keep a copy of it away from this machine."""
    from wetread.store.keys import make_key_file

    console.print(
        f"Key {make_key_file(out)} is in {out}. Without it the data folder cannot be read: keep a copy."
    )


@keys_app.command("status")
def show_status(config: ConfigFile) -> None:
    """Count the files by the key that opens them."""
    from wetread.store.rotation import count_keys

    vault = _open(config)
    census = count_keys(vault)
    for key_id, count in sorted(census.keys.items()):
        typer.echo(f"{key_id}  {count} files{'  (current key)' if key_id == vault.key_id else ''}")
    typer.echo(f"not encrypted     {census.plain} files")
    if census.damaged:
        typer.echo(f"damaged           {census.damaged} files")


@keys_app.command("encrypt")
def encrypt(config: ConfigFile) -> None:
    """Encrypt what was stored before encryption was turned on; may be interrupted and begun again."""
    _renew(config)


@keys_app.command("rotate")
def rotate(config: ConfigFile) -> None:
    """Bring every file under the current key; may be interrupted and begun again."""
    _renew(config)


def _renew(config: Path) -> None:
    from rich.progress import Progress

    from wetread.store.rotation import rotate_keys

    vault = _open(config)
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("Files", total=None)
        done = rotate_keys(vault, lambda count: progress.update(task, completed=count))
    console.print(f"{done.encrypted} files encrypted, {done.rewrapped} headers written anew.")
    for place in done.failed:
        console.print(f"Not done, no key here opens it: {place}", markup=False, highlight=False)
    if done.failed:
        raise typer.Exit(1)


def _open(config: Path) -> Vault:
    from wetread.config import read_config
    from wetread.store.store import open_vault

    settings = read_config(config)
    return open_vault(settings.data.resolve(), settings.encryption)
