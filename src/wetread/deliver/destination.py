"""Where results go.

In: ``AET@HOST:PORT`` or a TOML table.  Out: ``Destination``.
Never: a destination with a misspelt setting that is silently ignored.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from wetread.domain.document import DICOM_KINDS, HL7_KINDS, DocumentKind
from wetread.errors import ConfigError
from wetread.network import ClientTls


class DestinationKind(StrEnum):
    """How a destination is spoken to."""

    CSTORE = "cstore"
    MLLP = "mllp"


class Verify(StrEnum):
    """How it is checked that a document landed."""

    NONE = "none"
    #: C-FIND, study root, by SOP Instance UID.
    CFIND = "cfind"
    #: QIDO-RS at ``qido_url``.
    QIDO = "qido"
    #: Storage commitment: it must say that it keeps it.
    COMMITMENT = "commitment"


_PATHS = frozenset({"authorities", "certificate", "key"})
_DEFAULT_KINDS = {
    DestinationKind.CSTORE: tuple(sorted(DICOM_KINDS)),
    DestinationKind.MLLP: tuple(sorted(HL7_KINDS)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """One system that gets results."""

    name: str
    kind: DestinationKind
    host: str
    port: int
    #: The AE title that the destination listens to; ``""`` for MLLP.
    aet: str = ""
    #: The AE title that we call ourselves.
    calling_aet: str = "WETREAD"
    #: What it gets; not given: all DICOM kinds by C-STORE, both messages by MLLP.
    kinds: tuple[DocumentKind, ...] = ()
    verify: Verify = Verify.NONE
    #: Base of the DICOMweb service, e.g. ``http://pacs:8042/dicom-web``.
    qido_url: str = ""
    #: Speak TLS; the certificate must be for ``host`` and by one of the authorities.
    tls: bool = False
    #: PEM: who may vouch for the destination, also for ``qido_url``; None: the authorities of this machine.
    authorities: Path | None = None
    #: PEM: what we show to a destination that asks who we are.
    certificate: Path | None = None
    key: Path | None = None
    #: With ``verify = "commitment"``: longest wait for a report before it is asked again, in s.
    commitment_s: float = 3600.0
    #: Longest wait for the connection.
    connect_timeout_s: float = 10.0
    #: Longest wait for one answer.
    timeout_s: float = 60.0

    def __post_init__(self) -> None:
        """Fill in the kinds and check what belongs together."""
        if not self.kinds:
            object.__setattr__(self, "kinds", _DEFAULT_KINDS[self.kind])
        for problem in _problems(self):
            raise ConfigError(f"Destination {self.name!r}: {problem}")

    @property
    def client_tls(self) -> ClientTls:
        """Whom we believe and what we show, where TLS is spoken."""
        return ClientTls(authorities=self.authorities, certificate=self.certificate, key=self.key)

    @property
    def needs_tls(self) -> bool:
        """Whether anything of it goes over TLS."""
        return self.tls or self.qido_url.startswith("https://")


def _problems(destination: Destination) -> list[str]:
    problems = []
    if not 0 < destination.port < 65536:
        problems.append(f"port {destination.port} is not between 1 and 65535.")
    if destination.kind is DestinationKind.CSTORE:
        problems += _dicom_problems(destination)
    elif destination.verify is not Verify.NONE:
        problems.append('messages cannot be asked for afterwards: set verify = "none".')
    elif set(destination.kinds) - HL7_KINDS:
        problems.append('by MLLP go messages: set kinds = ["oru", "result"], or one of them.')
    if not destination.needs_tls and (destination.authorities or destination.certificate):
        problems.append("certificates without TLS do nothing: set tls = true.")
    if (destination.certificate is None) != (destination.key is None):
        problems.append("to show a certificate, both certificate and key are needed.")
    if min(destination.timeout_s, destination.connect_timeout_s, destination.commitment_s) <= 0:
        problems.append("timeouts must be above 0 seconds.")
    return problems


def _dicom_problems(destination: Destination) -> list[str]:
    problems = [
        f"{title!r} is not an AE title (1 to 16 characters, no backslash)."
        for title in (destination.aet, destination.calling_aet)
        if not _is_ae_title(title)
    ]
    if set(destination.kinds) - DICOM_KINDS:
        wrong = ", ".join(sorted(set(destination.kinds) - DICOM_KINDS))
        problems.append(f"{wrong} cannot go by C-STORE: only DICOM kinds can.")
    if destination.verify is Verify.QIDO and not destination.qido_url.startswith(("http://", "https://")):
        problems.append('verify = "qido" needs qido_url, e.g. "http://pacs:8042/dicom-web".')
    return problems


def _is_ae_title(text: str) -> bool:
    # PS3.5 6.2, VR AE: default repertoire without backslash and control characters, not only spaces.
    return bool(re.fullmatch(r"[ -\[\]-~]{1,16}", text)) and bool(text.strip())


def parse_destination(text: str, name: str = "", calling_aet: str = "WETREAD") -> Destination:
    """Return the C-STORE destination that ``AET@HOST:PORT`` names.

    Raises
    ------
    ConfigError
        If it is not of this form.
    """
    match = re.fullmatch(r"(?P<aet>[^@]+)@(?P<host>[^@]+):(?P<port>\d{1,5})", text)
    if match is None:
        raise ConfigError(f"{text!r} is not of the form AET@HOST:PORT, e.g. ORTHANC@127.0.0.1:4242.")
    return Destination(
        name=name or text,
        kind=DestinationKind.CSTORE,
        aet=match["aet"],
        host=match["host"].strip("[]"),
        port=int(match["port"]),
        calling_aet=calling_aet,
        # Acknowledged is not stored: ask, unless the configuration says that one cannot.
        verify=Verify.CFIND,
    )


def read_destination(table: Mapping[str, Any], folder: Path = Path()) -> Destination:
    """Return the destination that a TOML table describes.

    The keys are ``Destination``'s fields; ``to = "AET@HOST:PORT"`` may stand for ``kind``, ``aet``, ``host``
    and ``port``. Paths are relative to ``folder``.

    Raises
    ------
    ConfigError
        If a setting is unknown, missing or wrong.
    """
    settings = dict(table)
    name = settings.pop("name", "")
    if not isinstance(name, str) or not name:
        raise ConfigError("A destination without a name: give it one.")
    address = settings.pop("to", None)
    if address is not None:
        parsed = parse_destination(str(address), name)
        settings = {"kind": "cstore", "aet": parsed.aet, "host": parsed.host, "port": parsed.port} | settings
    if settings.get("kind") == "cstore":
        settings.setdefault("verify", "cfind")
    types = {field.name: field for field in dataclasses.fields(Destination) if field.name != "name"}
    for key in settings:
        if key not in types:
            raise ConfigError(
                f"Destination {name!r}: unknown setting {key!r}{_hint(key, ['name', 'to', *types])}."
            )
    for key in ("kind", "host", "port"):
        if key not in settings:
            raise ConfigError(f"Destination {name!r}: {key} is missing.")
    values = {key: _value(name, key, value) for key, value in settings.items()}
    for key in _PATHS & values.keys():
        values[key] = folder / Path(values[key]).expanduser()
    return Destination(name=name, **values)


def _value(name: str, key: str, value: Any) -> Any:
    enums = {"kind": DestinationKind, "verify": Verify}
    if key in enums:
        return _choice(name, key, enums[key], value)
    if key == "kinds":
        if not isinstance(value, list):
            raise ConfigError(f"Destination {name!r}: kinds must be a list.")
        return tuple(_choice(name, key, DocumentKind, item) for item in value)
    expected: tuple[type, ...] = (str,)
    if key == "port":
        expected = (int,)
    elif key.endswith("_s"):
        expected = (int, float)
    elif key == "tls":
        expected = (bool,)
    if not isinstance(value, expected) or (isinstance(value, bool) and key != "tls"):
        raise ConfigError(f"Destination {name!r}: {key} must be {expected[0].__name__}, it is {value!r}.")
    return float(str(value)) if key.endswith("_s") else value


def _choice(name: str, key: str, choices: type[StrEnum], value: Any) -> StrEnum:
    known = [choice.value for choice in choices]
    if value not in known:
        one_of = ", ".join(known)
        raise ConfigError(f"Destination {name!r}: {key} {value!r} is none of {one_of}{_hint(value, known)}.")
    return choices(value)


def _hint(word: object, known: list[str]) -> str:
    close = difflib.get_close_matches(str(word), known, n=1)
    return f", did you mean {close[0]!r}?" if close else ""
