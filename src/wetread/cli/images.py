"""The commands that work on images without a service.

In: files.  Out: readings, answers, phantoms.  Never: work of its own.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from wetread.cli.console import console


def analyze(
    path: Annotated[Path, typer.Argument(help="DICOM folder, file or zip, or a NIfTI CT.", exists=True)],
    out: Annotated[Path, typer.Option(help="Folder for findings.json and the documents.")],
    config: Annotated[Path | None, typer.Option(help="wetread.toml", exists=True, dir_okay=False)] = None,
    model: Annotated[str, typer.Option(help="Only this one, a draft too: its name or package folder.")] = "",
) -> None:
    """Read images offline; findings.json and DICOM objects come out."""
    from wetread.analyze import Analysis, analyze_path, only_with
    from wetread.cli.validate import find_model
    from wetread.config import Config, read_config
    from wetread.registry import read_models

    settings = read_config(config) if config else Config()
    if model:
        analysis = only_with(find_model(model))
    else:
        models = read_models(settings.models, settings.registry)
        analysis = Analysis(models=models, rules=settings.rules)
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
    if "comparison" in entry:
        statuses = Counter(one["status"] for one in entry["findings"] if "status" in one)
        statuses.update(one["status"] for one in entry["comparison"]["gone"])
        told = ", ".join(f"{count} {status}" for status, count in sorted(statuses.items()))
        console.print(f"  Since {entry['comparison']['studied_on']}: {told or 'no nodules'}", highlight=False)
    for problem in entry["problems"]:
        console.print(f"  [yellow]{problem['code']}[/]: ", end="")
        console.print(problem["message"], markup=False, highlight=False)


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
