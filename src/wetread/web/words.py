"""Stored values in the words that pages show.

In: DICOM strings, numbers, times.  Out: short texts.  Never: markup.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from functools import lru_cache

_SEXES = {"F": "female", "M": "male", "O": "other"}
_UNIT_SIGNS = {"mm2": "mm²", "mm3": "mm³", "[hnsf'U]": "HU", "d": "days", "1": ""}
#: Below this age months say more.
_MONTHS_BELOW_YEARS = 2
_MINUTE_S, _HOURS = 60, 24


def format_name(person_name: str) -> str:
    """Return a PN value (PS3.5 section 6.2) for people, e.g. ``"Yamada, Tarou (山田, 太郎)"``."""
    groups = [_format_group(group) for group in person_name.split("=")]
    names = [name for name in groups[:2] if name]
    if not names:
        return "no name"
    return f"{names[0]} ({names[1]})" if len(names) > 1 else names[0]


def _format_group(group: str) -> str:
    parts = [part.strip() for part in group.split("^")]
    return join_words([parts[0], join_words(parts[1:3], " ")], ", ")


def format_date(text: str) -> str:
    """Return a DA value as ``2026-11-23``; what is no date as it is."""
    day = parse_date(text)
    return day.isoformat() if day else text


def format_day(text: str, now: datetime) -> str:
    """Return a DA value as ``"today"`` or ``"yesterday"`` (local time), earlier ones like ``format_date``."""
    day = parse_date(text)
    days_ago = (now.astimezone().date() - day).days if day else None
    return {0: "today", 1: "yesterday"}.get(days_ago if days_ago is not None else -1, format_date(text))


@lru_cache(4096)
def parse_date(text: str) -> date | None:
    """Return a DA value, None where it is none."""
    try:
        return datetime.strptime(text, "%Y%m%d").replace(tzinfo=UTC).date()
    except ValueError:
        return None


def format_age(birth_date: str, on: date) -> str:
    """Return the age on a day, e.g. ``"64 y"`` or ``"7 mo"``; ``""`` where unknown."""
    born = parse_date(birth_date)
    if born is None or born > on:
        return ""
    months = (on.year - born.year) * 12 + on.month - born.month - (on.day < born.day)
    return f"{months // 12} y" if months >= 12 * _MONTHS_BELOW_YEARS else f"{months} mo"


def format_sex(text: str) -> str:
    """Return the word for a code of Patient's Sex (0010,0040)."""
    return _SEXES.get(text.strip().upper(), text)


def format_time(seconds: float) -> str:
    """Return a moment (seconds since 1970) as local ``2026-11-23 08:31:05``."""
    return datetime.fromtimestamp(seconds, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def format_seconds(seconds: float) -> str:
    """Return a duration as somebody who waits wants it, e.g. ``"4 s"``, ``"3 min 10 s"``, ``"2 h 5 min"``."""
    whole = max(0, round(seconds))
    if whole < _MINUTE_S:
        return f"{whole} s"
    if whole < _MINUTE_S**2:
        minutes, rest = divmod(whole, _MINUTE_S)
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(whole // _MINUTE_S, _MINUTE_S)
    days, hours = divmod(hours, _HOURS)
    return f"{days} d {hours} h" if days else f"{hours} h {minutes} min"


def format_count(count: int, one: str, many: str = "") -> str:
    """Return e.g. ``"1 image"`` or ``"3 images"``."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def format_unit(ucum: str) -> str:
    """Return the usual sign of a UCUM unit."""
    return _UNIT_SIGNS.get(ucum, ucum)


def join_words(parts: Sequence[str], separator: str = " · ") -> str:
    """Join the parts that say something."""
    return separator.join(part for part in parts if part)
