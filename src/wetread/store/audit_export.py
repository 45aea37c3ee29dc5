"""A part of the audit trail in a file of its own, which can be verified without the index.

In: the index; a file.  Out: the file; findings.  Never: a file whose end can be cut off unseen.

One JSON object a line. The first says what follows: the entry before, the last entry, and an HMAC over both.
Each other one is an entry with its number, message and digest.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, select

from wetread.errors import StorageError
from wetread.store import schema
from wetread.store.audit import Audit
from wetread.store.audit_rows import iter_entries
from wetread.store.audit_verify import Finding, Progress, snapshot, verify_entries
from wetread.store.chain import End, genesis, read_key

_FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    sequence: int
    message: str
    digest: str


def export_entries(
    audit: Audit, out: Path, since: datetime | None = None, until: datetime | None = None
) -> int:
    """Write the entries of a time to a file; returns how many.

    Parameters
    ----------
    since, until
        From the first entry not before ``since`` to the last one before ``until``; None: no limit.

    Raises
    ------
    StorageError
        If there is no key, or the file exists.
    """
    key = read_key(audit.key_file)
    if key is None:
        raise StorageError("There is no audit key: nothing can be exported.")
    with snapshot(audit.engine) as connection:
        first, last = _range(connection, since, until)
        after = _end_at(connection, first - 1, key)
        end = _end_at(connection, last, key) if last >= first else after
        try:
            with out.open("x", encoding="utf-8") as file:
                file.write(json.dumps(_head(key, audit.source, after, end)) + "\n")
                for entry in iter_entries(connection, first, last):
                    line = {"sequence": entry.sequence, "digest": entry.digest, "message": entry.message}
                    file.write(json.dumps(line) + "\n")
        except OSError as error:
            raise StorageError("The export cannot be written.", reason=type(error).__name__) from error
    return end.sequence - after.sequence


def verify_export(path: Path, key_file: Path) -> Iterator[Finding]:
    """Check an export; yields what is wrong with it.

    Raises
    ------
    StorageError
        If it cannot be read, is no export, or there is no key.
    """
    key = read_key(key_file)
    if key is None:
        raise StorageError("There is no audit key: name the data folder or the configuration it came from.")
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            head = _parse(file.readline())
            after, end = _ends(head)
            if not hmac.compare_digest(str(head.get("mac")), _mac(key, head)):
                yield Finding(sequence=0, what="the first line was changed, or it belongs to another key")
            progress = Progress(end=after)
            yield from verify_entries(key, map(_line, file), progress)
            if progress.end != end:
                yield Finding(
                    sequence=0,
                    what=f"it ends with entry {progress.end.sequence}, not with entry {end.sequence}",
                )
    except OSError as error:
        raise StorageError("The export cannot be read.", reason=type(error).__name__) from error


def _range(connection: Connection, since: datetime | None, until: datetime | None) -> tuple[int, int]:
    table = schema.audit
    first, last = select(func.min(table.c.sequence)), select(func.max(table.c.sequence))
    if since is not None:
        first = first.where(table.c.at >= since.timestamp())
    if until is not None:
        last = last.where(table.c.at < until.timestamp())
    found = connection.execute(last).scalar_one() or 0
    return connection.execute(first).scalar_one() or found + 1, found


def _end_at(connection: Connection, sequence: int, key: bytes) -> End:
    query = select(schema.audit.c.digest).where(schema.audit.c.sequence == sequence)
    digest = connection.execute(query).scalar_one_or_none()
    return End(sequence=sequence, digest=digest) if digest else genesis(key)


def _head(key: bytes, source: str, after: End, end: End) -> dict[str, Any]:
    head: dict[str, Any] = {
        "wetread_audit": _FORMAT,
        "source": source,
        "exported_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "after": [after.sequence, after.digest],
        "end": [end.sequence, end.digest],
    }
    return head | {"mac": _mac(key, head)}


def _mac(key: bytes, head: dict[str, Any]) -> str:
    covered = json.dumps({name: value for name, value in head.items() if name != "mac"}, sort_keys=True)
    return hmac.new(key, b"export\n" + covered.encode(), hashlib.sha256).hexdigest()


def _parse(line: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except ValueError:
        value = None
    return value if isinstance(value, dict) else {}


def _ends(head: dict[str, Any]) -> tuple[End, End]:
    try:
        after, end = (
            End(sequence=int(head[name][0]), digest=str(head[name][1])) for name in ("after", "end")
        )
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise StorageError("This is no export of an audit trail: its first line is not one.") from error
    return after, end


def _line(text: str) -> _Line:
    """Return the entry of a line; what is none becomes one that cannot stand in the chain."""
    value = _parse(text)
    sequence = value.get("sequence")
    return _Line(
        sequence=sequence if isinstance(sequence, int) else 0,
        message=str(value.get("message")),
        digest=str(value.get("digest")),
    )
