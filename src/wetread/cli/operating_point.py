"""The command that sets the threshold which a model version reads with.

In: a wish, a validation report, a place, a reason.  Out: the point and what it changes; kept with --yes.
Never: a point that is kept before its effect was shown; a Reading of before changed.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wetread.cli.models import NameArgument, WhyOption, decision_of, models_app, opened, split_name
from wetread.cli.place import ConfigOption, DataOption
from wetread.errors import ConfigError

if TYPE_CHECKING:
    from wetread.registry.operating import Effect
    from wetread.stats.operating import Aim, CurvePoint, FrocPoint, Wish
    from wetread.store.operating_points import OperatingPoint, Scope


@models_app.command("operating-point")
def set_operating_point(
    name: NameArgument,
    why: WhyOption,
    sensitivity: Annotated[float | None, typer.Option(help="At least this, 0 to 1.")] = None,
    specificity: Annotated[float | None, typer.Option(help="At least this, 0 to 1.")] = None,
    ppv: Annotated[float | None, typer.Option(help="At least this, at --prevalence.")] = None,
    alerts_per_day: Annotated[float | None, typer.Option(help="At most this, at --prevalence.")] = None,
    false_positives: Annotated[
        float | None, typer.Option(help="At most this, an image of the report; of masks and boxes.")
    ] = None,
    as_packaged: Annotated[bool, typer.Option("--as-packaged", help="The package's own again.")] = False,
    prevalence: Annotated[
        float, typer.Option(help="Of what is looked for, 0 to 1; of masks: how many a study has on average.")
    ] = 0.0,
    studies_per_day: Annotated[float, typer.Option(help="That the model reads.")] = 0.0,
    report: Annotated[
        Path | None,
        typer.Option(help="Folder that `wetread lab validate` wrote.", exists=True, file_okay=False),
    ] = None,
    device: Annotated[str, typer.Option(help="Only for this Station Name.")] = "",
    department: Annotated[str, typer.Option(help="Only for this Institutional Department Name.")] = "",
    site: Annotated[str, typer.Option(help="Only for this Institution Name.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Keep it.")] = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Choose the threshold of a version on its validation curve; show what it changes, keep it with --yes."""
    from wetread.registry import operating
    from wetread.registry.lineup import find_entry
    from wetread.registry.report import read_report
    from wetread.stats.operating import Aim

    wishes = {
        Aim.SENSITIVITY: sensitivity,
        Aim.SPECIFICITY: specificity,
        Aim.PPV: ppv,
        Aim.ALERTS: alerts_per_day,
        Aim.FALSE_POSITIVES: false_positives,
    }
    wish = _read_wish(wishes, prevalence, studies_per_day, as_packaged=as_packaged)
    scope, place = _read_place(device, department, site)
    decision, given = decision_of(why), None
    with opened(config, data) as (lineup, store):
        model, version = split_name(name)
        chosen = find_entry(lineup.entries(), model, version).model
        if wish is None:
            point = operating.as_packaged(chosen, decision, scope=scope, place=place)
        elif report is None:
            raise ConfigError("Name the validation report that it is chosen on: --report.")
        else:
            point, given = operating.choose(
                chosen, read_report(report), wish, decision, scope=scope, place=place
            )
        _show(point, given, operating.show_effect(store, chosen, point))
        if yes:
            store.operating_points.set(point, decision.actor)
    typer.echo("Kept: it holds from the next study on." if yes else "Nothing was kept: add --yes.")


def _read_wish(
    wishes: dict[Aim, float | None], prevalence: float, studies_per_day: float, *, as_packaged: bool
) -> Wish | None:
    """Return the one wish; None: the package's own point."""
    from wetread.stats.operating import Wish

    given = {aim: value for aim, value in wishes.items() if value is not None}
    if len(given) + as_packaged != 1:
        raise ConfigError(
            "Say one: --sensitivity, --specificity, --ppv, --alerts-per-day, --false-positives"
            " or --as-packaged."
        )
    for aim, value in given.items():
        return Wish(aim=aim, value=value, prevalence=prevalence, studies_a_day=studies_per_day)
    return None


def _read_place(device: str, department: str, site: str) -> tuple[Scope, str]:
    from wetread.store.operating_points import Scope

    named = {Scope.DEVICE: device, Scope.DEPARTMENT: department, Scope.SITE: site}
    given = [(scope, place) for scope, place in named.items() if place]
    if len(given) > 1:
        raise ConfigError("Say one: --device, --department or --site; none for everywhere.")
    return given[0] if given else (Scope.EVERYWHERE, "")


def _show(point: OperatingPoint, given: CurvePoint | FrocPoint | None, effect: Effect) -> None:
    from wetread.stats.operating import FrocPoint

    typer.echo(f"{point.model_name}  {point.version}  {point.title}")
    if given is not None:
        rest = (
            f"{given.false_positives:.2f} false positives an image"
            if isinstance(given, FrocPoint)
            else f"specificity {given.specificity:.3f}"
        )
        typer.echo(f"  on the curve: sensitivity {given.sensitivity:.3f}, {rest}")
    unknown = f"; of {effect.unknown} readings not all is known" if effect.unknown else ""
    typer.echo(
        f"  of {effect.readings} past readings: {effect.appear} findings would appear,"
        f" {effect.vanish} would vanish{unknown}"
    )
