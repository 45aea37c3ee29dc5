"""Tell somebody elsewhere that a critical result waits: by mail, by webhook.

In: an alert, as a key and a link.  Out: nothing, or why it could not be told.
Never: who the patient is or what was found; a message in clear text with a password; a wait without a limit.
"""

from __future__ import annotations

import json
import smtplib
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from wetread.domain.alert import Channel
from wetread.domain.reading import Priority
from wetread.errors import ConfigError, PeerError, PeerUnreachable
from wetread.network import ClientTls, client_context, is_loopback_name

_MOST_SECRET = 4096


class MailSecurity(StrEnum):
    """How the mail server is spoken to."""

    STARTTLS = "starttls"
    TLS = "tls"
    #: Clear text, without a password.
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class MailSettings:
    """``[alerts.mail]``: the server that takes mail."""

    host: str
    port: int = 587
    security: MailSecurity = MailSecurity.STARTTLS
    #: Whom the mail is from.
    sender: str
    #: ``""``: nobody signs in.
    user: str = ""
    password_file: Path | None = None
    #: PEM: who may vouch for the server; None: the authorities of this machine.
    authorities: Path | None = None
    timeout_s: float = 15.0

    def __post_init__(self) -> None:
        """Refuse what cannot work, or would give a password away."""
        if not 0 < self.port < 65536 or not 0 < self.timeout_s <= 120:
            raise ConfigError("alerts.mail: port and timeout_s (at most 120) must make sense.")
        if bool(self.user) != (self.password_file is not None):
            raise ConfigError("alerts.mail: user and password_file belong together.")
        if self.user and self.security is MailSecurity.NONE:
            raise ConfigError('alerts.mail: a password needs security = "starttls" or "tls".')
        check_address(self.sender)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSettings:
    """``[alerts.webhook]``: what every webhook is called with."""

    #: Holds a bearer token; readable by us alone.
    token_file: Path | None = None
    authorities: Path | None = None
    timeout_s: float = 15.0

    def __post_init__(self) -> None:
        """Refuse waits that are none."""
        if not 0 < self.timeout_s <= 120:
            raise ConfigError("alerts.webhook.timeout_s must lie between 0 and 120.")


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertStep:
    """``[[alerts.steps]]``: whom an alert is brought to that nobody has answered for so long."""

    after_s: float
    #: Addresses.
    mail: tuple[str, ...] = ()
    #: Addresses that get JSON by POST.
    webhook: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a step that tells nobody."""
        if not 0 <= self.after_s <= 86400 or not (self.mail or self.webhook):
            raise ConfigError(
                "alerts.steps: after_s lies between 0 and 86400, and mail or webhook names somebody."
            )
        for address in self.mail:
            check_address(address)
        for url in self.webhook:
            check_webhook(url)

    @property
    def targets(self) -> tuple[tuple[Channel, str], ...]:
        """Whom it is brought to."""
        mail = tuple((Channel.MAIL, one) for one in dict.fromkeys(self.mail))
        return mail + tuple((Channel.WEBHOOK, one) for one in dict.fromkeys(self.webhook))


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertSettings:
    """``[alerts]``: which results alert, and whom."""

    #: Readings of these raise an alert; empty: none does.
    priorities: tuple[Priority, ...] = (Priority.STAT,)
    #: What links begin with, e.g. ``https://wetread.hospital``; ``""``: messages hold the study's key alone.
    link: str = ""
    steps: tuple[AlertStep, ...] = ()
    #: None: nobody is told by mail.
    mail: MailSettings | None = None
    webhook: WebhookSettings = WebhookSettings()

    def __post_init__(self) -> None:
        """Refuse what could tell nobody."""
        waits = [step.after_s for step in self.steps]
        if waits != sorted(waits):
            raise ConfigError("alerts.steps must stand in the order of after_s.")
        if any(step.mail for step in self.steps) and self.mail is None:
            raise ConfigError("alerts.steps names mail addresses: set alerts.mail.")
        if self.link and urlsplit(self.link).scheme not in ("http", "https"):
            raise ConfigError("alerts.link begins with https://.", link=self.link)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a message says: nothing of the patient."""

    alert_id: int
    step: int
    study_key: str
    priority: str
    raised_at: float


def check_address(address: str) -> None:
    """Refuse what is no single mail address.

    Raises
    ------
    ConfigError
        If so.
    """
    name, _, host = address.partition("@")
    is_plain = address.isascii() and address.isprintable() and not any(one in address for one in ' ,;<>"')
    if not (name and host and is_plain):
        raise ConfigError("alerts: this is no mail address.", given=address)


def check_webhook(url: str) -> None:
    """Refuse a webhook in clear text to another machine.

    Raises
    ------
    ConfigError
        If so.
    """
    parts = urlsplit(url)
    is_here = parts.scheme == "http" and is_loopback_name(parts.hostname or "")
    if not parts.hostname or not (parts.scheme == "https" or is_here) or parts.username:
        raise ConfigError("alerts: a webhook begins with https://, and has no password in it.")


def tell(settings: AlertSettings, channel: Channel, target: str, told: Told) -> None:
    """Tell somebody; returns when the mail server, or the webhook, has taken it.

    Raises
    ------
    PeerError
        If it did not, with why in words; nothing is known of the message then.
    """
    try:
        if channel is Channel.MAIL:
            _send_mail(settings, target, told)
        else:
            _call_webhook(settings, target, told)
    except ConfigError as error:
        raise PeerError(error.message) from error
    except smtplib.SMTPException as error:
        # Its text quotes what the server said.
        raise PeerError("The mail server did not take the message.", reason=type(error).__name__) from error
    except urllib.error.HTTPError as error:
        with error:
            raise PeerError("The webhook refused.", status=error.code) from error
    except (OSError, ValueError) as error:
        raise PeerUnreachable(f"The {channel.value} does not answer.", reason=type(error).__name__) from error


def _link(settings: AlertSettings, told: Told) -> str:
    return f"{settings.link.rstrip('/')}/studies/{told.study_key}" if settings.link else ""


def _send_mail(settings: AlertSettings, target: str, told: Told) -> None:
    mail = settings.mail
    if mail is None:
        raise ConfigError("alerts.mail is not set.")
    server: smtplib.SMTP
    context = client_context(ClientTls(authorities=mail.authorities))
    if mail.security is MailSecurity.TLS:
        server = smtplib.SMTP_SSL(mail.host, mail.port, timeout=mail.timeout_s, context=context)
    else:
        server = smtplib.SMTP(mail.host, mail.port, timeout=mail.timeout_s)
    with server:
        if mail.security is MailSecurity.STARTTLS:
            server.starttls(context=context)
        if mail.password_file is not None:
            server.login(mail.user, read_secret(mail.password_file))
        server.send_message(_letter(settings, mail, target, told))


def _letter(settings: AlertSettings, mail: MailSettings, target: str, told: Told) -> EmailMessage:
    letter = EmailMessage()
    letter["From"] = mail.sender
    letter["To"] = target
    letter["Subject"] = f"Wetread: a {told.priority} result waits (step {told.step})"
    since = datetime.fromtimestamp(told.raised_at, UTC).astimezone()
    where = _link(settings, told) or f"study {told.study_key}"
    letter.set_content(
        f"A {told.priority} result has waited since {since:%Y-%m-%d %H:%M %Z}, and nobody acknowledged it."
        "\n\n"
        f"{where}\n\nAcknowledge it on the reading list; then nobody else is told.\n"
    )
    return letter


def _call_webhook(settings: AlertSettings, url: str, told: Told) -> None:
    body: dict[str, Any] = {
        "alert": told.alert_id,
        "step": told.step,
        "priority": told.priority,
        "raised_at": datetime.fromtimestamp(told.raised_at, UTC).isoformat(timespec="seconds"),
        "study": told.study_key,
        "link": _link(settings, told),
    }
    hook = settings.webhook
    headers = {"Content-Type": "application/json"}
    if hook.token_file is not None:
        headers["Authorization"] = f"Bearer {read_secret(hook.token_file)}"
    request = urllib.request.Request(url, json.dumps(body).encode(), headers, method="POST")  # noqa: S310 - checked
    with _opener(url, hook).open(request, timeout=hook.timeout_s) as answer:
        answer.read(1)


class _NoOtherPlace(urllib.request.HTTPRedirectHandler):
    """A webhook that sends us elsewhere has not taken the message, and elsewhere gets no token."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _opener(url: str, hook: WebhookSettings) -> urllib.request.OpenerDirector:
    handlers: list[urllib.request.BaseHandler] = [_NoOtherPlace(), urllib.request.ProxyHandler({})]
    if url.startswith("https://"):
        context: ssl.SSLContext = client_context(ClientTls(authorities=hook.authorities))
        handlers.append(urllib.request.HTTPSHandler(context=context))
    return urllib.request.build_opener(*handlers)


def read_secret(path: Path) -> str:
    """Return a password or token, read anew each time: who renews it restarts nothing.

    Raises
    ------
    ConfigError
        If it is missing, or others can read it.
    """
    try:
        state = path.stat()
        text = path.read_text("utf-8").strip() if state.st_size <= _MOST_SECRET else ""
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError("A secret of alerts cannot be read.", file=path) from error
    if state.st_mode & 0o077:
        raise ConfigError("Others can read a secret of alerts: chmod 600.", file=path)
    if not text or not text.isprintable():
        raise ConfigError("A secret of alerts is none: one line of text.", file=path)
    return text
