"""The commands about what is fetched from elsewhere.

In: names of PACS and studies.  Out: lines or JSON; rows that a running service works on.
Never: a question or a change that is not in the audit trail.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from wetread.cli.people import JsonOption
from wetread.cli.place import ConfigOption, DataOption, open_settings, who_asks

if TYPE_CHECKING:
    from wetread.config import Config
    from wetread.domain.audit import AuditEvent
    from wetread.fetch.pacs import Pacs

fetch_app = typer.Typer(no_args_is_help=True, help="What is fetched from elsewhere, and who is asked.")
PacsArgument = Annotated[str, typer.Argument(help="Name of a [[pacs]] of the configuration.")]


@fetch_app.command("worklist")
def ask_for_worklist(
    pacs: PacsArgument,
    date: Annotated[str, typer.Option(help="today, a day (2026-11-26), or all.")] = "today",
    modality: Annotated[str, typer.Option(help="Only of this modality.")] = "",
    station: Annotated[str, typer.Option(help="Only for this AE title.")] = "",
    accession: Annotated[str, typer.Option(help="Only of this accession number.")] = "",
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Ask a modality worklist what is scheduled: time, modality, station, accession number, study, step."""
    from wetread.fetch.modality_worklist import WorklistQuestion, ask_worklist
    from wetread.fetch.trail import query_event
    from wetread.work import now

    question = WorklistQuestion(
        date=_read_day(date), modality=modality, station_aet=station, accession_number=accession
    )
    with open_settings(config, data) as (settings, store):
        asked = find_pacs(settings, pacs)
        store.audit.record(query_event(asked, now(), "modality worklist", by=who_asks()))
    answer = ask_worklist(asked, question)
    keys = (
        *("ScheduledProcedureStepStartDate", "ScheduledProcedureStepStartTime", "Modality"),
        *("ScheduledStationAETitle", "AccessionNumber", "StudyInstanceUID", "ScheduledProcedureStepID"),
        "ScheduledProcedureStepDescription",
    )
    if as_json:
        typer.echo(json.dumps([{key: step.text(key) for key in keys} for step in answer.steps], indent=2))
    else:
        for step in answer.steps:
            typer.echo("  ".join(step.text(key) or "-" for key in keys))
    if answer.is_cut:
        typer.echo("There is more: ask for less at a time.", err=True)


def find_pacs(settings: Config, name: str) -> Pacs:
    """Return a PACS of the configuration.

    Raises
    ------
    ConfigError
        If there is none of this name.
    """
    from wetread.errors import ConfigError

    for pacs in settings.pacs:
        if pacs.name == name:
            return pacs
    known = ", ".join(pacs.name for pacs in settings.pacs) or "none: add [[pacs]] to wetread.toml"
    raise ConfigError(f"There is no PACS {name!r} in the configuration. Known are {known}.")


def _read_day(text: str) -> str:
    from wetread.errors import ConfigError

    if text == "all":
        return ""
    if text == "today":
        return datetime.now().astimezone().strftime("%Y%m%d")
    try:
        return datetime.fromisoformat(text).strftime("%Y%m%d")
    except ValueError as error:
        raise ConfigError("A day is written as 2026-11-26.", given=text) from error


@fetch_app.command("status")
def show_status(config: ConfigOption = None, data: DataOption = None) -> None:
    """Show each PACS: when it was asked last and answered last, what is wrong, and what waits there."""
    with open_settings(config, data) as (settings, store):
        states = {row.name: row for row in store.pacs.list_all()}
        for pacs in settings.pacs:
            counts = store.fetches.count_by_state(pacs.name)
            known = states.get(pacs.name)
            asked = _moment(known.asked_at) if known else "never"
            answered = _moment(known.answered_at) if known and known.answered_at else "never"
            told = ", ".join(f"{count} {state.value}" for state, count in sorted(counts.items()))
            problem = f"  {known.problem_code} {known.message}" if known and known.problem_code else ""
            typer.echo(f"{pacs.name}  asked {asked}  answered {answered}  {told or 'nothing yet'}{problem}")


@fetch_app.command("list")
def list_fetches(
    state: Annotated[
        list[str] | None,
        typer.Option(
            help="waiting, fetching, fetched, skipped or failed [default: all but fetched, skipped]."
        ),
    ] = None,
    pacs: Annotated[str, typer.Option(help="Only of this PACS.")] = "",
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """List studies to fetch, oldest first: number, PACS, why, state, study, tries, last change, reason."""
    from wetread.domain.fetching import FetchState
    from wetread.errors import ConfigError

    unknown = sorted(set(state or ()) - set(FetchState))
    if unknown:
        raise ConfigError(f"There is no state {unknown[0]!r}: known are {', '.join(FetchState)}.")
    states = tuple(map(FetchState, state or ("waiting", "fetching", "failed")))
    with open_settings(config, data) as (_settings, store):
        rows = store.fetches.list_by_state(*states, pacs=pacs)
    if as_json:
        typer.echo(json.dumps([asdict(row) for row in rows], indent=2))
        return
    for row in rows:
        reason = f"{row.problem_code} {row.message}".strip()
        known = (row.id, row.pacs, row.reason.value, row.state.value, row.study_instance_uid)
        typer.echo("  ".join(map(str, (*known, f"{row.attempts} tries", _moment(row.updated_at), reason))))


@fetch_app.command("get")
def get(
    pacs: PacsArgument,
    studies: Annotated[list[str], typer.Argument(help="Study Instance UIDs.")],
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Have studies fetched and read, even such as were deleted here; a running service begins at once."""
    from wetread.dicom.header import is_uid
    from wetread.domain.fetching import FetchReason
    from wetread.errors import ConfigError
    from wetread.store.fetches import Want
    from wetread.work import now

    wrong = [uid for uid in studies if not is_uid(uid)]
    if wrong:
        raise ConfigError("Not a Study Instance UID.", given=wrong[0])
    with open_settings(config, data) as (settings, store):
        find_pacs(settings, pacs)
        for uid in studies:
            store.audit.record(_asked_for(uid))
            want = Want(study_instance_uid=uid, pacs=pacs, reason=FetchReason.ASKED)
            store.fetches.want(want, now())
    typer.echo(f"{len(studies)} to be fetched.")


@fetch_app.command("retry")
def retry(
    numbers: Annotated[list[int] | None, typer.Argument(help="As `wetread fetch list` shows them.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All that failed.")] = False,
    pacs: Annotated[str, typer.Option(help="Only of this PACS.")] = "",
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Try again what failed; a running service begins at once."""
    from wetread.domain.audit import Actor
    from wetread.domain.fetching import FetchState
    from wetread.errors import ConfigError
    from wetread.steps.again import retry_fetches
    from wetread.work import now

    if not (numbers or every or pacs):
        raise ConfigError("Say what to try again: numbers, --pacs NAME or --all.")
    with open_settings(config, data) as (_settings, store):
        states = (FetchState.FAILED, FetchState.SKIPPED) if numbers else (FetchState.FAILED,)
        rows = store.fetches.list_by_state(*states, pacs=pacs)
        chosen = [row for row in rows if not numbers or row.id in numbers]
        count = retry_fetches(store, chosen, Actor(user_id=who_asks(), is_requestor=True), now())
    typer.echo(f"{count} to be tried again.")


def _asked_for(study: str) -> AuditEvent:
    from wetread.domain.audit import Actor, AuditAction, AuditEvent, AuditEventType
    from wetread.work import now

    return AuditEvent(
        type=AuditEventType.PROCEDURE_RECORD,
        action=AuditAction.UPDATE,
        at=now(),
        description="Fetching of the study asked for.",
        actors=(Actor(user_id=who_asks(), is_requestor=True),),
        studies=(study,),
    )


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().isoformat("T", "seconds")
