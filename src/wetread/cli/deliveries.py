"""The commands about what leaves: where it is, and the second chance of a dead letter.

In: numbers, names of destinations.  Out: lines or JSON; deliveries that wait again, while the service runs.
Never: a patient's name; a try of its own (the service finds what waits).
"""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wetread.cli.people import JsonOption
from wetread.cli.place import ConfigOption, DataOption, open_settings, who_asks

if TYPE_CHECKING:
    from wetread.domain.progress import DeliveryState
    from wetread.store import Store
    from wetread.store.deliveries import DeliveryRow

deliveries_app = typer.Typer(no_args_is_help=True, help="What leaves, and what could not.")

DestinationOption = Annotated[str, typer.Option(help="Only to this destination.")]
StudyOption = Annotated[str, typer.Option(help="Only of this Study Instance UID.")]


@deliveries_app.command("list")
def list_deliveries(
    state: Annotated[
        list[str] | None,
        typer.Option(
            help="waiting, failed, refused, sent, verified or superseded; may be given more than once"
            " [default: waiting, failed and refused]."
        ),
    ] = None,
    destination: DestinationOption = "",
    study: StudyOption = "",
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """List deliveries, oldest first: number, where to, state, document, study, tries, last change, reason."""
    states = _read_states(state)
    with open_settings(config, data) as (_settings, store):
        rows = store.deliveries.list_by_state(*states, destination=destination, study_instance_uid=study)
        told = [_describe(row, store) for row in rows]
    if as_json:
        typer.echo(json.dumps(told, indent=2))
        return
    for one in told:
        kind, tries = one["kind"], f"{one['attempts']} tries"
        reason = f"{one['problem_code']} {one['message']}".strip()
        known = (one["id"], one["destination"], one["state"], kind, one["study_instance_uid"], tries)
        typer.echo("  ".join(map(str, (*known, one["updated_at"], reason))).rstrip())


@deliveries_app.command("retry")
def retry(
    numbers: Annotated[
        list[int] | None, typer.Argument(help="As `wetread deliveries list` shows them.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All that failed or were refused.")] = False,
    destination: DestinationOption = "",
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Try again what failed or was refused; a running service begins within seconds."""
    from wetread.domain.audit import Actor
    from wetread.errors import ConfigError
    from wetread.steps.again import retry_deliveries
    from wetread.store.deliveries import DEAD

    chosen = set(numbers or ())
    if not (chosen or every or destination):
        raise ConfigError("Say what to try again: numbers, --destination NAME or --all.")
    with open_settings(config, data) as (_settings, store):
        dead = store.deliveries.list_by_state(*DEAD, destination=destination)
        rows = [row for row in dead if row.id in chosen or not chosen]
        actor = Actor(user_id=who_asks(), is_requestor=True)
        count = retry_deliveries(store, rows, actor, datetime.now(UTC))
    unknown = sorted(chosen - {row.id for row in rows})
    typer.echo(f"{count} to be tried again.")
    if unknown:
        raise ConfigError("Neither failed nor refused, or superseded.", deliveries=unknown)


def _read_states(texts: list[str] | None) -> tuple[DeliveryState, ...]:
    """Return the states of these names; of none: what is not there yet."""
    from wetread.domain.progress import DeliveryState
    from wetread.errors import ConfigError
    from wetread.store.deliveries import NOT_THERE

    unknown = sorted(set(texts or ()) - set(DeliveryState))
    if unknown:
        raise ConfigError(f"There is no state {unknown[0]!r}: known are {', '.join(DeliveryState)}.")
    return tuple(map(DeliveryState, texts)) if texts else NOT_THERE


def _describe(row: DeliveryRow, store: Store) -> dict[str, Any]:
    document = store.readings.get_document(row.document_id)
    return {
        **asdict(row),
        "state": row.state.value,
        "kind": document.kind.value,
        "updated_at": datetime.fromtimestamp(row.updated_at, UTC).isoformat(timespec="seconds"),
    }
