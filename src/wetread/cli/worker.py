"""The command that adds hands to a service.

In: the configuration of the service.  Out: a process that reads and delivers until it is stopped.
Never: a port that listens.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wetread.cli.console import console, stop_signal


def worker(
    config: Annotated[Path, typer.Option(help="wetread.toml of the service.", exists=True, dir_okay=False)],
    data: Annotated[Path | None, typer.Option(help="Its data folder, as this machine sees it.")] = None,
    readings: Annotated[int | None, typer.Option(help="Readings at once [default: 1].")] = None,
) -> None:
    """Read and deliver beside `wetread serve`, on this machine or another, until stopped."""
    from contextlib import suppress
    from dataclasses import replace

    from wetread.config import check_config, override, read_config
    from wetread.domain.audit import START, STOP, application_event
    from wetread.errors import StorageError
    from wetread.registry import read_packages
    from wetread.work import check_worker, now, open_place, start_work

    settings = read_config(config)
    settings = override(replace(settings, data=data or settings.data), "work", readings=readings)
    check_config(settings)
    check_worker(settings)
    packages = read_packages(settings.models, settings.registry)
    stop = stop_signal()
    store, worker_id = open_place(settings)
    store.audit.record(application_event(START, now()))
    work = start_work(settings, store, worker_id, packages)
    console.print(f"Worker   {worker_id}", markup=False, highlight=False)
    stop.wait()
    console.print("Stopping; what is in flight goes on elsewhere.")
    work.stop()
    with suppress(StorageError):
        # A full disk must not keep us running.
        store.audit.record(application_event(STOP, now()))
    store.close()
