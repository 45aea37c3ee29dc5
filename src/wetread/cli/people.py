"""What the commands about users and tokens share: whose data folder, who asks, which password.

In: options, the terminal, stdin.  Out: an ``Identity``, a password.  Never: a password from the command line.
"""

from __future__ import annotations

import getpass
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wetread.cli.console import console
from wetread.errors import ConfigError

if TYPE_CHECKING:
    from wetread.identity import Identity

ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="wetread.toml", exists=True, dir_okay=False)
]
DataOption = Annotated[
    Path | None, typer.Option("--data", help="Data folder [default: of the configuration].")
]
StdinOption = Annotated[
    bool, typer.Option("--password-stdin", help="Take the password from stdin instead of the terminal.")
]
SourcesOption = Annotated[
    list[str] | None,
    typer.Option("--source", help="AE title whose studies may be seen, may be repeated [default: all]."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="For programs.")]


@contextmanager
def open_identity(config: Path | None, data: Path | None) -> Iterator[Identity]:
    """Open accounts and tokens of a data folder; a service may be running on it."""
    from wetread.config import Config, read_config
    from wetread.identity import make_identity
    from wetread.store import open_store
    from wetread.store.settings import read_database_url

    settings = read_config(config) if config else Config()
    folder = data or settings.data
    if not folder.exists():
        console.print(f"New data folder {folder.resolve()}", markup=False, highlight=False)
    store = open_store(
        folder, read_database_url(settings.store), settings.audit.key_file, encryption=settings.encryption
    )
    try:
        yield make_identity(
            store, lambda: datetime.now(UTC), sign_in=settings.web.sign_in, record=store.audit.record
        )
    finally:
        store.close()


def ask_password(from_stdin: bool) -> str:
    """Return a password: typed twice and unseen, or the first line of stdin."""
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise ConfigError("There is no terminal to ask for a password: use --password-stdin.")
    password = getpass.getpass("Password: ")
    if getpass.getpass("Again: ") != password:
        raise ConfigError("The password was not typed twice alike.")
    return password


def who_asks() -> str:
    """Return who runs this command, for the audit trail."""
    try:
        return f"{getpass.getuser()} (command line)"
    except (KeyError, OSError):
        return "command line"


def listed(sources: list[str] | None) -> tuple[str, ...] | None:
    """Return the senders as they are kept; none given means all."""
    return tuple(sources) if sources else None
