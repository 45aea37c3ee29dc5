"""The commands about the key of the data folder.

In: a configuration.  Out: a key file, what is encrypted, progress.  Never: a key on the screen.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wetread.cli.console import console
from wetread.cli.place import open_settings

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
    """Count the files, and the secrets of authenticator apps, by the key that opens them."""
    from wetread.store.accounts import DAMAGED
    from wetread.store.rotation import count_keys

    with open_settings(config, None) as (_settings, store):
        census, current = count_keys(store.vault, store.accounts), store.vault.key_id
    secrets = census.secrets
    for key_id in sorted({*census.keys, *secrets} - {"", DAMAGED}):
        is_current = "  (current key)" if key_id == current else ""
        typer.echo(f"{key_id}  {_count(census.keys.get(key_id, 0), secrets.get(key_id, 0))}{is_current}")
    typer.echo(f"not encrypted     {_count(census.plain, secrets.get('', 0))}")
    if census.damaged or secrets.get(DAMAGED):
        typer.echo(f"damaged           {_count(census.damaged, secrets.get(DAMAGED, 0))}")


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

    with (
        open_settings(config, None) as (_settings, store),
        Progress(console=console, transient=True) as progress,
    ):
        task = progress.add_task("Files", total=None)
        done = rotate_keys(store.vault, store.accounts, lambda count: progress.update(task, completed=count))
    console.print(f"{done.encrypted} files encrypted, {done.rewrapped} headers written anew.")
    console.print(f"{done.secrets.sealed} secrets of authenticator apps sealed.")
    for place in done.failed:
        console.print(f"Not done, no key here opens it: {place}", markup=False, highlight=False)
    for name in done.secrets.failed:
        told = f"Not done, no key here opens the secret of {name}: wetread users reset-totp {name}"
        console.print(told, markup=False, highlight=False)
    if done.failed or done.secrets.failed:
        raise typer.Exit(1)


def _count(files: int, secrets: int) -> str:
    return f"{files} files" + (f", {secrets} secrets of authenticator apps" if secrets else "")
