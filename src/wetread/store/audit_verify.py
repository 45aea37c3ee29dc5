"""Look for every change of the audit trail: edited, removed, added, moved, cut off.

In: the index or a copy of it, the key, the note of the end, an outside copy.  Out: findings.
Never: a change of what is looked at; the whole trail in memory.

What each check is for:

- the chain: edits, additions, exchanged and removed entries,
- the columns for looking up: edits that hide an entry from a search,
- ``audit_head`` and ``audit.head``: entries cut off at the end,
- entries that say so themselves: a trail that was cut while the service ran, and that has grown since,
- an outside copy (export, collector): an older state of the whole data folder put back.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, func, select
from sqlalchemy.exc import SQLAlchemyError

from wetread.dicom.audit_message import summarize
from wetread.errors import IndexUnavailable, StorageError
from wetread.store import schema
from wetread.store.audit import TRAIL_BROKEN
from wetread.store.audit_rows import Entry, iter_entries
from wetread.store.chain import End, genesis, next_digest, read_end, read_key

_COLLECTED = re.compile(r'sequence="(\d{1,18})" digest="([0-9a-f]{64})"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is not as it was written."""

    #: The entry; 0: the trail as a whole.
    sequence: int
    what: str

    def __str__(self) -> str:
        """Return one line."""
        return f"{f'entry {self.sequence}' if self.sequence else 'trail'}: {self.what}"


@dataclass(slots=True)
class Progress:
    """How far a check came."""

    end: End


def verify_entries(key: bytes, entries: Iterable[Any], progress: Progress) -> Iterator[Finding]:
    """Follow the chain; yields what breaks it.

    Parameters
    ----------
    entries
        Things with ``sequence``, ``message`` and ``digest``, as they come.
    progress
        The end before the first of them; afterwards the last one.
    """
    for entry in entries:
        before, number = progress.end, entry.sequence
        if number != before.sequence + 1:
            yield _gap(before.sequence, number)
        yield from _check_entry(key, before.digest, entry)
        # As stored: so the next finding is the next change, not the rest of the chain.
        progress.end = End(sequence=number, digest=str(entry.digest))


def verify_index(engine: Engine, key_file: Path, head_file: Path) -> Iterator[Finding]:
    """Check the trail in an index; yields what is wrong.

    Raises
    ------
    StorageError
        If the key or the note of the end cannot be read.
    """
    key = read_key(key_file)
    # Before the table: it may lag behind, never lead.
    noted, fault = _read_noted(head_file, key)
    try:
        with snapshot(engine) as connection:
            if key is None:
                yield from _without_key(connection)
                return
            if fault:
                yield Finding(sequence=0, what=fault)
            yield from _verify_table(connection, key, noted, head_file)
    except (SQLAlchemyError, IndexUnavailable) as error:
        # A missing table and a text that is none look to the driver as if the index were away.
        cause = str(error.__cause__ or getattr(error, "orig", error)).splitlines()[0][:200]
        yield Finding(sequence=0, what=f"the index cannot be read to the end ({cause})")


def verify_against(engine: Engine, copy: Path) -> Iterator[Finding]:
    """Compare the trail with an outside copy: an export, or what the collector wrote.

    Raises
    ------
    StorageError
        If the copy cannot be read or holds no entries, or the index cannot be read.
    """
    try:
        with snapshot(engine) as connection:
            yield from _compare(connection, copy)
    except (SQLAlchemyError, OSError) as error:
        raise StorageError("Index or copy cannot be read.", reason=type(error).__name__) from error


def _compare(connection: Connection, copy: Path) -> Iterator[Finding]:
    query = select(schema.audit.c.digest)
    last = connection.execute(select(func.max(schema.audit.c.sequence))).scalar_one() or 0
    for sequence, digest in _iter_copied(copy):
        one = query.where(schema.audit.c.sequence == sequence)
        here = connection.execute(one).scalar_one_or_none() if sequence <= last else None
        if here is None:
            yield Finding(sequence=sequence, what="the copy has it, the trail has not")
        elif here != digest:
            yield Finding(sequence=sequence, what="the copy says something else")


def _iter_copied(copy: Path) -> Iterator[tuple[int, str]]:
    found = 0
    with copy.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            pairs = _COLLECTED.findall(line) or _exported(line)
            found += len(pairs)
            yield from ((int(sequence), digest) for sequence, digest in pairs)
    if not found:
        raise StorageError("The copy holds no entries: give an export or a collector's log.")


def _exported(line: str) -> list[tuple[int, str]]:
    try:
        one = json.loads(line)
        return [(int(one["sequence"]), str(one["digest"]))]
    except (ValueError, KeyError, TypeError):
        return []


def _check_entry(key: bytes, previous: str, entry: Any) -> Iterator[Finding]:
    message, number = entry.message, entry.sequence
    if not isinstance(message, str) or next_digest(key, previous, number, message) != entry.digest:
        yield Finding(sequence=number, what="it was changed, added, moved, or does not follow the one before")
        return
    try:
        found = summarize(message)
    except ValueError:
        yield Finding(sequence=number, what="it is no audit message")
        return
    if found.subtype == TRAIL_BROKEN:
        yield Finding(sequence=number, what="it says that the trail was tampered with before: read it")
    if isinstance(entry, Entry):
        for column in ("at", "event", "actor", "study_instance_uid"):
            if getattr(entry, column) != getattr(found, column):
                yield Finding(sequence=number, what=f"column {column} does not say what the message says")


def _verify_table(
    connection: Connection, key: bytes, noted: End | None, head_file: Path
) -> Iterator[Finding]:
    progress = Progress(end=genesis(key))
    seen = noted is None or noted == progress.end

    def watch() -> Iterator[Entry]:
        nonlocal seen
        for entry in iter_entries(connection):
            seen = seen or (
                noted is not None and (entry.sequence, entry.digest) == (noted.sequence, noted.digest)
            )
            yield entry

    yield from verify_entries(key, watch(), progress)
    end = progress.end
    if noted is not None and noted.sequence > end.sequence:
        yield _gap(end.sequence, noted.sequence + 1, f" at the end: {head_file.name} knows of them")
    elif not seen and noted is not None:
        yield Finding(sequence=noted.sequence, what=f"it is not the one that {head_file.name} knows")
    if noted is None and end.sequence and not head_file.exists():
        yield Finding(
            sequence=0, what=f"{head_file.name} is gone: whether the end was cut off cannot be told"
        )
    yield from _verify_head(connection, end)
    if not end.sequence:
        yield from _empty(connection)


def _verify_head(connection: Connection, end: End) -> Iterator[Finding]:
    rows = connection.execute(select(schema.audit_head)).all()
    expected = (end.sequence, end.digest if end.sequence else "")
    if len(rows) != 1 or (rows[0].sequence, rows[0].digest) != expected:
        yield Finding(sequence=0, what="audit_head is not the last entry")
    elif not 0 <= rows[0].forwarded <= end.sequence:
        yield Finding(sequence=0, what="audit_head says that more was forwarded than there is")


def _empty(connection: Connection) -> Iterator[Finding]:
    used = connection.execute(select(func.count()).select_from(schema.event)).scalar_one()
    if used:
        yield Finding(sequence=0, what="it is empty, though the history is not: all entries were removed")


def _without_key(connection: Connection) -> Iterator[Finding]:
    if connection.execute(select(func.count()).select_from(schema.audit)).scalar_one():
        yield Finding(sequence=0, what="the key is gone: nothing can be verified without it")
    else:
        yield from _empty(connection)


def _read_noted(head_file: Path, key: bytes | None) -> tuple[End | None, str]:
    if key is None:
        return None, ""
    try:
        return read_end(head_file, key), ""
    except ValueError:
        return None, f"{head_file.name} was changed or belongs to another key"


def _gap(before: int, number: int, more: str = "") -> Finding:
    first, last = before + 1, number - 1
    if last < first:
        return Finding(sequence=number, what="it stands where it does not belong")
    which = "it is missing" if first == last else f"{first} to {last} are missing"
    return Finding(sequence=first, what=which + more)


@contextmanager
def snapshot(engine: Engine) -> Iterator[Connection]:
    """Yield a connection that sees one state, while the service goes on."""
    options: dict[str, Any] = {"read_only": True}
    if engine.dialect.name == "postgresql":
        options["isolation_level"] = "REPEATABLE READ"
    with engine.connect().execution_options(**options) as connection:
        yield connection
