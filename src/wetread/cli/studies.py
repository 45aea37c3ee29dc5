"""The commands about studies: which are there, everything about one, what its models do with it.

In: filters, a study.  Out: lines or JSON, in the words of the API.  Never: a patient's name in a line.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wetread.cli.people import JsonOption
from wetread.cli.place import ConfigOption, DataOption, open_settings, who_asks
from wetread.cli.remote import TokenOption, UrlOption, open_service
from wetread.errors import ConfigError

if TYPE_CHECKING:
    from wetread.contract.studies import StudyLine
    from wetread.domain.audit import Actor
    from wetread.store import Store
    from wetread.store.studies import StudyRow
    from wetread.web.api.told import Teller

studies_app = typer.Typer(no_args_is_help=True, help="What arrived, and how far it is.")
StudyArgument = Annotated[
    str, typer.Argument(help="Study Instance UID, accession number, or the key in a page's address.")
]


@studies_app.command("list")
def list_studies(
    state: Annotated[str, typer.Option(help="arriving, reading, read or not-read.")] = "",
    modality: Annotated[str, typer.Option(help="E.g. CT.")] = "",
    since: Annotated[str, typer.Option(help="Study date, at the earliest: YYYY-MM-DD.")] = "",
    until: Annotated[str, typer.Option(help="Study date, at the latest: YYYY-MM-DD.")] = "",
    priority: Annotated[str, typer.Option(help="stat, urgent or routine.")] = "",
    reported: Annotated[
        bool | None, typer.Option("--reported/--waiting", help="Only what was, or was not, reported.")
    ] = None,
    patient: Annotated[str, typer.Option(help="Patient ID.")] = "",
    accession: Annotated[str, typer.Option(help="Accession number.")] = "",
    limit: Annotated[int, typer.Option(help="Most studies.", min=1)] = 50,
    as_json: JsonOption = False,
    url: UrlOption = "",
    token_file: TokenOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """List studies, newest study date first: key, date, modality, images, urgency, state."""
    given = {
        "state": state,
        "modality": modality,
        "date_from": since,
        "date_to": until,
        "priority": priority,
        "reported": reported,
        "patient_id": patient,
        "accession_number": accession,
    }
    wanted = {name: value for name, value in given.items() if value not in ("", None)}
    service = open_service(url, token_file, config, data)
    if service is not None:
        lines = tuple(service.iter_studies(wanted, limit))
    else:
        with open_settings(config, data) as (_settings, store):
            rows = store.pages.studies(_read_filter(wanted), limit)
            lines = _teller(store).studies(rows)
    if as_json:
        typer.echo(to_json(lines))
        return
    for line in lines:
        typer.echo("  ".join(_words(line)))


@studies_app.command("show")
def show_study(
    study: StudyArgument,
    as_json: JsonOption = False,
    url: UrlOption = "",
    token_file: TokenOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Show one study: its readings, deliveries and history."""
    service = open_service(url, token_file, config, data)
    if service is not None:
        detail = service.get_study(service.find_study(study).key)
    else:
        from wetread.registry import read_packages
        from wetread.registry.lineup import Lineup
        from wetread.web.api.studies import tell_detail

        with open_settings(config, data) as (settings, store):
            packages = read_packages(settings.models, settings.registry)
            models = Lineup(packages, store.model_states).now()
            detail = tell_detail(_teller(store), find_row(store, study), models)
    if as_json:
        typer.echo(to_json(detail))
        return
    typer.echo("  ".join(_words(detail.study)))
    for reading in detail.readings:
        mark = " (superseded)" if reading.superseded else ""
        found = f"{reading.finding_count} findings" if reading.outcome == "read" else "not read"
        typer.echo(
            f"  revision {reading.revision}  {reading.model.name} {reading.model.version}  {found}{mark}"
        )
        for problem in reading.problems:
            typer.echo(f"    {problem.code}: {problem.message}")
    for one in detail.deliveries:
        reason = f"{one.problem_code} {one.message}".strip()
        typer.echo(f"  {one.destination}  {one.kind}  {one.state}  {reason}".rstrip())
    for event in detail.events:
        told = f"  {event.at.isoformat('T', 'seconds')}  {event.stage}  {event.code} {event.message}"
        typer.echo(" ".join(told.split(" ")).rstrip())


@studies_app.command("read-again")
def read_study_again(
    study: StudyArgument,
    url: UrlOption = "",
    token_file: TokenOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Have a study read again under the rules and by the models of now; a service begins within seconds."""
    service = open_service(url, token_file, config, data)
    if service is not None:
        revision = service.read_again(service.find_study(study).key).revision
    else:
        from wetread.steps.again import read_again

        with open_settings(config, data) as (settings, store):
            row = find_row(store, study)
            revision = read_again(store, row, settings.rules, _actor(), datetime.now(UTC))
    typer.echo(f"Revision {revision} begun.")


@studies_app.command("call-off")
def call_study_off(
    study: StudyArgument,
    url: UrlOption = "",
    token_file: TokenOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Take a study out of the queue that no model was chosen for yet: it is not read."""
    service = open_service(url, token_file, config, data)
    if service is not None:
        service.call_off(service.find_study(study).key)
    else:
        from wetread.steps.places import call_off

        with open_settings(config, data) as (_settings, store):
            call_off(store, find_row(store, study), _actor(), datetime.now(UTC))
    typer.echo("It is not read.")


@studies_app.command("priority")
def give_study_priority(
    study: StudyArgument,
    priority: Annotated[str, typer.Argument(help="stat, urgent, routine, or models: theirs again.")],
    why: Annotated[str, typer.Option(help="Without names: it is shown on the list.")] = "",
    url: UrlOption = "",
    token_file: TokenOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Give a study a priority, for the reading list and the queue."""
    from wetread.domain.reading import Priority

    if priority not in (*Priority, "models"):
        raise ConfigError(f"There is no priority {priority!r}: known are {', '.join(Priority)} and models.")
    chosen = None if priority == "models" else Priority(priority)
    service = open_service(url, token_file, config, data)
    if service is not None:
        service.give_priority(service.find_study(study).key, chosen, why)
    else:
        from wetread.steps.places import give_priority

        with open_settings(config, data) as (_settings, store):
            give_priority(store, find_row(store, study), chosen, why, _actor(), datetime.now(UTC))
    typer.echo("It has the priority of models and rules." if chosen is None else f"It is {priority}.")


def _actor() -> Actor:
    from wetread.domain.audit import Actor

    return Actor(user_id=who_asks(), is_requestor=True)


def find_row(store: Store, study: str) -> StudyRow:
    """Return a study of the data folder.

    Raises
    ------
    ConfigError
        If it is not there.
    """
    from wetread.explain import find_study

    return find_study(store, study)


def to_json(value: Any, indent: int | None = 2) -> str:
    """Return values of the API as JSON, as the API writes them."""
    from pydantic import TypeAdapter

    return json.dumps(TypeAdapter(Any).dump_python(value, mode="json"), indent=indent)


def _teller(store: Store) -> Teller:
    from wetread.web.api.told import Teller

    return Teller(store=store, now=lambda: datetime.now(UTC), knows_names=True)


def _read_filter(wanted: dict[str, Any]) -> Any:
    from pydantic import ValidationError

    from wetread.web.api.asked import StudySearch

    try:
        return StudySearch(**wanted).to_filter()
    except ValidationError as error:
        [first, *_] = error.errors()
        raise ConfigError(f"{first['loc'][0]}: {first['msg']}.") from error


def _words(line: StudyLine) -> tuple[str, ...]:
    day = line.study_date.isoformat() if line.study_date else "no date"
    urgency = line.priority.value if line.is_triaged else "unknown"
    return line.key, day, "/".join(line.modalities), str(line.instance_count), urgency, line.state_words
