"""The commands about rules: which are in force, whether a file of them is right, what it would change.

In: a file with ``[[rules]]``.  Out: lines or JSON.  Never: a change; a patient's name.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wetread.cli.console import console
from wetread.cli.people import JsonOption
from wetread.cli.place import ConfigOption, DataOption, open_settings
from wetread.cli.remote import TokenOption, UrlOption, open_service

if TYPE_CHECKING:
    from wetread.contract.replay import Replayed, StudyChange
    from wetread.replay import Trial

rules_app = typer.Typer(no_args_is_help=True, help="Which models are asked, and what other rules would do.")
FileArgument = Annotated[
    Path, typer.Argument(help="wetread.toml, or its [[rules]] alone.", exists=True, dir_okay=False)
]

#: Studies looked at between two lines of progress.
_BATCH = 1000


@rules_app.command("list")
def list_rules(
    as_json: JsonOption = False,
    url: UrlOption = "",
    token_file: TokenOption = None,
    config: ConfigOption = None,
) -> None:
    """List the rules in force, as they were understood."""
    from wetread.cli.studies import to_json

    service = open_service(url, token_file, config)
    if service is not None:
        rules = service.list_rules().items
    else:
        from wetread.config import Config, read_config
        from wetread.registry import read_models
        from wetread.web.api.models import tell_rule

        settings = read_config(config) if config else Config()
        models = read_models(settings.models, settings.registry)
        rules = tuple(tell_rule(rule, models) for rule in settings.rules)
    if as_json:
        typer.echo(to_json(rules))
        return
    for one in rules:
        quiet = f"  quiet {one.quiet_s:g} s" if one.quiet_s is not None else ""
        typer.echo(f"{one.name}  {', '.join(one.models)}  {one.level}  {one.urgency}{quiet}")
        for condition in one.when:
            typer.echo(f"    {condition}")


@rules_app.command("check")
def check(file: FileArgument, config: ConfigOption = None) -> None:
    """Check a file of rules: its words, and that the models are registered, of --config or of the file."""
    from wetread.config import read_config, read_rule_tables
    from wetread.errors import UnknownModel
    from wetread.match import parse_rules
    from wetread.registry import read_models
    from wetread.replay import unknown_models

    rules = parse_rules(read_rule_tables(file))
    settings = read_config(config or file)
    models = read_models(settings.models, settings.registry)
    unknown = unknown_models(rules, models)
    if unknown:
        raise UnknownModel(
            "No model of this name is registered: see `wetread models list`.", models=", ".join(unknown)
        )
    typer.echo(f"{len(rules)} rules, all models are registered.")


@rules_app.command("replay")
def replay_rules(
    file: FileArgument,
    since: Annotated[str, typer.Option(help="Study date, at the earliest: YYYY-MM-DD.")] = "",
    limit: Annotated[int, typer.Option(help="Most studies, the newest.", min=1)] = 10_000,
    every: Annotated[
        bool, typer.Option("--all", help="Tell of unchanged studies too; slower, not with --url.")
    ] = False,
    as_json: JsonOption = False,
    url: UrlOption = "",
    token_file: TokenOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Tell what changed rules would have done with past studies; nothing is changed.

    With --json one object a line: each study, and the summary last.
    """
    from wetread.config import read_rule_tables
    from wetread.errors import ConfigError
    from wetread.match import parse_rules
    from wetread.replay import Trial

    tables, day = read_rule_tables(file), _read_day(since)
    changed = parse_rules(tables)
    service = open_service(url, token_file, config, data)
    if service is not None and every:
        raise ConfigError("A service tells of changed studies only: leave --all out.")
    if service is not None:
        _tell(service.iter_replay(tables, day, limit), as_json=as_json)
        return
    from wetread.registry import read_packages
    from wetread.registry.lineup import Lineup

    with open_settings(config, data) as (settings, store):
        packages = read_packages(settings.models, settings.registry)
        models = Lineup(packages, store.model_states).now()
        trial = Trial(
            store=store, models=models, now=settings.rules, then=changed, since=day, tells_unchanged=every
        )
        _tell(_iter_here(trial, limit), as_json=as_json)


def _iter_here(trial: Trial, most: int) -> Iterator[Replayed]:
    from wetread.replay import replay

    after: str | None = ""
    while most > 0 and after is not None:
        batch = replay(trial, limit=min(most, _BATCH), after=after)
        yield batch
        most, after = most - _BATCH, batch.after


def _tell(batches: Iterator[Replayed], *, as_json: bool) -> None:
    from wetread.cli.studies import to_json

    counts: Counter[str] = Counter()
    begun = time.monotonic()
    unknown: tuple[str, ...] = ()
    for batch in batches:
        counts.update(asdict(batch.summary))
        unknown = batch.unknown_models
        for one in batch.items:
            typer.echo(to_json(one, indent=None) if as_json else _words(one))
        console.print(f"{counts.total()} studies looked at", highlight=False)
    took_s = max(time.monotonic() - begun, 1e-9)
    summary: dict[str, Any] = {**counts, "unknown_models": unknown}
    if as_json:
        typer.echo(to_json({"summary": summary}, indent=None))
    else:
        typer.echo(", ".join(f"{count} {name.replace('_', ' ')}" for name, count in counts.items()))
        for name in unknown:
            typer.echo(f"No model {name} is registered: its rules read nothing.")
    console.print(f"{took_s:.1f} s, {counts.total() / took_s:.0f} studies a second", highlight=False)


def _words(one: StudyChange) -> str:
    day = one.study_date.isoformat() if one.study_date else "no date"
    told = f"{one.study_key}  {day}  {'/'.join(one.modalities)}  {one.change.value}"
    plans = (("now", one.now), ("then", one.then))
    lines = [told]
    for word, plan in plans:
        lines.append(f"    {word}: {', '.join(plan.models) or 'not read'}, {plan.urgency}")
        lines += [f"        {reason}" for reason in plan.reasons]
    return "\n".join(lines)


def _read_day(text: str) -> date | None:
    from wetread.errors import ConfigError

    try:
        return date.fromisoformat(text) if text else None
    except ValueError as error:
        raise ConfigError("A date is YYYY-MM-DD.") from error
