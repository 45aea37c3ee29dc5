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

from wetread.cli.place import open_settings
from wetread.errors import ConfigError

if TYPE_CHECKING:
    from wetread.identity import Identity

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
    """Open accounts and tokens of a data folder, which is made where there is none."""
    from wetread.identity import make_identity

    with open_settings(config, data, may_make=True) as (settings, store):
        yield make_identity(
            store, lambda: datetime.now(UTC), sign_in=settings.web.sign_in, record=store.audit.record
        )


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


def listed(sources: list[str] | None) -> tuple[str, ...] | None:
    """Return the senders as they are kept; none given means all."""
    return tuple(sources) if sources else None
