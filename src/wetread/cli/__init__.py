"""The command line: parse, call, show.

In: arguments.  Out: progress on stderr, answers on stdout, an exit status.
Never: work of its own; a traceback for what the user can mend.
"""

from __future__ import annotations

import sys

import typer

from wetread.cli.audit import audit_app
from wetread.cli.backfill import backfill_app
from wetread.cli.backup import backup, restore
from wetread.cli.certificates import certificates
from wetread.cli.conformance import conformance
from wetread.cli.console import console
from wetread.cli.deliveries import deliveries_app
from wetread.cli.explain import explain
from wetread.cli.fetch import fetch_app
from wetread.cli.guideline import guideline
from wetread.cli.images import analyze, send
from wetread.cli.keys import keys_app
from wetread.cli.lab import lab_app
from wetread.cli.measure import measure
from wetread.cli.models import models_app
from wetread.cli.operating_point import set_operating_point as set_operating_point
from wetread.cli.phantom import phantom
from wetread.cli.queue import queue
from wetread.cli.retention import erase, hold, release, retention_app
from wetread.cli.rules import rules_app
from wetread.cli.serve import demo, serve
from wetread.cli.shadow import compare_shadow as compare_shadow
from wetread.cli.studies import studies_app
from wetread.cli.tokens import tokens_app
from wetread.cli.users import users_app
from wetread.cli.viewer import viewer_app
from wetread.cli.worker import worker
from wetread.errors import WetreadError
from wetread.logs import set_up_logging

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Gives every medical image study a wet read. Not for clinical use until validated at your site.",
)
for command in (
    serve,
    worker,
    demo,
    analyze,
    measure,
    send,
    phantom,
    explain,
    queue,
    guideline,
    certificates,
    conformance,
    hold,
    release,
    erase,
    backup,
    restore,
):
    app.command()(command)
app.add_typer(studies_app, name="studies")
app.add_typer(models_app, name="models")
app.add_typer(lab_app, name="lab")
app.add_typer(rules_app, name="rules")
app.add_typer(deliveries_app, name="deliveries")
app.add_typer(fetch_app, name="fetch")
app.add_typer(backfill_app, name="backfill")
app.add_typer(retention_app, name="retention")
app.add_typer(users_app, name="users")
app.add_typer(tokens_app, name="tokens")
app.add_typer(audit_app, name="audit")
app.add_typer(keys_app, name="keys")
app.add_typer(viewer_app, name="viewer")


def main() -> None:
    """Run the command; an error of ours is one sentence and exit status 1."""
    set_up_logging()
    try:
        app()
    except WetreadError as error:
        console.print(f"[bold red]{error.code}[/]: ", end="")
        console.print(str(error), markup=False, highlight=False)
        sys.exit(1)
