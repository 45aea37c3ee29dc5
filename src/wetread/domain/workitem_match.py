"""Whether a workitem is what somebody looks for.

In: attributes, keys (both DICOM JSON; an empty key matches everything).  Out: yes or no.
Never: a key that is left out of account; a pattern that takes long.

References
----------
PS3.4 C.2.2.2 (attribute matching); PS3.5 6.2 (DT with its offset).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from wetread.domain.workitem import Attributes, values_of

_MOMENT = r"\d{4,14}(?:\.\d{1,6})?(?:[+-]\d{4})?"
_ONE, _RANGE = re.compile(_MOMENT), re.compile(f"({_MOMENT})?-({_MOMENT})?")
_PARTS = re.compile(r"(\d{4})(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\d\d)?(?:\.(\d{1,6}))?([+-]\d{4})?")
_EXACT = frozenset({"UI", "DA", "TM", "DT", "AT", "AS", "DS", "IS", "FL", "FD", "SL", "SS", "UL", "US", "UR"})


def matches(attributes: Attributes, keys: Attributes) -> bool:
    """Tell whether attributes match all keys."""
    return all(_matches(attributes, tag, key) for tag, key in keys.items())


def is_moment(text: str) -> bool:
    """Tell whether a text can be compared as a DT, one or a range."""
    return bool(_ONE.fullmatch(text)) or (len(text) > 1 and bool(_RANGE.fullmatch(text)))


def _matches(attributes: Attributes, tag: str, key: Mapping[str, Any]) -> bool:
    wanted = [one for one in key.get("Value", ()) if one not in (None, "", {})]
    if not wanted:
        return True
    held = values_of(attributes, tag)
    if key.get("vr") == "SQ":
        # One item of keys: some item must match all of them.
        asked = wanted[0]
        has_keys = any(values_of(asked, inner) for inner in asked)
        return not has_keys or any(matches(item, asked) for item in held)
    return any(_is_equal(key.get("vr", ""), _text(one), _text(value)) for one in wanted for value in held)


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return "=".join(
            str(value.get(group, "")) for group in ("Alphabetic", "Ideographic", "Phonetic")
        ).rstrip("=")
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()


def _is_equal(vr: str, wanted: str, held: str) -> bool:
    if vr in ("DA", "TM"):
        return _is_within(wanted, held)
    if vr == "DT":
        return _is_moment_within(wanted, held)
    if vr in _EXACT:
        return wanted == held
    if vr == "PN":
        # Case and the order of groups do not count.
        return any(_is_like(wanted.casefold(), group.casefold()) for group in (held, *held.split("=")))
    return _is_like(wanted, held)


def _is_like(pattern: str, text: str) -> bool:
    """Compare with ``*`` and ``?``, in a time that grows with the product of both at most."""
    if "*" not in pattern and "?" not in pattern:
        return pattern == text
    here = mark = 0
    star = -1
    place = 0
    while place < len(text):
        if here < len(pattern) and pattern[here] in ("?", text[place]) and pattern[here] != "*":
            here, place = here + 1, place + 1
        elif here < len(pattern) and pattern[here] == "*":
            star, mark, here = here, place, here + 1
        elif star >= 0:
            mark += 1
            here, place = star + 1, mark
        else:
            return False
    return all(letter == "*" for letter in pattern[here:])


def _is_within(wanted: str, held: str) -> bool:
    low, dash, high = wanted.partition("-")
    if not dash:
        return held.startswith(low) or low.startswith(held)
    return (not low or held[: len(low)] >= low) and (not high or held[: len(high)] <= high)


def _is_moment_within(wanted: str, held: str) -> bool:
    found = _span(held)
    if found is None:
        return False
    if _ONE.fullmatch(wanted):
        asked = _span(wanted)
        return asked is not None and asked[0] <= found[1] and found[0] <= asked[1]
    parts = _RANGE.fullmatch(wanted)
    if parts is None:
        return False
    low, high = (_span(text) if text else None for text in parts.groups())
    is_late = parts[1] is None or (low is not None and found[1] >= low[0])
    is_early = parts[2] is None or (high is not None and found[0] <= high[1])
    return is_late and is_early


def moment_of(text: str) -> datetime | None:
    """Return the beginning of what a DT names, None where it is none."""
    span = _span(text)
    return span[0] if span else None


def _span(text: str) -> tuple[datetime, datetime] | None:
    """Return the first and last moment that a DT may mean; without an offset: on this machine's clock."""
    found = _PARTS.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second, fraction, offset = found.groups()
    try:
        clock = (
            int(hour or 0),
            int(minute or 0),
            min(int(second or 0), 59),
            int((fraction or "0").ljust(6, "0")),
        )
        first = datetime(int(year), int(month or 1), int(day or 1), *clock)  # noqa: DTZ001 - the offset follows
        last = _last(first, (month, day, hour, minute, second, fraction))
        if offset:
            shift = timedelta(hours=int(offset[1:3]), minutes=int(offset[3:])) * (
                -1 if offset[0] == "-" else 1
            )
            return (first - shift).replace(tzinfo=UTC), (last - shift).replace(tzinfo=UTC)
        return first.astimezone(UTC), last.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _last(first: datetime, given: tuple[str | None, ...]) -> datetime:
    month, day, hour, minute, second, fraction = given
    if not month:
        return first.replace(month=12, day=31, hour=23, minute=59, second=59, microsecond=999999)
    if not day:
        following = (first.replace(day=28) + timedelta(days=4)).replace(day=1)
        return following - timedelta(microseconds=1)
    steps = ((hour, timedelta(days=1)), (minute, timedelta(hours=1)), (second, timedelta(minutes=1)))
    for part, step in steps:
        if not part:
            return first + step - timedelta(microseconds=1)
    return first if fraction else first + timedelta(seconds=1) - timedelta(microseconds=1)
