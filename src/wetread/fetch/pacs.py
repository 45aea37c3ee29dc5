"""A PACS that we ask and fetch from.

In: a ``[[pacs]]`` table.  Out: ``Pacs``, checked.
Never: patients' data over plain HTTP to another machine, unless somebody said so.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from wetread.dicom.scu import Callee
from wetread.errors import ConfigError
from wetread.network import ClientTls
from wetread.settings import read_table

_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


class Search(StrEnum):
    """How a PACS is asked what it has."""

    CFIND = "c-find"
    QIDO = "qido"


class Retrieve(StrEnum):
    """How objects are fetched."""

    #: On the association that we open.
    CGET = "c-get"
    #: The PACS opens one to our DICOM port: it must know our AE title and address.
    CMOVE = "c-move"
    #: WADO-RS.
    WADO = "wado"


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchSettings:
    """``pacs.watch``: look for new studies."""

    on: bool = False
    #: Between two looks.
    interval_s: float = 60.0
    #: Studies of today and of so many days before.
    look_back_days: int = 1
    #: Only studies with one of these; none: any.
    modalities: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorSettings:
    """``pacs.priors``: earlier studies of a patient whose study is to be read."""

    on: bool = False
    #: A reading waits so long for them, and no longer.
    wait_s: float = 120.0
    #: At most so many, the newest.
    count: int = 3
    maximum_age_days: int = 1826
    #: Modalities that are worth comparing with; none: that of the study.
    modalities: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pacs:
    """``[[pacs]]``: a system that is asked and fetched from."""

    name: str
    #: ``AET@HOST:PORT``; ``""``: it is not spoken to by DIMSE.
    to: str = ""
    #: Base of its DICOMweb service, e.g. ``https://pacs/dicom-web``.
    dicomweb_url: str = ""
    #: Whether DICOMweb without TLS is allowed beyond this machine.
    allow_http: bool = False
    #: The AE title that we call ourselves.
    calling_aet: str = "WETREAD"
    #: None: C-FIND where there is ``to``, else QIDO-RS.
    search: Search | None = None
    #: None: C-GET where there is ``to``, else WADO-RS.
    retrieve: Retrieve | None = None
    #: Speak TLS by DIMSE.
    tls: bool = False
    #: PEM: who may vouch for it; None: the authorities of this machine.
    authorities: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    #: Holds a bearer token for DICOMweb.
    token_file: Path | None = None
    connect_timeout_s: float = 10.0
    #: Longest wait for one answer, or for the next image.
    timeout_s: float = 60.0
    #: We open so many at once: with 2, a prior is asked for while something else is fetched.
    maximum_associations: int = 2
    #: More matches than this are not taken from one answer.
    maximum_matches: int = 5000
    #: Pace of watch and backfill; 0: as fast as it goes. Priors and what people ask for do not wait.
    studies_per_hour: int = 0
    #: Hours of the day for backfill, e.g. ``20:00-06:00``; ``""``: always.
    backfill_hours: str = ""
    watch: WatchSettings = field(default_factory=WatchSettings)
    priors: PriorSettings = field(default_factory=PriorSettings)

    def __post_init__(self) -> None:
        """Fill in what follows from the rest and check what belongs together."""
        if self.search is None:
            object.__setattr__(self, "search", Search.CFIND if self.to else Search.QIDO)
        if self.retrieve is None:
            object.__setattr__(self, "retrieve", Retrieve.CGET if self.to else Retrieve.WADO)
        for problem in _problems(self):
            raise ConfigError(f"PACS {self.name!r}: {problem}")

    @property
    def aet(self) -> str:
        """Its AE title, ``""`` where it has none."""
        return self.to.partition("@")[0]

    @property
    def source(self) -> str:
        """What the index keeps as the source of what we fetch."""
        return (self.aet or self.name)[:64]

    @property
    def address(self) -> str:
        """Where it is, for the audit trail."""
        return self.callee.host if self.to else urlsplit(self.dicomweb_url).hostname or ""

    @property
    def client_tls(self) -> ClientTls:
        """Whom we believe and what we show, where TLS is spoken."""
        return ClientTls(authorities=self.authorities, certificate=self.certificate, key=self.key)

    @property
    def needs_tls(self) -> bool:
        """Whether anything of it goes over TLS."""
        return self.tls or self.dicomweb_url.startswith("https://")

    @property
    def callee(self) -> Callee:
        """Whom to call by DIMSE."""
        aet, host, port = _split(self.to) or ("", "", 0)
        return Callee(
            name=self.name,
            kind="PACS",
            host=host,
            port=port,
            aet=aet,
            calling_aet=self.calling_aet,
            tls=self.client_tls if self.tls else None,
            connect_timeout_s=self.connect_timeout_s,
            timeout_s=self.timeout_s,
        )


def read_pacs(table: Mapping[str, Any], folder: Path) -> Pacs:
    """Return the PACS that a ``[[pacs]]`` table describes; paths are relative to ``folder``.

    Raises
    ------
    ConfigError
        If a setting is unknown, missing or wrong.
    """
    name = table.get("name") if isinstance(table, dict) else None
    return read_table(Pacs, table, f"pacs {name}" if isinstance(name, str) else "pacs", folder)


def check_pacs(several: tuple[Pacs, ...]) -> None:
    """Refuse two of one name.

    Raises
    ------
    ConfigError
        If so.
    """
    names = [pacs.name for pacs in several]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError("Two PACS have the same name: give each its own.", name=name)


def is_within_hours(hours: str, minute_of_day: int) -> bool:
    """Tell whether a minute of the day lies within ``HH:MM-HH:MM``, which may go over midnight."""
    match = _HOURS.fullmatch(hours)
    if match is None:
        return True
    first, last = int(match[1]) * 60 + int(match[2]), int(match[3]) * 60 + int(match[4])
    if first <= last:
        return first <= minute_of_day < last
    return minute_of_day >= first or minute_of_day < last


def _split(text: str) -> tuple[str, str, int] | None:
    match = re.fullmatch(r"(?P<aet>[ -?A-\[\]-~]{1,16})@(?P<host>[^@]+):(?P<port>\d{1,5})", text)
    if match is None or not match["aet"].strip() or not 0 < int(match["port"]) < 1 << 16:
        return None
    return match["aet"], match["host"].strip("[]"), int(match["port"])


def _problems(pacs: Pacs) -> list[str]:
    problems = []
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", pacs.name):
        problems.append("its name needs 1 to 64 letters, digits, dots, dashes.")
    if not pacs.to and not pacs.dicomweb_url:
        problems.append('say where it is: to = "AET@HOST:PORT" or dicomweb_url.')
    if pacs.to and _split(pacs.to) is None:
        problems.append(f"{pacs.to!r} is not of the form AET@HOST:PORT, e.g. PACS@10.1.2.3:104.")
    if not re.fullmatch(r"[ -\[\]-~]{1,16}", pacs.calling_aet) or not pacs.calling_aet.strip():
        problems.append("calling_aet is no AE title (1 to 16 characters, no backslash).")
    problems += _way_problems(pacs)
    problems += _web_problems(pacs)
    problems += _number_problems(pacs)
    return problems


def _way_problems(pacs: Pacs) -> list[str]:
    problems = []
    if not pacs.to and (pacs.search is Search.CFIND or pacs.retrieve in (Retrieve.CGET, Retrieve.CMOVE)):
        problems.append('DIMSE needs to = "AET@HOST:PORT".')
    if not pacs.dicomweb_url and (pacs.search is Search.QIDO or pacs.retrieve is Retrieve.WADO):
        problems.append("DICOMweb needs dicomweb_url.")
    if not pacs.needs_tls and (pacs.authorities or pacs.certificate):
        problems.append("certificates without TLS do nothing: set tls = true or use https.")
    if (pacs.certificate is None) != (pacs.key is None):
        problems.append("to show a certificate, both certificate and key are needed.")
    return problems


def _web_problems(pacs: Pacs) -> list[str]:
    if not pacs.dicomweb_url:
        return ["token_file is for DICOMweb: set dicomweb_url."] if pacs.token_file else []
    parts = urlsplit(pacs.dicomweb_url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        return ['dicomweb_url is an address such as "https://pacs/dicom-web".']
    if parts.username is not None or parts.password is not None:
        return ["no password in dicomweb_url: use token_file."]
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK and not pacs.allow_http:
        return [
            "http:// to another machine goes over the network as clear text: use https, or allow_http = true."
        ]
    return []


def _number_problems(pacs: Pacs) -> list[str]:
    watch, priors = pacs.watch, pacs.priors
    checks = (
        (min(pacs.timeout_s, pacs.connect_timeout_s) > 0, "timeouts must be above 0 seconds."),
        (1 <= pacs.maximum_matches <= 100_000, "maximum_matches must lie between 1 and 100000."),
        (1 <= pacs.maximum_associations <= 2, "maximum_associations must be 1 or 2."),
        (pacs.studies_per_hour >= 0, "studies_per_hour must not be below 0."),
        (watch.interval_s >= 1, "watch.interval_s must be at least 1."),
        (0 <= watch.look_back_days <= 366, "watch.look_back_days must lie between 0 and 366."),
        (0 <= priors.wait_s <= 3600, "priors.wait_s must lie between 0 and 3600."),
        (1 <= priors.count <= 50, "priors.count must lie between 1 and 50."),
        (priors.maximum_age_days >= 1, "priors.maximum_age_days must be at least 1."),
        (
            not pacs.backfill_hours or _HOURS.fullmatch(pacs.backfill_hours) is not None,
            'backfill_hours is "HH:MM-HH:MM".',
        ),
    )
    return [message for holds, message in checks if not holds]
