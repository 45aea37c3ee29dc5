"""The commands about what is kept and what goes.

In: options, and a yes where something goes for good.  Out: what would go or went, and what is kept and why.
Never: a deletion that was not shown before, unless it was asked for with --yes.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from wetread.cli.console import console
from wetread.cli.people import JsonOption
from wetread.cli.place import ConfigOption, DataOption, open_settings, who_asks
from wetread.errors import ConfigError

if TYPE_CHECKING:
    from wetread.store import Store
    from wetread.store.patients import Found

retention_app = typer.Typer(no_args_is_help=True, help="What may be deleted, and why the rest is kept.")
StudyArgument = Annotated[str, typer.Argument(help="Study Instance UID, or accession number.")]


@retention_app.command("show")
def show(config: ConfigOption = None, data: DataOption = None, as_json: JsonOption = False) -> None:
    """Show what would be deleted now, and what is kept and why. Nothing is changed."""
    from dataclasses import asdict

    from wetread.config import retention_policy
    from wetread.store.retention import judge
    from wetread.work import now

    with open_settings(config, data) as (settings, store):
        verdicts = judge(store, retention_policy(settings), now())
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in verdicts], indent=2))
        return
    for one in verdicts:
        came = _minute(one.last_received_at)
        later = (
            "goes when the disk needs it"
            if settings.retention.disk_percent
            else "may go; no rule asks for it"
        )
        free = "goes now" if one.is_due else later
        then = f", goes {_minute(one.goes_at)}" if one.goes_at is not None and not one.is_due else ""
        word = f"kept: {one.kept_because}{then}" if one.kept_because else free
        typer.echo(f"{one.study_instance_uid}  {came}  {word}")


@retention_app.command("run")
def run(config: ConfigOption = None, data: DataOption = None) -> None:
    """Delete what is due by [retention], as the service does every hour."""
    from wetread.config import retention_policy
    from wetread.store.retention import run_retention
    from wetread.work import now

    with open_settings(config, data) as (settings, store):
        outcome = run_retention(store, retention_policy(settings), now())
    typer.echo(f"{outcome.deleted} studies deleted.")
    for reason, count in outcome.kept.items():
        typer.echo(f"{count} kept: {reason}")
    if outcome.is_unfinished:
        typer.echo("More are due: run it again.")
    if outcome.disk_percent is not None:
        typer.echo(f"The disk is still {outcome.disk_percent:.0f} % full, over the mark.")
        raise typer.Exit(1)


def hold(
    study: Annotated[str | None, typer.Argument(help="Study Instance UID, or accession number.")] = None,
    why: Annotated[str, typer.Option(help="Reason, without names: it is kept with the hold.")] = "",
    show_all: Annotated[bool, typer.Option("--list", help="List the holds.")] = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Place a study on legal hold: neither retention nor erasure deletes it."""
    from wetread.work import now

    with open_settings(config, data) as (_settings, store):
        if show_all:
            for one in store.holds.list_all():
                typer.echo(
                    f"{one.study_instance_uid}  {_minute(one.placed_at)}  {one.placed_by}  {one.reason}"
                )
            return
        if study is None:
            raise ConfigError("Name a study, or list the holds with --list.")
        store.holds.place(_find(store, study), why, who_asks(), now())
    console.print("It is on hold.")


def release(
    study: StudyArgument,
    why: Annotated[str, typer.Option(help="Reason, without names: it stays in the audit trail.")] = "",
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Lift a legal hold."""
    from wetread.work import now

    with open_settings(config, data) as (_settings, store):
        store.holds.release(_find(store, study), why, who_asks(), now())
    console.print("It is released.")


def erase(
    patient_id: Annotated[str, typer.Option(help="Patient ID, exactly as it stands in the images.")],
    issuer: Annotated[str, typer.Option(help="Issuer of Patient ID, where several issue them.")] = "",
    why: Annotated[str, typer.Option(help="Reason, for the audit trail.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Erase a patient: images, results, history. What was delivered stays where it was delivered."""
    from functools import partial

    from wetread.engine import engine_url, forget_jobs
    from wetread.store.patients import Patient, erase_patient, find_studies
    from wetread.store.settings import read_database_url
    from wetread.work import now

    patient = Patient(patient_id=patient_id, issuer=issuer)
    with open_settings(config, data) as (settings, store):
        _show(find_studies(store, patient))
        if not yes and not typer.confirm("Erase them for good?", err=True):
            raise typer.Exit(1)
        forget = partial(forget_jobs, read_database_url(settings.store) or engine_url(store.data))
        kept = erase_patient(store, patient, by=who_asks(), why=why, clock=now, forget_jobs=forget)
    for one in kept:
        typer.echo(f"{one.study_instance_uid}  kept: on legal hold")
    console.print("Results that were delivered are not recalled: ask the administrators of the PACS and RIS.")
    console.print("Earlier backups still hold what was erased: back up again into the same folders.")
    if kept:
        raise typer.Exit(1)


def _show(found: list[Found]) -> None:
    if not found:
        console.print("No study of this patient is here; files set aside are looked through all the same.")
    for one in found:
        held = "  on legal hold: kept" if one.is_held else ""
        mixed = "  also holds images of another patient, which go too" if one.is_mixed else ""
        typer.echo(
            f"{one.study_instance_uid}  {one.study_date}  {one.study_description}  "
            f"{one.instance_count} images{held}{mixed}"
        )


def _minute(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().isoformat("T", "minutes")


def _find(store: Store, study: str) -> str:
    row = store.studies.find(study) or store.studies.find_by_accession(study)
    # A hold may stand on what is not here any more: say so there.
    return row.study_instance_uid if row is not None else study
