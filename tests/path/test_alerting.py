"""Alerts: raised once, escalated step by step over restarts, ended when the study has been read."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import orjson
import pytest
from sqlalchemy import update

from tests.stores import open_store
from tests.web.conftest import NOW, Ward
from wetread.deliver.alarm import AlertSettings, AlertStep, MailSecurity, MailSettings, WebhookSettings
from wetread.domain.alert import CallState
from wetread.domain.reading import Priority, Triage
from wetread.domain.study import study_key
from wetread.errors import ConfigError
from wetread.settings import read_table
from wetread.steps.alerting import TRIES, AlertSteps
from wetread.store import schema
from wetread.store.audit_rows import AuditRows
from wetread.store.catalogued import pack_metadata
from wetread.waits import Backoff, Waits

MAIL = "duty@hospital.example"


@dataclass
class Time:
    """Both clocks, as the test wants them."""

    at: datetime = NOW
    monotonic_s: float = 0.0

    def __call__(self) -> datetime:
        return self.at

    def pass_by(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)
        self.monotonic_s += seconds


@dataclass
class Desk:
    """Alerting over a store, with time in hand."""

    ward: Ward
    settings: AlertSettings
    time: Time = field(default_factory=Time)

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Begin as a new process would."""
        waits = Waits(monotonic=lambda: self.time.monotonic_s)
        backoff = Backoff((5.0, 15.0), Waits(monotonic=lambda: self.time.monotonic_s))
        self.steps = AlertSteps(
            store=self.ward.store, settings=self.settings, clock=self.time, waits=waits, backoff=backoff
        )

    def sweep(self) -> None:
        self.steps.sweep()

    def told(self, uid: str = "1.2.1") -> list[str]:
        events = self.ward.store.history.list_for_study(uid)
        return [one.message for one in events if one.stage == "alert"]


@pytest.fixture
def ward(tmp_path: Path) -> Iterator[Ward]:
    store = open_store(tmp_path / "data")
    yield Ward(store)
    store.close()


@pytest.fixture
def stat() -> Triage:
    return Triage(priority=Priority.STAT, score=0.8, reasons=("Pneumothorax, right, 180 ml",))


class Hook:
    """A real webhook; answers what it is told to."""

    def __init__(self) -> None:
        self.bodies: list[dict] = []
        self.tokens: list[str | None] = []
        self.status = 204
        hook = self

        class Answering(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                hook.bodies.append(json.loads(self.rfile.read(length)))
                hook.tokens.append(self.headers["Authorization"])
                self.send_response(hook.status)
                if hook.status == 302:
                    self.send_header("Location", "http://127.0.0.1:9/")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Answering)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/alert"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def hook() -> Iterator[Hook]:
    one = Hook()
    yield one
    one.close()


class MailServer:
    """Speaks as much SMTP (RFC 5321) as a message needs."""

    def __init__(self) -> None:
        self.letters: list[str] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection, connection.makefile("rwb") as stream:
                self._talk(stream)

    def _talk(self, stream) -> None:
        def say(text: str) -> None:
            stream.write(f"{text}\r\n".encode())
            stream.flush()

        say("220 here")
        while line := stream.readline().decode().strip():
            word = line.split()[0].upper()
            if word == "DATA":
                say("354 go on")
                lines = []
                while (text := stream.readline().decode().rstrip("\r\n")) != ".":
                    lines.append(text)
                self.letters.append("\n".join(lines))
            say("221 bye" if word == "QUIT" else "250 good")
            if word == "QUIT":
                return

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()


@pytest.fixture
def mail_server() -> Iterator[MailServer]:
    one = MailServer()
    yield one
    one.close()


def by_webhook(*steps: tuple[float, str], **more) -> AlertSettings:
    return AlertSettings(
        steps=tuple(AlertStep(after_s=after_s, webhook=(url,)) for after_s, url in steps), **more
    )


def test_a_critical_result_alerts_once(ward: Ward, stat: Triage) -> None:
    desk = Desk(ward, AlertSettings())
    ward.send("1.2.1")
    ward.send("1.2.2")
    ward.read("1.2.2")
    desk.sweep()
    assert ward.store.alerts.list_open() == []
    ward.read("1.2.1", stat)
    desk.sweep()
    desk.sweep()
    [alert] = ward.store.alerts.list_open()
    assert (alert.study_instance_uid, alert.priority, alert.raised_at) == ("1.2.1", "stat", NOW.timestamp())
    assert len(desk.told()) == 1
    entries = [one.message for one in AuditRows(ward.store.engine).list_last(9, study="1.2.1")]
    assert sum("Alert raised." in one for one in entries) == 1


def test_which_priorities_alert_is_configured(ward: Ward) -> None:
    ward.send("1.2.1")
    ward.read("1.2.1", Triage(priority=Priority.URGENT, reasons=("Nodule",)))
    Desk(ward, AlertSettings(priorities=())).sweep()
    Desk(ward, AlertSettings()).sweep()
    assert ward.store.alerts.list_open() == []
    Desk(ward, AlertSettings(priorities=(Priority.STAT, Priority.URGENT))).sweep()
    assert [one.priority for one in ward.store.alerts.list_open()] == ["urgent"]


def test_it_escalates_step_by_step_until_somebody_answers(ward: Ward, stat: Triage, hook: Hook) -> None:
    desk = Desk(
        ward,
        by_webhook((60, hook.url), (300, f"{hook.url}/chief"), (900, hook.url), link="https://w.example"),
    )
    key = ward.send("1.2.1", name="Okonkwo^Adaeze")
    ward.read("1.2.1", stat)
    desk.sweep()
    desk.time.pass_by(59)
    desk.sweep()
    assert hook.bodies == []
    desk.time.pass_by(1)
    desk.sweep()
    desk.sweep()
    [alert] = ward.store.alerts.list_open()
    # Who the patient is, and what was found, does not leave.
    assert hook.bodies == [
        {
            "alert": alert.id, "step": 1, "priority": "stat", "raised_at": NOW.isoformat(timespec="seconds"),
            "study": key, "link": f"https://w.example/studies/{key}",
        }
    ]  # fmt: skip
    desk.time.pass_by(240)
    desk.sweep()
    assert [one["step"] for one in hook.bodies] == [1, 2]
    ward.store.alerts.acknowledge(alert, "ana", desk.time(), desk.steps._event("1.2.1", "Acknowledged."))
    desk.time.pass_by(900)
    desk.sweep()
    assert [one["step"] for one in hook.bodies] == [1, 2]
    assert desk.told() == [
        "Alert raised: the result is stat, and nobody has read it.",
        "Nobody answered the alert: step 1 of the escalation.",
        "Step 1 by webhook: somebody was told.",
        "Nobody answered the alert: step 2 of the escalation.",
        "Step 2 by webhook: somebody was told.",
        "Alert acknowledged by ana.",
    ]


def test_a_restart_forgets_nothing_and_repeats_nothing(ward: Ward, stat: Triage, hook: Hook) -> None:
    desk = Desk(ward, by_webhook((60, hook.url), (300, hook.url)))
    ward.send("1.2.1")
    ward.read("1.2.1", stat)
    desk.sweep()
    # The process is away while the first step becomes due, and its message is tried just when it is killed.
    desk.time.pass_by(100)
    desk.start()
    hook.status = 500
    desk.sweep()
    assert [one.state for one in ward.store.alerts.list_calls(*CallState)] == [CallState.WAITING]
    desk.start()
    hook.status = 204
    desk.sweep()
    desk.start()
    desk.sweep()
    assert [one["step"] for one in hook.bodies] == [1, 1]
    assert [one.state for one in ward.store.alerts.list_calls(*CallState)] == [CallState.SENT]
    desk.time.pass_by(200)
    desk.start()
    desk.sweep()
    assert [one["step"] for one in hook.bodies] == [1, 1, 2]


def test_a_clock_that_is_set_back_holds_up_no_escalation(ward: Ward, stat: Triage, hook: Hook) -> None:
    desk = Desk(ward, by_webhook((60, hook.url)))
    ward.send("1.2.1")
    ward.read("1.2.1", stat)
    desk.sweep()
    desk.time.at -= timedelta(hours=5)
    desk.time.monotonic_s += 60
    desk.sweep()
    assert len(hook.bodies) == 1


def test_what_is_not_taken_is_tried_again_and_given_up_visibly(ward: Ward, stat: Triage, hook: Hook) -> None:
    desk = Desk(ward, by_webhook((0, hook.url)))
    ward.send("1.2.1")
    ward.read("1.2.1", stat)
    hook.status = 302
    desk.sweep()
    assert desk.told()[-1] == "Step 1 by webhook: The webhook refused. Trying again."
    desk.sweep()
    assert len(hook.bodies) == 1, "it waits between tries"
    for _ in range(2 * TRIES + 3):
        desk.time.pass_by(15)
        desk.sweep()
    assert len(hook.bodies) == TRIES
    assert [one.state for one in ward.store.alerts.list_calls(*CallState)] == [CallState.FAILED]
    assert desk.told()[-1].endswith("Given up.")
    assert len(ward.store.alerts.list_open()) == 1


def test_a_reported_study_alerts_nobody_any_more(ward: Ward, stat: Triage, hook: Hook) -> None:
    desk = Desk(ward, by_webhook((60, hook.url)))
    ward.send("1.2.1")
    ward.read("1.2.1", stat)
    desk.sweep()
    ward.store.studies.mark_reported("1.2.1", NOW)
    desk.time.pass_by(100)
    desk.sweep()
    assert hook.bodies == []
    assert ward.store.alerts.list_open() == []
    assert desk.told()[-1] == "Alert ended: the study has been read."
    # Put back on the list: it was answered, and stays so.
    ward.store.studies.mark_reported("1.2.1", None)
    desk.sweep()
    assert ward.store.alerts.list_open() == []


def test_a_newer_reading_ends_an_alert_or_raises_another(ward: Ward, stat: Triage) -> None:
    desk = Desk(ward, AlertSettings())
    ward.send("1.2.1")
    ward.read("1.2.1", stat)
    desk.sweep()
    ward.send("1.2.1")
    ward.read("1.2.1", replace(stat, reasons=("Pneumothorax, right, 400 ml",)))
    desk.sweep()
    assert len(ward.store.alerts.list_open()) == 2
    ward.send("1.2.1")
    ward.read("1.2.1")
    desk.sweep()
    assert ward.store.alerts.list_open() == []
    assert desk.told()[-1] == "Alert ended: newer images were read, and nothing is critical any more."


@pytest.mark.parametrize(
    ("flags", "ends"),
    [
        ({"0040A491": "COMPLETE", "0040A493": "VERIFIED"}, True),
        ({"0040A491": "COMPLETE", "0040A493": "UNVERIFIED"}, False),
    ],
)
def test_only_a_verified_report_of_another_system_ends_an_alert(
    ward: Ward, stat: Triage, flags: dict[str, str], ends: bool
) -> None:
    desk = Desk(ward, AlertSettings())
    ward.send("1.2.1")
    ward.read("1.2.1", stat)
    desk.sweep()
    ward.send("1.2.1", waiting=timedelta(seconds=-5))
    header = {tag: {"vr": "CS", "Value": [value]} for tag, value in flags.items()}
    newest = schema.instance.c.received_at > NOW.timestamp()
    values = {
        "sop_class_uid": "1.2.840.10008.5.1.4.1.1.88.11",
        "metadata": pack_metadata(orjson.dumps(header)),
    }
    with ward.store.engine.begin() as connection:
        assert connection.execute(update(schema.instance).where(newest).values(values)).rowcount == 1
    desk.sweep()
    assert (ward.store.alerts.list_open() == []) is ends


def test_mail_names_nobody(ward: Ward, stat: Triage, mail_server: MailServer) -> None:
    mail = MailSettings(
        host="127.0.0.1", port=mail_server.port, security=MailSecurity.NONE, sender="wetread@hospital.example"
    )
    settings = AlertSettings(
        steps=(AlertStep(after_s=0, mail=(MAIL,)),), mail=mail, link="https://wetread.hospital.example/"
    )
    ward.send("1.2.1", name="Okonkwo^Adaeze")
    ward.read("1.2.1", stat)
    Desk(ward, settings).sweep()
    [letter] = mail_server.letters
    assert f"To: {MAIL}" in letter
    assert "Subject: Wetread: a stat result waits (step 1)" in letter
    assert f"https://wetread.hospital.example/studies/{study_key('1.2.1')}" in letter
    for word in ("Okonkwo", "PID1", "Pneumothorax", "A1"):
        assert word not in letter
    assert [one.state for one in ward.store.alerts.list_calls(*CallState)] == [CallState.SENT]


def test_a_mail_server_without_tls_gets_no_message_that_asks_for_it(
    ward: Ward, stat: Triage, mail_server: MailServer
) -> None:
    mail = MailSettings(host="127.0.0.1", port=mail_server.port, sender="wetread@hospital.example")
    ward.send("1.2.1")
    ward.read("1.2.1", stat)
    desk = Desk(ward, AlertSettings(steps=(AlertStep(after_s=0, mail=(MAIL,)),), mail=mail))
    desk.sweep()
    assert mail_server.letters == []
    assert desk.told()[-1].startswith("Step 1 by mail: The mail server did not take the message.")


def test_the_token_goes_to_the_webhook(ward: Ward, stat: Triage, hook: Hook, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("s3cret\n")
    token.chmod(0o600)
    settings = by_webhook((0, hook.url), webhook=WebhookSettings(token_file=token))
    ward.send("1.2.1")
    ward.read("1.2.1", stat)
    Desk(ward, settings).sweep()
    assert hook.tokens == ["Bearer s3cret"]


@pytest.mark.parametrize(
    "table",
    [
        {"priorities": ["panic"]},
        {"steps": [{"after_s": 5}]},
        {"steps": [{"after_s": -1, "webhook": ["https://a.example/"]}]},
        {"steps": [{"after_s": 5, "webhook": ["http://pager.example/"]}]},
        {"steps": [{"after_s": 5, "webhook": ["https://user:pw@pager.example/"]}]},
        {"steps": [{"after_s": 5, "mail": ["a@b.example"]}]},
        {"steps": [{"after_s": 5, "mail": ["a@b.example\nBcc: c@d.example"]}]},
        {
            "steps": [
                {"after_s": 9, "webhook": ["https://a.example/"]},
                {"after_s": 5, "webhook": ["https://a.example/"]},
            ]
        },
        {"mail": {"host": "m", "sender": "a@b.example", "user": "x"}},
        {
            "mail": {
                "host": "m",
                "sender": "a@b.example",
                "user": "x",
                "password_file": "p",
                "security": "none",
            }
        },
        {"link": "wetread.example"},
    ],
)
def test_settings_that_could_tell_nobody_are_refused(table: dict, tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        read_table(AlertSettings, table, "alerts", tmp_path)
