"""The command that tells how a version in the shadow compares with the live one.

In: a version.  Out: tables, or JSON in the words of the API.
Never: a look that the audit trail does not hold; who a patient is, but for UIDs.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from wetread.cli.models import NameArgument, models_app, opened, split_name
from wetread.cli.people import JsonOption
from wetread.cli.place import ConfigOption, DataOption, who_asks
from wetread.cli.remote import TokenOption, UrlOption, open_service
from wetread.errors import ConfigError

if TYPE_CHECKING:
    from wetread.contract.shadow import ShadowComparison


@models_app.command("shadow")
def compare_shadow(
    name: NameArgument,
    as_json: JsonOption = False,
    url: UrlOption = "",
    token_file: TokenOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Compare a version in the shadow with the live one, on the series that both had."""
    from wetread.cli.studies import to_json

    model, version = split_name(name)
    service = open_service(url, token_file, config, data)
    if service is None:
        compared = _compare(config, data, model, version)
    elif version:
        compared = service.compare_shadow(model, version)
    else:
        raise ConfigError("Name the version: NAME@VERSION.")
    if as_json:
        typer.echo(to_json(compared))
        return
    for line in _lines(compared):
        typer.echo(line)


def _compare(config: Path | None, data: Path | None, model: str, version: str) -> ShadowComparison:
    from wetread.domain.audit import Actor, AuditAction, AuditEvent, AuditEventType
    from wetread.registry.comparing import compare
    from wetread.work import now

    with opened(config, data) as (lineup, store):
        compared = compare(store, lineup, model, version)
        event = AuditEvent(
            type=AuditEventType.QUERY,
            action=AuditAction.EXECUTE,
            at=now(),
            description=f"Opened: {model} {compared.version} in the shadow.",
            actors=(Actor(user_id=who_asks(), is_requestor=True),),
        )
        # Before it is told: what cannot be recorded is not.
        store.audit.record(event)
        return compared


def _lines(compared: ShadowComparison) -> list[str]:
    from wetread.web.shadow import tell_cases, tell_lines, tell_tables

    lines = list(tell_lines(compared))
    for table in tell_tables(compared):
        if table.rows:
            lines += ["", f"{table.title}:"]
            heads = table.head[1:]
            lines += [
                f"  {row[0]}: "
                + "; ".join(f"{h} {text}" for h, text in zip(heads, row[1:], strict=True) if text)
                for row in table.rows
            ]
    cases = tell_cases(compared)
    lines += ["", "Priorities that differ:"] if cases else []
    lines += [f"  {one.study_instance_uid}: live {one.live}, shadow {one.shadow}" for one in cases]
    return lines
