"""The commands about the life of a model before it serves.

In: paths, plans.  Out: plans, run folders, packages.
Never: work of its own; torch loaded for another command.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from wetread.cli.console import console
from wetread.cli.validate import validate

lab_app = typer.Typer(no_args_is_help=True, help="Plan, train, validate and publish models.")
lab_app.command()(validate)

DataArgument = Annotated[Path, typer.Argument(help="Labelled images: .npz, or a folder.", exists=True)]
PlanArgument = Annotated[Path, typer.Argument(help="plan.toml", exists=True, dir_okay=False)]
RunArgument = Annotated[
    Path, typer.Argument(help="Run folder that train made.", exists=True, file_okay=False)
]
LabelsOption = Annotated[
    Path | None, typer.Option(help="Table of labels beside the data, CSV.", exists=True, dir_okay=False)
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", help="section.word=value, goes over the plan; may be repeated.")
]


@lab_app.command("plan")
def plan(
    data: DataArgument,
    out: Annotated[Path, typer.Option(help="plan.toml to write.")],
    name: Annotated[str, typer.Option(help="Of the model.")] = "my-model",
    task: Annotated[str, typer.Option(help="classification, regression, segmentation or detection.")] = "",
    part: Annotated[
        list[str] | None, typer.Option(help="Part of an .npz file to train on; may be repeated.")
    ] = None,
    labels: LabelsOption = None,
    memory_gb: Annotated[float, typer.Option(help="That training may take.")] = 4.0,
) -> None:
    """Look at a data set and write a first plan."""
    with _lab():
        from wetread.lab.planning import write_plan

    seen = write_plan(data, out, name=name, task=task, parts=part or [], labels=labels, memory_gb=memory_gb)
    console.print(f"{seen.samples} images of {seen.patients} patients; plan written to {out}")


@lab_app.command("train")
def train(
    plan: PlanArgument,
    data: DataArgument,
    out: Annotated[Path, typer.Option(help="Folder of runs.")] = Path("runs"),
    labels: LabelsOption = None,
    changes: SetOption = None,
) -> None:
    """Train what a plan says; the same command goes on after a stop. Prints the run folder."""
    with _lab():
        from wetread.lab.plan import read_plan
        from wetread.lab.train import train as run_training

    with _progress() as told:
        run = run_training(read_plan(plan, changes or ()), data, out, labels=labels, told=told)
    _show(run.content["out_of_fold"])
    typer.echo(str(run.folder))


@lab_app.command("tune")
def tune(
    plan: PlanArgument,
    data: DataArgument,
    out: Annotated[Path, typer.Option(help="Folder of the study; several workers may share it.")],
    space: Annotated[Path, typer.Option(help="Words to try, TOML.", exists=True, dir_okay=False)],
    trials: Annotated[int, typer.Option(help="Of all workers together.")] = 20,
    sampler: Annotated[str, typer.Option(help="tpe, random or grid.")] = "tpe",
    labels: LabelsOption = None,
    changes: SetOption = None,
) -> None:
    """Search for better numbers; writes plan.toml with the best."""
    with _lab():
        from wetread.lab.plan import read_plan
        from wetread.lab.tune import tune as search

    with _progress() as told:
        best = search(
            read_plan(plan, changes or ()), data, out, space=space, trials=trials, sampler=sampler,
            labels=labels, told=told,
        )  # fmt: skip
    _show({"score": best.score, "trials": best.trials})
    typer.echo(str(best.plan_file))


@lab_app.command("optimise")
def optimise(
    run: RunArgument,
    data: DataArgument,
    to: Annotated[str, typer.Option(help="fp16, int8, openvino or openvino-int8.")] = "fp16",
    margin: Annotated[float, typer.Option(help="Most of the metric that may be lost.")] = 0.01,
    labels: LabelsOption = None,
) -> None:
    """Make the weights smaller or quicker, if the clinical metric allows it. Prints the file."""
    with _lab():
        from wetread.lab.optimise import optimise as make_smaller

    outcome = make_smaller(run, data, to=to, margin=margin, labels=labels)
    _show({"float": outcome.before, "optimised": outcome.after, "lost at most": outcome.most_lost})
    typer.echo(str(outcome.path))


@lab_app.command("publish")
def publish(
    run: RunArgument,
    out: Annotated[Path, typer.Option(help="Package folder to write.")],
    weights: Annotated[
        Path | None, typer.Option(help="Optimised weights instead of the plain ones.", exists=True)
    ] = None,
) -> None:
    """Make a model package of a run: weights, model.toml with its card. Its state is draft."""
    with _lab():
        from wetread.lab.publish import publish as make_package

    model = make_package(run, out, weights=weights)
    console.print(f"{model.identity.name} {model.identity.version}, digest {model.identity.digest}")
    typer.echo(str(out))


@contextmanager
def _lab() -> Iterator[None]:
    """Say what to install where the lab is not."""
    from wetread.errors import ConfigError

    try:
        yield
    except ImportError as error:
        raise ConfigError(
            "Training needs more than serving: pip install 'wetread[lab]'.", missing=error.name
        ) from error


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int, dict[str, float]], None]]:
    """Show one bar for each step of the work, with its newest numbers."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        TextColumn("{task.fields[numbers]}"),
    )  # fmt: skip
    with Progress(*columns, console=console) as progress:
        bars: dict[str, int] = {}

        def told(what: str, done: int, total: int, numbers: dict[str, float]) -> None:
            if what not in bars:
                bars[what] = progress.add_task(what, total=total, numbers="")
            text = "  ".join(f"{name} {value:.3f}" for name, value in numbers.items() if name != "score")
            progress.update(bars[what], completed=done, numbers=text)  # type: ignore[arg-type]

        yield told


def _show(numbers: dict[str, float]) -> None:
    console.print("  ".join(f"{name} {value:.4g}" for name, value in numbers.items()))
