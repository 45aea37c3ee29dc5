"""The command line: parse, call, show.

In: arguments.  Out: progress on stderr, answers on stdout, an exit status.
Never: work of its own; a traceback for what the user can mend.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console

from wetread.errors import ConfigError, WetreadError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Gives every medical image study a wet read. Not for clinical use until validated at your site.",
)
models_app = typer.Typer(no_args_is_help=True, help="The registered models.")
app.add_typer(models_app, name="models")
#: People read this, programs read stdout.
console = Console(stderr=True)


def main() -> None:
    """Run the command; an error of ours is one sentence and exit status 1."""
    try:
        app()
    except WetreadError as error:
        console.print(f"[bold red]{error.code}[/]: ", end="")
        console.print(str(error), markup=False, highlight=False)
        sys.exit(1)


@app.command()
def serve(
    config: Annotated[Path | None, typer.Option(help="wetread.toml", exists=True, dir_okay=False)] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of index, images and results.")] = None,
    aet: Annotated[str | None, typer.Option(help="Our AE title [default: WETREAD].")] = None,
    dicom_port: Annotated[int | None, typer.Option(help="C-STORE port [default: 11112].")] = None,
    http_port: Annotated[int | None, typer.Option(help="Port of the pages [default: 8080].")] = None,
    mllp_port: Annotated[int | None, typer.Option(help="HL7 listener [default: none].")] = None,
    quiet_s: Annotated[float | None, typer.Option(help="Complete after this silence [default: 10].")] = None,
    send_to: Annotated[list[str] | None, typer.Option(help="AET@HOST:PORT, may be repeated.")] = None,
) -> None:
    """Receive, read, deliver and show, until stopped."""
    from wetread.app import start_app
    from wetread.config import Config, add_destinations, override, read_config

    settings = read_config(config) if config else Config()
    given: dict[str, Any] = {
        "data": data,
        "aet": aet,
        "dicom_port": dicom_port,
        "http_port": http_port,
        "mllp_port": mllp_port,
        "quiet_s": quiet_s,
    }
    settings = add_destinations(override(settings, given), send_to or [])
    stop = stop_signal()
    running = start_app(settings)
    console.print(f"DICOM   {settings.aet}@{settings.dicom_host}:{running.dicom_port}")
    console.print(f"Reading list   {running.url}")
    stop.wait()
    console.print("Stopping; what is in flight goes on at the next start.")
    running.stop()


def stop_signal() -> threading.Event:
    """Return an event that Ctrl-C and SIGTERM set."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop


@app.command()
def demo(
    once: Annotated[bool, typer.Option(help="Exit after the second reading is delivered.")] = False,
    data: Annotated[Path | None, typer.Option(help="Folder to use [default: a new one].")] = None,
    http_port: Annotated[int, typer.Option(help="Port of the pages, 0 for any free one.")] = 8080,
    small: Annotated[bool, typer.Option(help="Coarser images: faster, for a first look.")] = False,
) -> None:
    """Show the whole loop on this machine with one synthetic patient and two visits."""
    from wetread.demo import DemoOptions, run_demo

    options = DemoOptions(once=once, data=data, http_port=http_port, small=small)
    run_demo(options, console, stop_signal())


@app.command()
def analyze(
    path: Annotated[Path, typer.Argument(help="DICOM folder, file or zip, or a NIfTI CT.", exists=True)],
    out: Annotated[Path, typer.Option(help="Folder for findings.json and the documents.")],
    config: Annotated[Path | None, typer.Option(help="wetread.toml", exists=True, dir_okay=False)] = None,
) -> None:
    """Read images offline; findings.json and DICOM objects come out."""
    from wetread.analyze import Analysis, analyze_path
    from wetread.config import Config, read_config
    from wetread.registry import read_models

    settings = read_config(config) if config else Config()
    analysis = Analysis(models=read_models(settings.model_folders), rules=settings.rules)
    with console.status("Reading the images ..."):
        entries = analyze_path(path.resolve(), out.resolve(), analysis)
    for entry in entries:
        show_entry(entry)
    console.print(f"Written to {out}")
    if not any(entry["study_instance_uid"] for entry in entries):
        raise typer.Exit(1)


def show_entry(entry: dict[str, Any]) -> None:
    """Print one Reading of findings.json for people."""
    triage = entry["triage"]
    console.print(f"[bold]{entry['model']['name']}[/]: {entry['outcome']}, {triage['priority']}")
    for reason in triage["reasons"]:
        console.print(f"  {reason}")
    for problem in entry["problems"]:
        console.print(f"  [yellow]{problem['code']}[/]: ", end="")
        console.print(problem["message"], markup=False, highlight=False)


@app.command()
def send(
    path: Annotated[Path, typer.Argument(help="DICOM file or folder.", exists=True)],
    destination: Annotated[str, typer.Argument(help="AET@HOST:PORT")],
    calling_aet: Annotated[str, typer.Option(help="AE title to call as.")] = "WETREAD",
) -> None:
    """Send DICOM files by C-STORE."""
    from dataclasses import replace

    from rich.progress import Progress

    from wetread.deliver.destination import parse_destination
    from wetread.deliver.files import send_files

    target = replace(parse_destination(destination), calling_aet=calling_aet)
    with Progress(console=console) as progress:
        task = progress.add_task("Sending", total=None)
        summary = send_files(
            path, target, progress=lambda done, total: progress.update(task, completed=done, total=total)
        )
    console.print(f"{summary.sent} sent, {len(summary.refused)} refused.")
    for refusal in summary.refused[:20]:
        console.print(f"  {refusal}", markup=False)
    if summary.refused:
        raise typer.Exit(1)


@app.command()
def phantom(
    out: Annotated[Path, typer.Option(help="Folder to write to.")],
    seed: Annotated[int, typer.Option(help="The same seed gives the same files.")] = 0,
    visits: Annotated[int, typer.Option(min=1, help="How many visits.")] = 1,
    interval_days: Annotated[int, typer.Option(help="Days from visit to visit.")] = 90,
    nodule: Annotated[
        list[str] | None,
        typer.Option(
            help="MM[:KIND[:PLACE[:SHAPE[:SIDE]]]], e.g. 8:part-solid:juxtapleural; may be repeated."
        ),
    ] = None,
    healthy: Annotated[bool, typer.Option("--healthy", help="No nodules.")] = False,
    growth: Annotated[float, typer.Option(help="Volume factor between visits of growing nodules.")] = 1.5,
    new: Annotated[int, typer.Option(help="Nodules that appear at the second visit.")] = 1,
    resolved: Annotated[int, typer.Option(help="Nodules that are gone by the second visit.")] = 0,
    pneumothorax: Annotated[str, typer.Option(help="ML[:SIDE] of free air at the last visit.")] = "",
    effusion: Annotated[str, typer.Option(help="ML[:SIDE] of fluid at the last visit.")] = "",
    emphysema_percent: Annotated[float, typer.Option(help="Share of the lung that is destroyed.")] = 0.0,
    matrix: Annotated[int, typer.Option(help="Rows and columns.")] = 512,
    spacing_mm: Annotated[float, typer.Option(help="In-plane spacing.")] = 0.7,
    thickness_mm: Annotated[float, typer.Option(help="Slice thickness.")] = 1.25,
    step_mm: Annotated[float, typer.Option(help="Distance of slices.")] = 1.25,
    kernel: Annotated[
        Literal["soft", "standard", "sharp"], typer.Option(help="Reconstruction.")
    ] = "standard",
    dose_mgy: Annotated[float, typer.Option(help="CTDIvol; noise falls with its root; 0: no noise.")] = 5.0,
    hu_offset: Annotated[float, typer.Option(help="Calibration error: offset.")] = 0.0,
    hu_slope: Annotated[float, typer.Option(help="Calibration error: slope.")] = 1.0,
    length_mm: Annotated[float | None, typer.Option(help="Of the scan [default: the whole chest].")] = None,
    tilt_deg: Annotated[
        tuple[float, float], typer.Option(help="Of the planes about x and y: oblique cosines.")
    ] = (0.0, 0.0),
    reverse_order: Annotated[
        bool, typer.Option("--reverse-order", help="Number against the normal.")
    ] = False,
    position: Annotated[Literal["HFS", "HFP", "FFS", "FFP"], typer.Option(help="Patient position.")] = "HFS",
) -> None:
    """Make a synthetic patient with known truth, as DICOM files."""
    from rich.progress import Progress

    from wetread.phantom import (
        Kernel,
        PatientPosition,
        PhantomPlan,
        ScannerOptions,
        plan_options,
        write_phantom,
    )

    scanner = ScannerOptions(
        matrix=matrix,
        spacing_mm=spacing_mm,
        thickness_mm=thickness_mm,
        step_mm=step_mm,
        kernel=Kernel(kernel),
        dose_mgy=dose_mgy,
        hu_offset=hu_offset,
        hu_slope=hu_slope,
        length_mm=length_mm,
        tilt_deg=tilt_deg,
        reverse_order=reverse_order,
        patient_position=PatientPosition(position),
    )
    plan = PhantomPlan(
        seed=seed,
        visits=visits,
        interval_days=interval_days,
        nodules=tuple(nodule or ()),
        healthy=healthy,
        growth=growth,
        new=new,
        resolved=resolved,
        pneumothorax=pneumothorax,
        effusion=effusion,
        emphysema_percent=emphysema_percent,
        scanner=scanner,
    )
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("Making the patient", total=None)
        write_phantom(
            plan_options(plan),
            out,
            progress=lambda done, total: progress.update(task, completed=done, total=total),
        )
    console.print(f"Written to {out}; what is true is in {out / 'truth.json'}")


@app.command()
def explain(
    study: Annotated[str, typer.Argument(help="Study Instance UID, or accession number.")],
    data: Annotated[Path, typer.Option(help="Data folder of the service.")] = Path("wetread-data"),
) -> None:
    """Tell which models ran on a study or did not, and why."""
    from wetread.explain import explain_study
    from wetread.store import open_store

    if not (data / "index.sqlite").exists():
        raise ConfigError("There is no data folder of Wetread here: name it with --data.", data=data)
    store = open_store(data)
    try:
        typer.echo(explain_study(store, study))
    finally:
        store.close()


@models_app.command("list")
def list_models(
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """List the registered models."""
    from wetread.domain.jsonable import to_jsonable
    from wetread.registry import read_models

    models = read_models()
    if as_json:
        typer.echo(json.dumps([to_jsonable(model) for model in models.values()], indent=2))
        return
    for model in models.values():
        one = model.identity
        typer.echo(f"{one.name}  {one.version}  {model.state}  {one.digest[:12]}  {model.title}")


@models_app.command("show")
def show_model(name: Annotated[str, typer.Argument(help="As `wetread models list` shows it.")]) -> None:
    """Show one model: what it may read, with which numbers, and its card."""
    from wetread.domain.jsonable import to_jsonable
    from wetread.errors import UnknownModel
    from wetread.registry import read_models

    models = read_models()
    if name not in models:
        raise UnknownModel(model=name)
    typer.echo(json.dumps(to_jsonable(models[name]), indent=2))
