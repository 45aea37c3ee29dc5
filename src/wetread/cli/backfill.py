"""The commands about backfills: what is old, fetched and read when nothing else is to do.

In: days, names of rules.  Out: a backfill that the running service works on; its progress.
Never: a question to a PACS of its own (the service asks).
"""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import date, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wetread.cli.people import JsonOption
from wetread.cli.place import ConfigOption, DataOption, open_settings, who_asks

if TYPE_CHECKING:
    from wetread.domain.fetching import BackfillState
    from wetread.store import Store
    from wetread.store.backfills import BackfillRow, Progress

backfill_app = typer.Typer(help="What is old, fetched and read when nothing else is to do.")
NumberArgument = Annotated[int, typer.Argument(help="As `wetread backfill status` shows it.")]


@backfill_app.callback(invoke_without_command=True)
def backfill(
    context: typer.Context,
    first: Annotated[str, typer.Option("--from", help="First day, e.g. 2020-01-01.")] = "",
    last: Annotated[str, typer.Option("--to", help="Last day [default: yesterday].")] = "",
    pacs: Annotated[str, typer.Option(help="Name of a [[pacs]]; needed where there are several.")] = "",
    rule: Annotated[
        list[str] | None, typer.Option(help="Only what this rule wants, may be repeated [default: any].")
    ] = None,
    no_deliver: Annotated[bool, typer.Option("--no-deliver", help="Keep its results here.")] = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Begin a backfill, with --from; the running service works on it, day by day."""
    if context.invoked_subcommand is not None:
        return
    from wetread.cli.fetch import find_pacs
    from wetread.domain.fetching import BackfillState
    from wetread.errors import ConfigError
    from wetread.steps.backfilling import check_rules
    from wetread.store.backfills import BackfillRow
    from wetread.work import now

    if not first:
        raise ConfigError("Say from which day on: wetread backfill --from 2020-01-01. See `--help`.")
    at = now()
    begin, end = _read_day(first), _read_day(last) if last else at.date() - timedelta(days=1)
    if not begin <= end <= at.date():
        raise ConfigError("The first day must not be behind the last, nor the last in the future.")
    with open_settings(config, data) as (settings, store):
        name = pacs or (settings.pacs[0].name if len(settings.pacs) == 1 else "")
        find_pacs(settings, name)
        check_rules(tuple(rule or ()), settings.rules)
        row = BackfillRow(
            id=0,
            pacs=name,
            rules=tuple(rule or ()),
            date_from=f"{begin:%Y%m%d}",
            date_to=f"{end:%Y%m%d}",
            cursor=f"{begin:%Y%m%d}",
            state=BackfillState.RUNNING,
            deliver=not no_deliver,
            found=0,
            problem_code="",
            message="",
            begun_by=who_asks()[:64],
            begun_at=at.timestamp(),
            updated_at=at.timestamp(),
        )
        number = store.backfills.begin(row)
        _note(store, f"Backfill {number} of {name} begun: {begin} to {end}.")
    typer.echo(f"Backfill {number}: {(end - begin).days + 1} days. The running service works on it.")


@backfill_app.command("status")
def status(as_json: JsonOption = False, config: ConfigOption = None, data: DataOption = None) -> None:
    """Show each backfill: days, studies found, fetched, read and failed, and how long the rest may take."""
    from wetread.work import now

    with open_settings(config, data) as (_settings, store):
        told = [(row, store.backfills.progress(row, now())) for row in store.backfills.list_all()]
    if as_json:
        rows = [asdict(row) | asdict(progress) for row, progress in told]
        typer.echo(json.dumps(rows, indent=2))
        return
    for row, progress in told:
        typer.echo(_describe(row, progress))


@backfill_app.command("pause")
def pause(number: NumberArgument, config: ConfigOption = None, data: DataOption = None) -> None:
    """Stop fetching and asking for further days; what is here is read on."""
    from wetread.domain.fetching import BackfillState

    _set_state(number, BackfillState.PAUSED, "paused", config, data)


@backfill_app.command("resume")
def resume(number: NumberArgument, config: ConfigOption = None, data: DataOption = None) -> None:
    """Go on where it stopped."""
    from wetread.domain.fetching import BackfillState

    _set_state(number, BackfillState.RUNNING, "resumed", config, data)


@backfill_app.command("cancel")
def cancel(number: NumberArgument, config: ConfigOption = None, data: DataOption = None) -> None:
    """End it: what waits is not fetched. What is here stays."""
    from wetread.domain.fetching import BackfillState

    _set_state(number, BackfillState.CANCELLED, "cancelled", config, data)


def _set_state(number: int, state: BackfillState, word: str, config: Any, data: Any) -> None:
    from wetread.domain.fetching import BackfillState
    from wetread.work import now

    with open_settings(config, data) as (_settings, store):
        store.backfills.set_state(number, state, now())
        if state is BackfillState.CANCELLED:
            store.fetches.skip_waiting(number, "The backfill was cancelled.", now())
        _note(store, f"Backfill {number} {word} by {who_asks()}.")
    typer.echo(f"Backfill {number}: {word}.")


def _note(store: Store, message: str) -> None:
    from wetread.store.history import Event
    from wetread.work import now

    store.history.add(Event(at=now(), stage="fetch", message=message))


def _describe(row: BackfillRow, progress: Progress) -> str:
    parts = [
        f"{row.id}  {row.pacs}  {row.state.value}  {row.date_from} to {row.date_to}",
        f"days {progress.days_done}/{progress.days}",
        f"found {progress.found}, fetched {progress.fetched}, waiting {progress.waiting}",
        f"not wanted {progress.skipped}, failed {progress.failed}",
        f"read {progress.read}, not read {progress.not_read}",
    ]
    if progress.left_s is not None:
        parts.append(f"about {timedelta(seconds=round(progress.left_s))} left")
    if row.message:
        parts.append(f"{row.problem_code}: {row.message}")
    return "  ".join(parts)


def _read_day(text: str) -> date:
    from wetread.errors import ConfigError

    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ConfigError("A day is written as 2020-01-01.", given=text) from error
