"""What the commands about a data folder share: whose folder, and who asks.

In: options.  Out: the configuration and the store, open while the command runs.
Never: a folder made by mistake; a second way to open a store.
"""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wetread.cli.console import console
from wetread.errors import ConfigError

if TYPE_CHECKING:
    from wetread.config import Config
    from wetread.store import Store

ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="wetread.toml", exists=True, dir_okay=False)
]
DataOption = Annotated[
    Path | None, typer.Option("--data", help="Data folder [default: of the configuration].")
]


@contextmanager
def open_settings(
    config: Path | None, data: Path | None, *, may_make: bool = False
) -> Iterator[tuple[Config, Store]]:
    """Open the store of a data folder; a service may be running on it.

    Parameters
    ----------
    may_make
        Whether a folder that is not there is made.

    Raises
    ------
    ConfigError
        If there is no such data folder.
    """
    from wetread.config import Config, read_config
    from wetread.store import open_store
    from wetread.store.settings import read_database_url

    settings = read_config(config) if config else Config()
    folder, url = data or settings.data, read_database_url(settings.store)
    if not url and not (folder / "index.sqlite").exists():
        if not may_make:
            raise ConfigError("There is no data folder of Wetread here: name it with --data.", data=folder)
        console.print(f"New data folder {folder.resolve()}", markup=False, highlight=False)
    store = open_store(folder, url, settings.audit.key_file, encryption=settings.encryption)
    try:
        yield settings, store
    finally:
        store.close()


def has_place(config: Path | None, data: Path | None) -> bool:
    """Tell whether there is a data folder, or a shared database, that could be opened."""
    from wetread.config import Config, read_config

    settings = read_config(config) if config else Config()
    return settings.store.is_shared or data is not None or (settings.data / "index.sqlite").exists()


def who_asks() -> str:
    """Return who runs this command, for the audit trail."""
    try:
        return f"{getpass.getuser()} (command line)"
    except (KeyError, OSError):
        return "command line"
