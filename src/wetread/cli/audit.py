"""The commands about the audit trail.

In: a data folder, an export, a copy.  Out: entries, findings, an exit status.  Never: a change of the trail,
but for the entry that says that somebody looked into it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wetread.cli.console import console
from wetread.errors import ConfigError

if TYPE_CHECKING:
    from wetread.store.audit import Audit

audit_app = typer.Typer(no_args_is_help=True, help="The audit trail.")

Data = Annotated[Path | None, typer.Option(help="Data folder of the service [default: wetread-data].")]
Configuration = Annotated[Path | None, typer.Option(help="wetread.toml", exists=True, dir_okay=False)]


@audit_app.command("verify")
def verify(
    file: Annotated[Path | None, typer.Argument(help="An export, instead of the index.", exists=True)] = None,
    data: Data = None,
    config: Configuration = None,
    against: Annotated[
        Path | None, typer.Option(help="Compare with an export or a collector's log.", exists=True)
    ] = None,
) -> None:
    """Look for every change of the trail; one line for each, exit status 1 if there is any."""
    from wetread.store.audit_export import verify_export
    from wetread.store.audit_verify import verify_against, verify_index

    count = 0
    with _opened(data, config, needs_index=file is None) as audit:
        if file is not None:
            findings = verify_export(file, audit.key_file)
        else:
            findings = verify_index(audit.engine, audit.key_file, audit.head_file)
        for finding in findings:
            typer.echo(str(finding))
            count += 1
        for finding in verify_against(audit.engine, against) if against is not None else ():
            typer.echo(str(finding))
            count += 1
    noun = "finding" if count == 1 else "findings"
    console.print(f"{count} {noun}." if count else "The audit trail is whole.")
    if count:
        raise typer.Exit(1)


@audit_app.command("export")
def export(
    out: Annotated[Path, typer.Option(help="New file.")],
    since: Annotated[
        datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="First day, UTC.")
    ] = None,
    until: Annotated[
        datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="Last day, UTC.")
    ] = None,
    data: Data = None,
    config: Configuration = None,
) -> None:
    """Write the trail to a file that `wetread audit verify` can check by itself."""
    from wetread.store.audit_export import export_entries

    with _opened(data, config) as audit:
        # First, so that the export shows who took it.
        _record_use(audit, "The audit trail was exported.")
        begin = since.replace(tzinfo=UTC) if since else None
        end = until.replace(tzinfo=UTC) + timedelta(days=1) if until else None
        count = export_entries(audit, out, begin, end)
    console.print(f"{count} entries written to {out}.")


@audit_app.command("list")
def list_entries(
    study: Annotated[str, typer.Option(help="Study Instance UID.")] = "",
    actor: Annotated[str, typer.Option(help="Account, AE title, token.")] = "",
    last: Annotated[int, typer.Option(min=1, help="How many.")] = 50,
    data: Data = None,
    config: Configuration = None,
) -> None:
    """Show the last entries: number, time, what, who, study, outcome."""
    from wetread.dicom.audit_message import describe
    from wetread.store.audit_rows import AuditRows

    with _opened(data, config) as audit:
        _record_use(audit, "The audit trail was read.")
        for entry in AuditRows(audit.engine).list_last(last, study=study, actor=actor):
            at = datetime.fromtimestamp(entry.at, UTC).isoformat(timespec="seconds")
            typer.echo("  ".join([str(entry.sequence), at, *describe(entry.message)]))


@contextmanager
def _opened(data: Path | None, config: Path | None, *, needs_index: bool = True) -> Iterator[Audit]:
    """Yield the trail without touching what is there: no migration, no new folders."""
    from wetread.config import Config, read_config
    from wetread.store.audit import Audit
    from wetread.store.database import connect
    from wetread.store.settings import read_database_url

    settings = read_config(config) if config else Config()
    folder = (data or settings.data).resolve()
    index = folder / "index.sqlite"
    url = read_database_url(settings.store)
    if needs_index and not url and not index.exists():
        raise ConfigError("There is no data folder of Wetread here: name it with --data.", data=folder)
    engine = connect(url or f"sqlite:///{index}")
    try:
        yield Audit(engine, settings.audit.key_file or folder / "audit.key", folder / "audit.head")
    finally:
        engine.dispose()


def _record_use(audit: Audit, description: str) -> None:
    """Record that somebody read the trail (PS3.15 A.5.3.2)."""
    import getpass

    from wetread.domain.audit import Actor, AuditAction, AuditEvent, AuditEventType

    audit.record(
        AuditEvent(
            type=AuditEventType.AUDIT_LOG_USED,
            action=AuditAction.READ,
            at=datetime.now(UTC),
            actors=(Actor(user_id=f"command line: {getpass.getuser()}", is_requestor=True),),
            description=description,
        )
    )
