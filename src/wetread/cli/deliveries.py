"""The commands about what leaves: where it is, and the second chance of a dead letter.

In: numbers, names of destinations.  Out: lines or JSON; deliveries that wait again, while the service runs.
Never: a patient's name; a try of its own (the service finds what waits).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from wetread.cli.people import JsonOption
from wetread.cli.place import ConfigOption, DataOption, open_settings, who_asks
from wetread.cli.remote import TokenOption, UrlOption, open_service

if TYPE_CHECKING:
    from wetread.client import Client
    from wetread.contract.deliveries import DeliveryLine
    from wetread.domain.progress import DeliveryState
    from wetread.store import Store

deliveries_app = typer.Typer(no_args_is_help=True, help="What leaves, and what could not.")

#: Rows that are told at a time.
_CHUNK = 500

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
    url: UrlOption = "",
    token_file: TokenOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """List deliveries, oldest first: number, where to, state, document, study, tries, last change, reason."""
    from wetread.cli.studies import to_json

    states = _read_states(state)
    service = open_service(url, token_file, config, data)
    if service is not None:
        key = service.find_study(study).key if study else ""
        lines = tuple(service.iter_deliveries(states, destination, key))[::-1]
    else:
        with open_settings(config, data) as (_settings, store):
            lines = _list_here(store, states, destination, study)
    if as_json:
        typer.echo(to_json(lines))
        return
    for one in lines:
        known = (one.id, one.destination, one.state, one.kind, one.study_instance_uid or one.study_key)
        reason = f"{one.problem_code} {one.message}".strip()
        at = one.updated_at.isoformat("T", "seconds")
        typer.echo("  ".join(map(str, (*known, f"{one.attempts} tries", at, reason))).rstrip())


@deliveries_app.command("retry")
def retry(
    numbers: Annotated[
        list[int] | None, typer.Argument(help="As `wetread deliveries list` shows them.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All that failed or were refused.")] = False,
    destination: DestinationOption = "",
    url: UrlOption = "",
    token_file: TokenOption = None,
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
    service = open_service(url, token_file, config, data)
    if service is not None:
        typer.echo(f"{_retry_there(service, chosen, destination)} to be tried again.")
        return
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


def _list_here(
    store: Store, states: tuple[DeliveryState, ...], destination: str, study: str
) -> tuple[DeliveryLine, ...]:
    from wetread.telling import tell_delivery

    rows = store.deliveries.list_by_state(*states, destination=destination, study_instance_uid=study)
    lines: list[DeliveryLine] = []
    for begin in range(0, len(rows), _CHUNK):
        some = rows[begin : begin + _CHUNK]
        studies = store.pages.rows_of({row.study_instance_uid for row in some})
        kinds = store.pages.kinds_of({row.document_id for row in some})
        lines += [
            tell_delivery(row, studies[row.study_instance_uid], kinds[row.document_id])
            for row in some
            # Others were erased since the list was made.
            if row.study_instance_uid in studies and row.document_id in kinds
        ]
    return tuple(lines)


def _retry_there(service: Client, chosen: set[int], destination: str) -> int:
    """Have a service try again; returns how many."""
    from wetread.store.deliveries import DEAD

    if chosen:
        return len([service.retry(number) for number in sorted(chosen)])
    names = {one.destination for one in service.iter_deliveries(DEAD, destination)}
    return sum(service.retry_destination(name).count for name in sorted(names))
