"""The whole loop on this machine: a synthetic patient, two visits, read and delivered.

In: options.  Out: a running service with two readings, and the address of the reading list.
Never: a shortcut: images go by C-STORE as from a scanner, results come back the way they go to a PACS.
"""

from __future__ import annotations

import socket
import tempfile
import threading
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from wetread.app import RunningApp, start_app
from wetread.config import Config, DicomSettings, StudySettings, WebSettings
from wetread.deliver.destination import Destination, DestinationKind, Verify, parse_destination
from wetread.deliver.files import send_files
from wetread.domain.progress import DeliveryState
from wetread.errors import WetreadError
from wetread.phantom import demo_options, write_phantom
from wetread.receive.mllp import MllpOptions, start_mllp_listener
from wetread.web.ohif.prepare import install
from wetread.work import now

#: Shorter than in a hospital: nobody wants to watch silence.
QUIET_S = 3.0
#: How long the second reading may take on a slow machine.
TIMEOUT_S = 900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """What can be chosen."""

    #: Exit when the second reading has been delivered.
    once: bool = False
    #: None: a new folder.
    data: Path | None = None
    http_port: int = 8080
    #: Coarser images, for a first look and for tests.
    small: bool = False
    #: Package of OHIF; None: the pages have slices only.
    viewer: Path | None = None


def run_demo(options: DemoOptions, console: Console, stop: threading.Event) -> None:
    """Run the demo until it is stopped, or until all is delivered with ``once``.

    Raises
    ------
    WetreadError
        If a reading or a delivery did not succeed.
    """
    folder = options.data or Path(tempfile.mkdtemp(prefix="wetread-demo-"))
    folder.mkdir(parents=True, exist_ok=True)
    visits = _make_patient(folder / "phantom", options, console)
    messages: list[str] = []
    listener = start_mllp_listener(MllpOptions(port=0), messages.append)
    app = start_app(_config(folder, options, listener.port))
    try:
        if options.viewer is not None:
            install(options.viewer, folder / "data" / "viewer")
        console.print(f"Reading list: [bold]{app.url}[/]")
        shown = 0
        for number, visit in enumerate(visits, start=1):
            _send(visit, number, app, console)
            shown = _await_delivered(app, number, shown, console, stop)
        _show(app, messages, folder, console)
        if not options.once:
            console.print("Open it in a browser. Ctrl-C ends the demo.")
            stop.wait()
    finally:
        app.stop()
        listener.stop()


def _make_patient(folder: Path, options: DemoOptions, console: Console) -> list[Path]:
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("Making a patient with two visits", total=None)
        write_phantom(
            demo_options(small=options.small),
            folder,
            progress=lambda done, total: progress.update(task, completed=done, total=total),
        )
    visits = sorted(folder.glob("visit*"))
    console.print(f"One synthetic patient, two chest CTs: {folder}")
    return visits


def _config(folder: Path, options: DemoOptions, mllp_port: int) -> Config:
    dicom_port = free_port()
    # Results go by C-STORE to our own receiver and so stand beside the images, as they would in a PACS.
    archive = Destination(
        name="archive",
        kind=DestinationKind.CSTORE,
        host="127.0.0.1",
        port=dicom_port,
        aet="WETREAD",
        verify=Verify.NONE,
    )
    ris = Destination(name="ris", kind=DestinationKind.MLLP, host="127.0.0.1", port=mllp_port)
    return Config(
        data=folder / "data",
        dicom=DicomSettings(port=dicom_port),
        web=WebSettings(port=options.http_port if port_is_free(options.http_port) else 0),
        study=StudySettings(quiet_s=QUIET_S),
        destinations=(archive, ris),
    )


def _send(visit: Path, number: int, app: RunningApp, console: Console) -> None:
    target = parse_destination(f"WETREAD@127.0.0.1:{app.dicom_port}")
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task(f"Visit {number}: sending", total=None)
        summary = send_files(
            visit,
            replace(target, calling_aet="SCANNER"),
            progress=lambda done, total: progress.update(task, completed=done, total=total),
        )
    console.print(f"Visit {number}: {summary.sent} images sent by C-STORE.")


def _await_delivered(
    app: RunningApp, number: int, shown: int, console: Console, stop: threading.Event
) -> int:
    """Show what happens until all visits so far are delivered; returns how many events were shown."""
    started = now()
    with console.status(f"Visit {number}: reading ..."):
        while not stop.is_set():
            events = app.store.history.list_newest(limit=1000)[::-1]
            for event in events[shown:]:
                console.print(f"  [dim]{event.at:%H:%M:%S} {event.stage:9}[/] ", end="")
                console.print(event.message, markup=False, highlight=False)
            shown = len(events)
            if _is_delivered(app, number):
                break
            if (now() - started).total_seconds() > TIMEOUT_S:
                raise WetreadError("The demo did not end in time: see the lines above.")
            stop.wait(0.3)
    return shown


def _is_delivered(app: RunningApp, visits: int) -> bool:
    rows = app.store.studies.list_newest()
    deliveries = [app.store.deliveries.list_for_study(row.study_instance_uid) for row in rows]
    if len(rows) < visits or not all(deliveries):
        return False
    states = {delivery.state for of_study in deliveries for delivery in of_study}
    if states & {DeliveryState.REFUSED, DeliveryState.FAILED}:
        raise WetreadError("A result was refused: see the lines above.")
    return states <= {DeliveryState.SENT, DeliveryState.VERIFIED}


def _show(app: RunningApp, messages: list[str], folder: Path, console: Console) -> None:
    console.print(f"{len(messages)} ORU messages received by the demo's own listener.")
    console.print(f"Images and results: {folder / 'data'}")
    console.print(f"Reading list: [bold]{app.url}[/]")


def free_port() -> int:
    """Return a TCP port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def port_is_free(port: int) -> bool:
    """Tell whether a TCP port can be bound now."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
