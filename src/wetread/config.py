"""The configuration as one value.

In: ``wetread.toml`` and command line options.  Out: ``Config``, checked.
Never: a global; a default password; a guess at a misspelled word.

Each table is a dataclass (``settings.read_table``): that of a part that lies below is the part's own.
"""

from __future__ import annotations

import ipaddress
import tomllib
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from wetread.deliver.alarm import AlertSettings
from wetread.deliver.destination import Destination, Verify, parse_destination, read_destination
from wetread.deliver.retry import RetryPlan
from wetread.deliver.syslog import AuditSettings, read_collector
from wetread.errors import ConfigError, UnsafeBinding
from wetread.fetch.pacs import Pacs, check_pacs, read_pacs
from wetread.identity.settings import OidcSettings, SignInSettings
from wetread.match import Rule, default_rules, parse_rules
from wetread.network import ClientTls, ServerTls, is_loopback_name, make_server_tls
from wetread.receive.admission import Guests, Peer, check_addresses, check_guests
from wetread.registry.settings import RegistrySettings
from wetread.settings import read_table, unknown_word
from wetread.store.keys import EncryptionSettings
from wetread.store.retention import Policy, RetentionSettings
from wetread.store.settings import StoreSettings
from wetread.worklist import ReadingListSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class DicomSettings:
    """``[dicom]``: how we listen for images."""

    aet: str = "WETREAD"
    host: str = "127.0.0.1"
    port: int = 11112
    #: Calling AE titles that may send, from anywhere.
    allowed_aets: tuple[str, ...] = ()
    #: Systems that may send, bound to address and certificate; neither: all (loopback only).
    peers: tuple[Peer, ...] = ()
    #: TLS: our certificate and key; with authorities everybody must show a certificate by one of them.
    certificate: Path | None = None
    key: Path | None = None
    authorities: Path | None = None
    #: Certificates that the authorities have taken back (a CRL).
    revoked: Path | None = None
    maximum_associations: int = 32
    maximum_instance_mb: int = 4096

    @property
    def tls(self) -> ServerTls | None:
        """How the port speaks TLS; None: it does not."""
        return make_server_tls("dicom", self.certificate, self.key, self.authorities, self.revoked)

    @property
    def client_tls(self) -> ClientTls:
        """How associations that we open to peers speak TLS."""
        return ClientTls(
            authorities=self.authorities, certificate=self.certificate, key=self.key, revoked=self.revoked
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSettings:
    """``[web]``: where the pages are."""

    host: str = "127.0.0.1"
    port: int = 8080
    #: Names, beside those of this machine for itself, under which browsers may ask for the pages.
    allowed_hosts: tuple[str, ...] = ()
    #: A proxy in front of us takes HTTPS and says for whom (X-Forwarded-For, X-Forwarded-Proto).
    behind_proxy: bool = False
    #: Addresses or networks of that proxy: nobody else is believed.
    trusted_proxies: tuple[str, ...] = ("127.0.0.1", "::1")
    #: HTTPS by ourselves.
    certificate: Path | None = None
    key: Path | None = None
    sign_in: SignInSettings = field(default_factory=SignInSettings)
    #: None: people sign in by password only.
    oidc: OidcSettings | None = None

    @property
    def is_exposed(self) -> bool:
        """Whether anybody beyond this machine can reach the pages."""
        is_named = any(not is_loopback_name(host) for host in self.allowed_hosts)
        return self.behind_proxy or is_named or not is_loopback_name(self.host)

    @property
    def tls(self) -> ServerTls | None:
        """How the pages speak HTTPS; None: they do not."""
        return make_server_tls("web", self.certificate, self.key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hl7Settings:
    """``[hl7]``: how we listen for messages."""

    host: str = "127.0.0.1"
    #: MLLP listener for messages to us; None: none.
    port: int | None = None
    #: Addresses or networks that may send; empty: any (loopback only, or with TLS and authorities).
    allowed_addresses: tuple[str, ...] = ()
    #: Fingerprints or names of certificates that may send; empty: each by one of the authorities.
    allowed_certificates: tuple[str, ...] = ()
    certificate: Path | None = None
    key: Path | None = None
    authorities: Path | None = None
    revoked: Path | None = None

    @property
    def tls(self) -> ServerTls | None:
        """How the port speaks TLS; None: it does not."""
        return make_server_tls("hl7", self.certificate, self.key, self.authorities, self.revoked)


@dataclass(frozen=True, slots=True, kw_only=True)
class StudySettings:
    """``[study]``: when a study is read."""

    #: A study is complete when nothing more came for this time, unless a rule says otherwise.
    quiet_s: float = 10.0
    #: A study that was read in these days is read again when an earlier one to compare with comes; 0: never.
    late_prior_days: float = 7.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkSettings:
    """``[work]``: how much one process does."""

    #: Readings at once. 0, where workers share the database: this process leaves them to others.
    readings: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportSettings:
    """``[reports]``: how reports begin."""

    #: Folder of templates, which are looked at before the built-in ones.
    templates: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything that ``wetread serve`` needs to know."""

    #: Folder of index, images and results.
    data: Path = Path("wetread-data")
    dicom: DicomSettings = DicomSettings()
    web: WebSettings = WebSettings()
    hl7: Hl7Settings = Hl7Settings()
    study: StudySettings = StudySettings()
    store: StoreSettings = field(default_factory=StoreSettings)
    work: WorkSettings = WorkSettings()
    delivery: RetryPlan = field(default_factory=RetryPlan)
    registry: RegistrySettings = field(default_factory=RegistrySettings)
    audit: AuditSettings = field(default_factory=AuditSettings)
    retention: RetentionSettings = field(default_factory=RetentionSettings)
    encryption: EncryptionSettings = field(default_factory=EncryptionSettings)
    alerts: AlertSettings = field(default_factory=AlertSettings)
    reading_list: ReadingListSettings = field(default_factory=ReadingListSettings)
    reports: ReportSettings = ReportSettings()
    destinations: tuple[Destination, ...] = ()
    #: Systems that are asked and fetched from.
    pacs: tuple[Pacs, ...] = ()
    rules: tuple[Rule, ...] = field(default_factory=default_rules)
    #: Folders of model packages beside the built-in ones.
    models: tuple[Path, ...] = ()


#: The tables, and the dataclass that describes each.
TABLES: dict[str, type[Any]] = {
    "dicom": DicomSettings,
    "web": WebSettings,
    "hl7": Hl7Settings,
    "study": StudySettings,
    "store": StoreSettings,
    "work": WorkSettings,
    "delivery": RetryPlan,
    "registry": RegistrySettings,
    "audit": AuditSettings,
    "retention": RetentionSettings,
    "encryption": EncryptionSettings,
    "reading_list": ReadingListSettings,
    "reports": ReportSettings,
    "alerts": AlertSettings,
}


def read_config(path: Path) -> Config:
    """Read ``wetread.toml``.

    Raises
    ------
    ConfigError
        If the file is not TOML or holds an unknown or wrong entry; it is named.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path.name} cannot be read: {error}") from error
    return replace(Config(), **{name: _read(name, value, path.parent) for name, value in content.items()})


def read_rule_tables(path: Path) -> list[Any]:
    """Return the ``[[rules]]`` of a wetread.toml, or of a file that holds nothing else, as they are written.

    Raises
    ------
    ConfigError
        If the file is not TOML or has none.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path.name} cannot be read: {error}") from error
    tables = content.get("rules")
    if not isinstance(tables, list) or not tables:
        raise ConfigError("There are no [[rules]] in this file.", file=path)
    return tables


def _read(name: str, value: Any, folder: Path) -> Any:
    if name in TABLES:
        return read_table(TABLES[name], value, name, folder)
    if name == "data":
        _check_type(name, value, str)
        return folder / value
    if name not in ("destinations", "pacs", "rules", "models"):
        raise unknown_word(name, "", [one.name for one in fields(Config)])
    _check_type(name, value, list)
    if name == "destinations":
        return tuple(read_destination(one, folder) for one in value)
    if name == "pacs":
        return tuple(read_pacs(one, folder) for one in value)
    return parse_rules(value) if name == "rules" else tuple(folder / one for one in value)


def override(config: Config, table: str, **given: Any) -> Config:
    """Return the configuration with each value of a table that is given (not None) in its place."""
    values = {name: value for name, value in given.items() if value is not None}
    return replace(config, **{table: replace(getattr(config, table), **values)})


def add_destinations(config: Config, texts: list[str]) -> Config:
    """Return the configuration with destinations given as ``AET@HOST:PORT`` added."""
    more = tuple(parse_destination(text) for text in texts)
    return replace(config, destinations=config.destinations + more)


def retention_policy(config: Config) -> Policy:
    """Return what decides about deleting."""
    asked = {one.name for one in config.destinations if one.verify is not Verify.NONE}
    return Policy(settings=config.retention, asked_destinations=frozenset(asked))


def check_config(config: Config) -> None:
    """Refuse what would be unsafe or cannot work.

    Raises
    ------
    UnsafeBinding
        If anything listens beyond loopback without what that needs.
    ConfigError
        If two destinations have one name or a number is out of range.
    """
    check_web(config.web)
    check_dicom(config.dicom)
    check_hl7(config.hl7)
    read_collector(config.audit)
    check_pacs(config.pacs)
    names = [destination.name for destination in config.destinations]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError("Two destinations have the same name: give each its own.", name=name)
    if not 0 < config.study.quiet_s <= 86400:
        raise ConfigError("study.quiet_s must lie between 0 and 86400.", quiet_s=config.study.quiet_s)
    days, mark = config.retention.days, config.retention.disk_percent
    if days is not None and not 1 <= days <= 36500:
        raise ConfigError("retention.days must lie between 1 and 36500.", days=days)
    if mark is not None and not 0 < mark < 100:
        raise ConfigError("retention.disk_percent must lie between 0 and 100.", disk_percent=mark)
    check_work(config)
    if not 0 <= config.registry.failures_in_a_row <= 1000:
        raise ConfigError("registry.failures_in_a_row must lie between 0 (never) and 1000.")
    if config.models and not config.registry.trusted_keys and exposed_host(config):
        raise UnsafeBinding(
            "Where other machines connect, model packages run only if somebody trusted signed them:"
            " `wetread models sign`, and name the public key in registry.trusted_keys.",
            host=exposed_host(config),
        )


def exposed_host(config: Config) -> str:
    """Return an address beyond this machine that something listens on, ``""`` where nothing does."""
    if config.web.is_exposed:
        return config.web.host
    hosts = (config.dicom.host, config.hl7.host)
    return next((host for host in hosts if not is_loopback_name(host)), "")


def check_dicom(dicom: DicomSettings) -> None:
    """Refuse a door for images that is open to anybody beyond this machine, or that nobody can use.

    Raises
    ------
    UnsafeBinding, ConfigError
    """
    if not 1 <= len(dicom.aet) <= 16:
        raise ConfigError("An AE title has 1 to 16 characters.", aet=dicom.aet)
    if dicom.maximum_associations < 1 or dicom.maximum_instance_mb < 1:
        raise ConfigError("dicom.maximum_associations and dicom.maximum_instance_mb must be at least 1.")
    guests = Guests(aet=dicom.aet, allowed_aets=dicom.allowed_aets, peers=dicom.peers)
    check_guests(guests, has_certificates=dicom.tls is not None and dicom.authorities is not None)
    if not is_loopback_name(dicom.host) and not dicom.allowed_aets and not dicom.peers:
        raise UnsafeBinding(
            "Images from other machines need a list of who may send them: dicom.peers, with addresses and"
            " certificates, or dicom.allowed_aets.",
            host=dicom.host,
        )


def check_hl7(hl7: Hl7Settings) -> None:
    """Refuse a door for messages that is open to anybody beyond this machine.

    Raises
    ------
    UnsafeBinding, ConfigError
    """
    check_addresses("hl7.allowed_addresses", hl7.allowed_addresses)
    tls = hl7.tls
    if hl7.allowed_certificates and (tls is None or tls.authorities is None):
        raise ConfigError("hl7.allowed_certificates needs hl7.certificate, hl7.key and hl7.authorities.")
    if is_loopback_name(hl7.host):
        return
    if tls is None or not (hl7.allowed_addresses or hl7.authorities):
        raise UnsafeBinding(
            "Messages from other machines need TLS (hl7.certificate, hl7.key) and a list of who may send"
            " them: hl7.authorities for their certificates, or hl7.allowed_addresses.",
            host=hl7.host,
        )


def check_work(config: Config) -> None:
    """Refuse a number of readings that nobody could do.

    Raises
    ------
    ConfigError
        If so.
    """
    if not 0 <= config.work.readings <= 64:
        raise ConfigError("work.readings must lie between 0 and 64.", readings=config.work.readings)
    if config.work.readings == 0 and not config.store.is_shared:
        raise ConfigError("work.readings = 0 needs workers that share a database: set store.database.")


def check_web(web: WebSettings) -> None:
    """Refuse pages beyond this machine without what that needs; ``app`` asks for the users besides.

    Raises
    ------
    UnsafeBinding
        If passwords and patients would go over the network as clear text.
    ConfigError
        If no browser could ask for the pages, or a proxy's address is none.
    """
    if web.tls is None and not web.is_exposed:
        return
    if web.tls is None and not web.behind_proxy:
        raise UnsafeBinding(
            "Pages beyond this machine need HTTPS: set web.certificate and web.key, or put a proxy that"
            " speaks it in front and set web.behind_proxy = true, or leave web.host at 127.0.0.1.",
            host=web.host,
        )
    if web.is_exposed and not web.allowed_hosts:
        raise ConfigError("Say under which names browsers ask for the pages: web.allowed_hosts.")
    for proxy in web.trusted_proxies:
        try:
            ipaddress.ip_network(proxy, strict=False)
        except ValueError as error:
            raise ConfigError("web.trusted_proxies holds addresses and networks.", given=proxy) from error


def _check_type(name: str, value: Any, expected: type) -> None:
    if not isinstance(value, expected):
        raise ConfigError(f"{name} must be of type {expected.__name__}, not {type(value).__name__}.")
