"""The commands that run a service.

In: options.  Out: a service until it is stopped.  Never: a decision of its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wetread.cli.console import console, stop_signal


def serve(
    config: Annotated[Path | None, typer.Option(help="wetread.toml", exists=True, dir_okay=False)] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of index, images and results.")] = None,
    aet: Annotated[str | None, typer.Option(help="Our AE title [default: WETREAD].")] = None,
    dicom_port: Annotated[int | None, typer.Option(help="C-STORE port [default: 11112].")] = None,
    http_port: Annotated[int | None, typer.Option(help="Port of the pages [default: 8080].")] = None,
    mllp_port: Annotated[int | None, typer.Option(help="HL7 listener [default: none].")] = None,
    quiet_s: Annotated[float | None, typer.Option(help="Complete after this silence [default: 10].")] = None,
    readings: Annotated[
        int | None, typer.Option(help="Readings at once [default: 1]; 0: workers read.")
    ] = None,
    send_to: Annotated[list[str] | None, typer.Option(help="AET@HOST:PORT, may be repeated.")] = None,
) -> None:
    """Receive, read, deliver and show, until stopped."""
    from dataclasses import replace

    from wetread.app import start_app
    from wetread.config import Config, add_destinations, override, read_config

    settings = read_config(config) if config else Config()
    settings = replace(settings, data=data or settings.data)
    settings = override(settings, "dicom", aet=aet, port=dicom_port)
    settings = override(settings, "web", port=http_port)
    settings = override(settings, "hl7", port=mllp_port)
    settings = override(settings, "study", quiet_s=quiet_s)
    settings = override(settings, "work", readings=readings)
    settings = add_destinations(settings, send_to or [])
    stop = stop_signal()
    running = start_app(settings)
    console.print(f"DICOM   {settings.dicom.aet}@{settings.dicom.host}:{running.dicom_port}")
    console.print(f"Reading list   {running.url}")
    if running.first_run_code:
        # Once, where only who runs the service reads it.
        console.print(f"First administrator   {running.url}first-run")
        console.print(f"with the code   {running.first_run_code}")
    stop.wait()
    console.print("Stopping; what is in flight goes on at the next start.")
    running.stop()


def demo(
    once: Annotated[bool, typer.Option(help="Exit after the second reading is delivered.")] = False,
    data: Annotated[Path | None, typer.Option(help="Folder to use [default: a new one].")] = None,
    http_port: Annotated[int, typer.Option(help="Port of the pages, 0 for any free one.")] = 8080,
    small: Annotated[bool, typer.Option(help="Coarser images: faster, for a first look.")] = False,
    viewer: Annotated[Path | None, typer.Option(help="OHIF too, from its npm package.", exists=True)] = None,
) -> None:
    """Show the whole loop on this machine with one synthetic patient and two visits."""
    from wetread.demo import DemoOptions, run_demo

    options = DemoOptions(once=once, data=data, http_port=http_port, small=small, viewer=viewer)
    run_demo(options, console, stop_signal())
