"""The commands that keep a copy and bring it back.

In: folders.  Out: a backup, a verdict on one, a data folder.  Never: what a folder holds overwritten.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wetread.cli.console import console
from wetread.cli.place import ConfigOption, DataOption, open_settings, who_asks
from wetread.errors import ConfigError


def backup(
    out: Annotated[
        Path | None, typer.Option(help="Folder: new, or of an earlier backup, which is brought up to date.")
    ] = None,
    verify: Annotated[Path | None, typer.Option(help="Check a backup instead; reads every file.")] = None,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Copy the data folder; the service may be running."""
    from wetread.store.backup import back_up, verify_backup
    from wetread.work import now

    if verify is not None:
        damage = verify_backup(verify)
        for sentence in damage:
            typer.echo(sentence)
        if damage:
            raise typer.Exit(1)
        console.print("The backup is whole.")
        return
    if out is None:
        raise ConfigError("Name a folder with --out, or a backup to check with --verify.")
    with open_settings(config, data) as (_settings, store):
        report = back_up(store, out, now())
    typer.echo(f"{report.files} files, {report.copied} of them copied now.")
    console.print("Keys and certificates are not in it: keep them apart.")
    if report.missing:
        typer.echo(f"{report.missing} files that the index knows were gone already: see the history.")
        raise typer.Exit(1)


def restore(
    source: Annotated[Path, typer.Argument(metavar="BACKUP", help="A backup.", exists=True, file_okay=False)],
    data: Annotated[Path, typer.Option(help="New data folder; it must be empty or not there.")],
    config: ConfigOption = None,
) -> None:
    """Make a data folder from a backup, of this version or an earlier one."""
    from wetread.config import Config, read_config
    from wetread.store.keys import read_keyring
    from wetread.store.restore import restore as make_folder
    from wetread.store.settings import read_database_url
    from wetread.work import now

    settings = read_config(config) if config else Config()
    done = make_folder(
        source,
        data,
        now(),
        by=who_asks(),
        database_url=read_database_url(settings.store),
        audit_key=settings.audit.key_file,
        keyring=read_keyring(settings.encryption),
    )
    console.print(f"Restored the backup of {done.made_at}.", markup=False)
    if done.missing:
        console.print(f"{len(done.missing)} files were gone already when it was made: see the history.")
