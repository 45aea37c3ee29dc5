"""The command that makes synthetic patients.

In: options.  Out: DICOM files and what is true in them.  Never: a real patient.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from wetread.cli.console import console


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
