"""The command that validates a model.

In: a model's name or folder, labelled images.  Out: metrics.json, report.html, report.pdf in a folder.
Never: torch loaded; a model changed.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wetread.cli.console import console
from wetread.errors import UnknownModel

if TYPE_CHECKING:
    from wetread.domain.model import Model


def validate(
    model: Annotated[str, typer.Argument(help="Name of a registered model, or a package folder.")],
    data: Annotated[Path, typer.Argument(help="Labelled images: .npz, or a folder.", exists=True)],
    out: Annotated[Path, typer.Option(help="Folder for metrics.json and the report.")],
    labels: Annotated[
        Path | None, typer.Option(help="Table of labels beside the data, CSV.", exists=True, dir_okay=False)
    ] = None,
    part: Annotated[str, typer.Option(help="Part of an .npz file: train, val, test.")] = "",
    external: Annotated[
        Path | None, typer.Option(help="Images from elsewhere, scored beside the others.", exists=True)
    ] = None,
    compare: Annotated[str, typer.Option(help="Another model, judged on the same images.")] = "",
    margin: Annotated[
        float | None,
        typer.Option(
            help="By how much MODEL may be worse than the other and count as not inferior, e.g. 0.02;"
            " to be set before the scores are seen.",
            min=0.0001,
            max=0.5,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the bootstrap.")] = 0,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit status 1 if the gate is not passed.")
    ] = False,
) -> None:
    """Judge a model on labelled images by the code that serves, and write down its scores with intervals."""
    from rich.progress import Progress

    from wetread.lab.gallery import find_failures
    from wetread.lab.kept import open_kept
    from wetread.lab.read import read_samples
    from wetread.lab.report import write_report
    from wetread.lab.validate import LOG_FILE, Asked, digest_data, note_validation
    from wetread.lab.validate import validate as run_validation

    if margin is not None and not compare:
        raise typer.BadParameter("--margin asks for --compare")
    chosen = find_model(model)
    samples = read_samples(data, labels=labels, part=part)
    digest = digest_data(data, labels)
    kept = open_kept(out, chosen, digest)
    asked = Asked(
        external=read_samples(external) if external else None,
        other=find_model(compare) if compare else None,
        margin=margin,
        seed=seed,
        log=out.parent / LOG_FILE,
        kept=kept,
    )
    with Progress(console=console) as progress:
        bar = progress.add_task(f"{chosen.identity.name} on {samples.name}", total=len(samples.samples))
        found = run_validation(
            chosen,
            samples,
            digest,
            asked,
            lambda done, _total: progress.update(bar, completed=done),
        )
    write_report(found, find_failures(chosen, samples, found.verdicts), out)
    note_validation(out.parent / LOG_FILE, found)
    kept.remove()
    for name, one in found.scores.intervals.items():
        console.print(f"{name:32}{one.value:9.3f}  ({one.low:.3f} to {one.high:.3f})", highlight=False)
    passed = {None: "no gate", True: "gate passed", False: "gate not passed"}[found.is_accepted]
    console.print(f"{passed}; written to {out}")
    typer.echo(str(out / "metrics.json"))
    if strict and found.is_accepted is False:
        raise typer.Exit(1)


def find_model(name: str) -> Model:
    """Return a registered model, or the one of a package folder.

    Raises
    ------
    UnknownModel
        If it is neither.
    """
    from wetread.registry import read_models, read_package

    models = read_models()
    if name in models:
        return models[name]
    if Path(name).is_dir():
        return read_package(Path(name))
    raise UnknownModel(model=name)
