"""The configuration as one value.

In: ``wetread.toml`` and command line options.  Out: ``Config``, checked.
Never: a global; a default password; a guess at a misspelled word.
"""

from __future__ import annotations

import ipaddress
import tomllib
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from wetread.deliver.destination import Destination, parse_destination, read_destination
from wetread.errors import ConfigError, UnsafeBinding
from wetread.match import Rule, default_rules, parse_rules

#: Keys of ``wetread.toml`` and the field each sets.
_TABLES: dict[str, dict[str, type | tuple[type, ...]]] = {
    "dicom": {"aet": str, "host": str, "port": int, "allowed_aets": list, "maximum_associations": int},
    "web": {"host": str, "port": int},
    "hl7": {"host": str, "port": int},
    "study": {"quiet_s": (int, float)},
}
_TOP_LEVEL = {"data": str, "destinations": list, "rules": list, "models": list}


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything that ``wetread serve`` needs to know."""

    #: Folder of index, images and results.
    data: Path = Path("wetread-data")
    aet: str = "WETREAD"
    dicom_host: str = "127.0.0.1"
    dicom_port: int = 11112
    #: Calling AE titles that may send; empty: all (loopback only).
    allowed_aets: tuple[str, ...] = ()
    maximum_associations: int = 32
    http_host: str = "127.0.0.1"
    http_port: int = 8080
    hl7_host: str = "127.0.0.1"
    #: MLLP listener for messages to us; None: none.
    mllp_port: int | None = None
    #: A study is complete when nothing more came for this time, unless a rule says otherwise.
    quiet_s: float = 10.0
    destinations: tuple[Destination, ...] = ()
    rules: tuple[Rule, ...] = field(default_factory=default_rules)
    #: Folders of model packages beside the built-in ones.
    model_folders: tuple[Path, ...] = ()


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
    _check_words(content)
    dicom, web, hl7 = (content.get(table, {}) for table in ("dicom", "web", "hl7"))
    given: dict[str, Any] = {
        "data": path.parent / content["data"] if "data" in content else None,
        "aet": dicom.get("aet"),
        "dicom_host": dicom.get("host"),
        "dicom_port": dicom.get("port"),
        "allowed_aets": tuple(dicom["allowed_aets"]) if "allowed_aets" in dicom else None,
        "maximum_associations": dicom.get("maximum_associations"),
        "http_host": web.get("host"),
        "http_port": web.get("port"),
        "hl7_host": hl7.get("host"),
        "mllp_port": hl7.get("port"),
        "quiet_s": content.get("study", {}).get("quiet_s"),
        "destinations": tuple(read_destination(one) for one in content.get("destinations", [])),
        "rules": parse_rules(content["rules"]) if "rules" in content else None,
        "model_folders": tuple(path.parent / folder for folder in content.get("models", [])),
    }
    return override(Config(), given)


def override(config: Config, given: dict[str, Any]) -> Config:
    """Return the configuration with each value that is given (not None) in its place."""
    return replace(config, **{name: value for name, value in given.items() if value is not None})


def add_destinations(config: Config, texts: list[str]) -> Config:
    """Return the configuration with destinations given as ``AET@HOST:PORT`` added."""
    more = tuple(parse_destination(text) for text in texts)
    return replace(config, destinations=config.destinations + more)


def check_config(config: Config) -> None:
    """Refuse what would be unsafe or cannot work.

    Raises
    ------
    UnsafeBinding
        If anything listens beyond loopback: that needs users, which this version does not have.
    ConfigError
        If two destinations have one name or a number is out of range.
    """
    for host in (config.dicom_host, config.http_host, config.hl7_host):
        if not _is_loopback(host):
            raise UnsafeBinding(
                "This version listens on loopback only, since it has no users yet: use 127.0.0.1,"
                " and a tunnel from other machines.",
                host=host,
            )
    names = [destination.name for destination in config.destinations]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError("Two destinations have the same name: give each its own.", name=name)
    if not 0 < config.quiet_s <= 86400:
        raise ConfigError("study.quiet_s must lie between 0 and 86400.", quiet_s=config.quiet_s)
    if not 1 <= len(config.aet) <= 16:
        raise ConfigError("An AE title has 1 to 16 characters.", aet=config.aet)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check_words(content: dict[str, Any]) -> None:
    known = [*_TOP_LEVEL, *_TABLES]
    for name, value in content.items():
        if name not in known:
            raise _unknown(name, "", known)
        if name not in _TABLES:
            _check_type(name, value, _TOP_LEVEL[name])
            continue
        _check_type(name, value, dict)
        for key, item in value.items():
            if key not in _TABLES[name]:
                raise _unknown(key, f" in [{name}]", list(_TABLES[name]))
            _check_type(f"{name}.{key}", item, _TABLES[name][key])


def _check_type(name: str, value: Any, expected: type | tuple[type, ...]) -> None:
    if not isinstance(value, expected) or isinstance(value, bool):
        words = " or ".join(
            one.__name__ for one in (expected if isinstance(expected, tuple) else (expected,))
        )
        raise ConfigError(f"{name} must be of type {words}, not {type(value).__name__}.")


def _unknown(word: str, where: str, known: list[str]) -> ConfigError:
    near = get_close_matches(word, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}."
    return ConfigError(f"Unknown word {word!r}{where}: {hint}")
