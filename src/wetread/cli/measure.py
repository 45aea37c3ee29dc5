"""The command that measures what a segmentation marks.

In: an image, a segmentation, how to make grey levels.  Out: features with units, by segment.
Never: work of its own; a number without its settings.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from wetread.measure.organ_report import OrganReport
    from wetread.quantify import Quantified, SegmentFeatures


def measure(
    image: Annotated[Path, typer.Argument(help="DICOM folder, file or zip, or a NIfTI file.", exists=True)],
    segmentation: Annotated[
        Path, typer.Argument(help="DICOM Segmentation, or a NIfTI label map.", exists=True)
    ],
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
    bin_width: Annotated[
        float | None, typer.Option(help="Width of a grey level in units of the image; 25 unless given.")
    ] = None,
    bin_count: Annotated[int | None, typer.Option(help="Number of grey levels instead of a width.")] = None,
    lowest: Annotated[
        float | None, typer.Option(help="Lower edge of the first level; the segment's minimum unless given.")
    ] = None,
    directions: Annotated[
        Literal["merged", "averaged"], typer.Option(help="How the 13 directions become one number.")
    ] = "merged",
    calcium_calibration: Annotated[
        float | None,
        typer.Option(min=0, help="mg hydroxyapatite per ml and HU of this scanner, for the mass of calcium."),
    ] = None,
) -> None:
    """Measure the IBSI features of each segment, and what organs say by their codes.

    Not for clinical use until validated at your site.
    """
    from wetread.measure.organ_report import Limits
    from wetread.measure.texture import Aggregation, TextureSettings
    from wetread.quantify import quantify_path, to_json

    width = 25.0 if bin_width is None and bin_count is None else bin_width
    settings = TextureSettings(
        bin_width=width, bin_count=bin_count, lowest=lowest, aggregation=Aggregation(directions)
    )
    limits = Limits(calcium_mg_per_ml_hu=calcium_calibration or 0.0)
    found = quantify_path(image.resolve(), segmentation.resolve(), settings, limits)
    if as_json:
        typer.echo(json.dumps(to_json(found), indent=2, allow_nan=False))
    else:
        for segment in found.segments:
            _show(segment, found)
        if found.organs is not None:
            _show_organs(found.organs)
    if not any(one.features or one.organ_measurements for one in found.segments):
        raise typer.Exit(1)


def _show(segment: SegmentFeatures, found: Quantified) -> None:
    from wetread.compose.wording import measurement_lines
    from wetread.measure.texture import FEATURES
    from wetread.quantify import unit_of

    # A label is what somebody wrote: it must not steer the terminal.
    label = "".join(one if one.isprintable() else "?" for one in segment.label)
    name = f"Segment {segment.number}" + (f", {label}" if label else "")
    if segment.organ is not None:
        values = measurement_lines(segment.organ_measurements)
        typer.echo(f"{name}: {segment.organ.code.meaning}: {', '.join(values) or 'nothing measured'}")
    if segment.features is None:
        typer.echo(f"{name}: {segment.problem}: {segment.sentence}\n")
        return
    features = segment.features
    typer.echo(
        f"{name}: {features.voxel_count} voxels, {features.level_count} grey levels"
        f" ({_describe(found)}), 13 directions {found.settings.aggregation}"
    )
    for key, value in features.values.items():
        unit = unit_of(key, found.unit)
        number = "undefined" if value is None else f"{value:.6g}"
        typer.echo(f"  {FEATURES[key].code}  {key:50} {number:>14} {'' if unit == '1' else unit}".rstrip())
    typer.echo("")


def _show_organs(report: OrganReport) -> None:
    from wetread.compose.wording import measurement_lines

    phases = {"native": "without contrast agent", "contrast": "with contrast agent", "unknown": "not known"}
    typer.echo(f"Contrast phase: {phases[report.phase]}, since {report.phase_reason}.")
    for one in report.conclusions:
        typer.echo(f"{one.sign.value}: {', '.join(measurement_lines(one.measurements))}")
    for sentence in report.not_evaluable:
        typer.echo(sentence)
    typer.echo("Not for clinical use.")


def _describe(found: Quantified) -> str:
    settings = found.settings
    if settings.bin_count is not None:
        return f"{settings.bin_count} bins from minimum to maximum"
    unit = "" if found.unit == "1" else f" {found.unit}"
    start = "the minimum" if settings.lowest is None else f"{settings.lowest:g}{unit}"
    return f"bins of {settings.bin_width:g}{unit} from {start}"
