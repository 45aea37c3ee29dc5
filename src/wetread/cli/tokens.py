"""The commands about tokens, the keys of programs.

In: names.  Out: a token, printed this once.  Never: a token that can be shown again.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wetread.cli.people import JsonOption, SourcesOption, listed, open_identity
from wetread.cli.place import ConfigOption, DataOption, who_asks
from wetread.cli.users import read_role
from wetread.errors import ConfigError

if TYPE_CHECKING:
    from wetread.store.tokens import TokenRow

tokens_app = typer.Typer(no_args_is_help=True, help="The keys of programs.")


@tokens_app.command("add")
def add_token(
    name: Annotated[str, typer.Argument(help="What the audit trail calls the program.")],
    role: Annotated[str, typer.Option(help="Whose rights it has.")] = "service",
    source: SourcesOption = None,
    expires_days: Annotated[
        float | None, typer.Option(help="Valid for so many days [default: until revoked].", min=0)
    ] = None,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Make a token and print it, this once: Authorization: Bearer wtr_..."""
    from wetread.identity import Role
    from wetread.identity.people import check_name

    chosen = Role(read_role(role))
    with open_identity(config, data) as identity:
        now = identity.now()
        secret = identity.tokens.make(
            check_name(name),
            chosen,
            now,
            by=who_asks(),
            sources=listed(source),
            expires_at=now + timedelta(days=expires_days) if expires_days is not None else None,
        )
    typer.echo(secret)


@tokens_app.command("list")
def list_tokens(as_json: JsonOption = False, config: ConfigOption = None, data: DataOption = None) -> None:
    """List the tokens, without themselves."""
    with open_identity(config, data) as identity:
        rows = [_describe(row, identity.now()) for row in identity.tokens.table.list_all()]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        sources = ", ".join(row["sources"]) if row["sources"] else "all studies"
        typer.echo(f"{row['name']}  {row['role']}  {row['state']}  last used {row['used_at']}  {sources}")


def _describe(row: TokenRow, now: datetime) -> dict[str, Any]:
    from wetread.identity.tokens import describe_state

    return {
        "name": row.name,
        "role": row.role,
        "sources": list(row.sources) if row.sources is not None else None,
        "state": describe_state(row, now),
        "created_at": _time(row.created_at),
        "created_by": row.created_by,
        "expires_at": _time(row.expires_at),
        "used_at": _time(row.used_at),
    }


def _time(seconds: float | None) -> str:
    return "never" if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


@tokens_app.command("revoke")
def revoke_token(
    name: Annotated[str, typer.Argument(help="As `wetread tokens list` shows it.")],
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Take a token out of use, at once."""
    with open_identity(config, data) as identity:
        if not identity.tokens.revoke(name, identity.now(), by=who_asks()):
            raise ConfigError("No token in use has this name: see `wetread tokens list`.", name=name)
