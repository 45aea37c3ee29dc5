"""The command about the queue: what waits for its models, what is read, stuck or failed.

In: nothing.  Out: lines or JSON, in the words of the API.  Never: a patient's name.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import typer

from wetread.cli.people import JsonOption
from wetread.cli.place import ConfigOption, DataOption, open_settings
from wetread.cli.remote import TokenOption, UrlOption, open_service

if TYPE_CHECKING:
    from wetread.config import Config
    from wetread.contract.queue import QueuedStudy, ReadingQueue
    from wetread.store import Store

#: Studies that failed, as the page shows them.
_FAILURES = 50


def queue(
    as_json: JsonOption = False,
    url: UrlOption = "",
    token_file: TokenOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Show what is read now, stuck, waiting, arriving, and what failed last, with what to do."""
    from wetread.cli.studies import to_json

    service = open_service(url, token_file, config, data)
    if service is not None:
        told = service.get_queue()
    else:
        with open_settings(config, data) as (settings, store):
            told = _look_here(settings, store)
    if as_json:
        typer.echo(to_json(told))
        return
    for one in (*told.reading, *told.stuck, *told.waiting, *told.arriving, *told.failed):
        typer.echo("  ".join(_words(one)).rstrip())
    for pace in told.paces:
        taken = f"median {pace.median_s:.1f} s  p90 {pace.p90_s:.1f} s  n={pace.count}"
        typer.echo(f"{pace.name} {pace.version}  {taken}")


def _look_here(settings: Config, store: Store) -> ReadingQueue:
    from wetread.engine import engine_url
    from wetread.jobs import Jobs
    from wetread.steps.queueing import look_at_queue
    from wetread.store.settings import read_database_url
    from wetread.web.api.told import Teller

    jobs = Jobs(read_database_url(settings.store) or engine_url(store.data))
    now = datetime.now(UTC)
    line = look_at_queue(store, jobs.list_open("read/"), now, failures=_FAILURES)
    return Teller(store=store, now=lambda: now, knows_names=True).queue(line)


def _words(one: QueuedStudy) -> tuple[str, ...]:
    place = f"{one.stage.value} {one.position}" if one.position else one.stage.value
    since = one.since.isoformat("T", "seconds")
    usual = f"usually {one.usual_s:.0f} s" if one.usual_s is not None else ""
    said = f"{one.code} {one.message} {one.advice}".strip()
    known = (one.worker, ", ".join(one.models), usual, said)
    return place, one.study_key, one.urgency.value, since, *(word for word in known if word)
