"""The commands about users.

In: names; passwords from the terminal or stdin.  Out: changed accounts, at once, while the service runs.
Never: a password on the command line; a default one.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wetread.cli.people import JsonOption, SourcesOption, StdinOption, ask_password, listed, open_identity
from wetread.cli.place import ConfigOption, DataOption, who_asks

if TYPE_CHECKING:
    from wetread.store.accounts import AccountRow

users_app = typer.Typer(no_args_is_help=True, help="Who may sign in.")

NameArgument = Annotated[str, typer.Argument(help="As `wetread users list` shows it.")]
RoleOption = Annotated[str, typer.Option(help="radiologist, lead, administrator or data-scientist.")]


def read_role(text: str) -> str:
    """Return a role as the parts below take it, or raise ConfigError."""
    from wetread.errors import ConfigError
    from wetread.identity import Role

    if text not in list(Role):
        raise ConfigError(f"There is no role {text!r}: known are {', '.join(Role)}.")
    return text


@users_app.command("add")
def add_user(
    name: Annotated[str, typer.Argument(help="Letters, digits and . _ @ -")],
    role: RoleOption,
    display_name: Annotated[str, typer.Option(help="As pages show it.")] = "",
    source: SourcesOption = None,
    temporary: Annotated[bool, typer.Option(help="The password must be changed at once.")] = False,
    password_stdin: StdinOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Add somebody who signs in by name and password."""
    from wetread.identity import Role

    chosen = Role(read_role(role))
    password = ask_password(password_stdin)
    with open_identity(config, data) as identity:
        row = identity.people.add(
            name,
            chosen,
            password,
            identity.now(),
            by=who_asks(),
            display_name=display_name,
            sources=listed(source),
            must_change_password=temporary,
        )
    typer.echo(f"{row.name} may sign in as {row.role}.")


@users_app.command("list")
def list_users(as_json: JsonOption = False, config: ConfigOption = None, data: DataOption = None) -> None:
    """List the accounts."""
    with open_identity(config, data) as identity:
        rows = [_describe(row, identity.now()) for row in identity.accounts.list_all()]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        sources = ", ".join(row["sources"]) if row["sources"] else "all studies"
        typer.echo(f"{row['name']}  {row['role']}  {row['state']}  {row['sign_in']}  {sources}")


def _describe(row: AccountRow, now: datetime) -> dict[str, Any]:
    is_locked = row.locked_until is not None and now.timestamp() < row.locked_until
    until = datetime.fromtimestamp(row.locked_until or 0, UTC).isoformat(timespec="seconds")
    how = "OpenID Connect" if row.subject else "password and app" if row.totp_secret else "password"
    return {
        "name": row.name,
        "display_name": row.display_name,
        "role": row.role,
        "sources": list(row.sources) if row.sources is not None else None,
        "state": "disabled" if not row.is_active else f"locked until {until}" if is_locked else "active",
        "sign_in": how,
        "must_change_password": row.must_change_password,
        "must_use_totp": row.must_use_totp,
    }


@users_app.command("set-role")
def set_role(
    name: NameArgument, role: RoleOption, config: ConfigOption = None, data: DataOption = None
) -> None:
    """Give somebody another role, from their next click on."""
    from wetread.identity import Role

    chosen = Role(read_role(role))
    with open_identity(config, data) as identity:
        identity.people.set_role(name, chosen, identity.now(), by=who_asks())


@users_app.command("disable")
def disable(name: NameArgument, config: ConfigOption = None, data: DataOption = None) -> None:
    """Let somebody in no more; who is signed in is signed out."""
    with open_identity(config, data) as identity:
        identity.people.set_active(name, False, identity.now(), by=who_asks())


@users_app.command("enable")
def enable(name: NameArgument, config: ConfigOption = None, data: DataOption = None) -> None:
    """Let somebody in again."""
    with open_identity(config, data) as identity:
        identity.people.set_active(name, True, identity.now(), by=who_asks())


@users_app.command("reset-password")
def reset_password(
    name: NameArgument,
    password_stdin: StdinOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Give somebody a new password, which they must change at once."""
    password = ask_password(password_stdin)
    with open_identity(config, data) as identity:
        identity.people.reset_password(name, password, identity.now(), by=who_asks())


@users_app.command("require-totp")
def require_totp(
    name: NameArgument,
    off: Annotated[bool, typer.Option("--off", help="No longer.")] = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Demand an authenticator app of somebody: they set it up at their next click."""
    with open_identity(config, data) as identity:
        identity.people.require_totp(name, not off, identity.now(), by=who_asks())


@users_app.command("reset-totp")
def reset_totp(name: NameArgument, config: ConfigOption = None, data: DataOption = None) -> None:
    """Forget somebody's authenticator app, e.g. of a lost telephone."""
    with open_identity(config, data) as identity:
        identity.people.reset_totp(name, identity.now(), by=who_asks())


@users_app.command("unlock")
def unlock(name: NameArgument, config: ConfigOption = None, data: DataOption = None) -> None:
    """Let somebody try again before their lock is over."""
    with open_identity(config, data) as identity:
        identity.people.unlock(name, identity.now(), by=who_asks())
