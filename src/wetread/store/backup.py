"""Copy a data folder while a service works on it.

In: a store, a folder that is empty or holds an earlier backup of it.  Out: a whole backup, verified.
Never: an image without its row or a row without its image; keys of files, certificates, who is signed in;
a row in plain text where a key is configured; the earlier backup damaged before the new one is whole.

First the rows, in one snapshot. A file is in place before its row is, so every file is there then, unless
its study is deleted meanwhile: then the rows are taken anew. The engine's database is not needed: the index
is the truth, and what is due begins again.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, cast

from wetread import __version__
from wetread.domain.shadow import ShadowState
from wetread.errors import StorageError
from wetread.sealed import SealedWriter
from wetread.store.blobs import storage_error
from wetread.store.dump import dump_table, dumped_tables, snapshot
from wetread.store.inside import Inside
from wetread.store.keys import NOTES_NAME, encode_key_notes, read_key_notes
from wetread.store.manifest import (
    FileEntry,
    Manifest,
    copy_hashed,
    find_damage,
    read_manifest,
    write_manifest,
)
from wetread.store.migration import newest_revision
from wetread.store.shadows import shadow_key
from wetread.store.store import Store

#: So often rows are taken anew because studies were deleted meanwhile.
_TRIES = 5
#: Of the data folder itself: the key of the audit trail, if it lies there.
_SINGLE = ("audit.key",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a backup did."""

    files: int
    copied: int
    #: Files that the index knows and that are gone from the data folder.
    missing: int


def back_up(store: Store, out: Path, now: datetime) -> Report:
    """Make a backup, or bring an earlier one up to date.

    Raises
    ------
    StorageError
        If a disk refuses, a link lies in the way, or what was copied does not read back.
    """
    try:
        out.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder = Inside(out)
        descriptor = os.open(out, os.O_RDONLY | os.O_DIRECTORY)
        try:
            # Two at once would remove each other's files.
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            return _back_up(store, folder, now)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise storage_error(error) from error


def verify_backup(out: Path) -> list[str]:
    """Return what is wrong with a backup, one sentence each; every file is read."""
    folder = Inside(out)
    return find_damage(folder, read_manifest(folder))


def _back_up(store: Store, folder: Inside, now: datetime) -> Report:
    earlier = _earlier(folder)
    gone_before: set[str] = set()
    noted = set(read_key_notes(store.data))
    for _try in range(_TRIES):
        tables, entries, wanted = _dump(store, folder)
        copied, kept, gone = _copy_all(store, folder, wanted, earlier)
        earlier = {**earlier, **copied}
        # Gone twice, and still known to the index: it is lost, not deleted meanwhile.
        if gone <= gone_before:
            break
        gone_before = gone
    else:
        raise StorageError("Too much is being deleted: make the backup again later.")
    # Before and after: keys may be changed meanwhile.
    noted.update(read_key_notes(store.data))
    if noted:
        with folder.write(NOTES_NAME) as file:
            file.write(encode_key_notes(noted).encode())
        entries[NOTES_NAME] = _enter(folder, NOTES_NAME)
    manifest = Manifest(
        wetread=__version__,
        revision=newest_revision(),
        made_at=now.isoformat(),
        tables=tables,
        files={**entries, **kept, **copied},
        missing=tuple(sorted(gone)),
    )
    fresh = replace(manifest, files={**entries, **copied})
    damage = find_damage(folder, fresh)
    if damage:
        raise StorageError("The backup does not read back as it was written.", first=damage[0])
    write_manifest(folder, manifest)
    for name in folder.iter_names():
        if name not in manifest.files and name != "manifest.json":
            folder.remove(name)
    return Report(files=len(manifest.files), copied=len(copied), missing=len(gone))


def _earlier(folder: Inside) -> dict[str, FileEntry]:
    try:
        return dict(read_manifest(folder).files)
    except StorageError:
        # None yet, or one that cannot be trusted: everything is copied.
        return {}


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Collects the files that rows need."""

    store: Store
    names: set[str] = field(default_factory=set)

    def see(self, table: str, row: Any) -> None:
        """Note the file that a row of a table stands for."""
        store = self.store
        if table == "instance":
            self._add(store.intake.instances.path(row["sop_instance_uid"]))
        elif table == "conflict":
            key = f"{row['sop_instance_uid']} {row['content_digest']}"
            self._add(store.intake.conflicts.path(key))
        elif table == "reading":
            self._add(store.readings.blobs.path(row["digest"]))
        elif table == "document":
            self._add(store.readings.documents.path(row["content_digest"]))
        elif table == "shadow_reading" and row["state"] != ShadowState.WAITING.value:
            key = shadow_key(row["study_instance_uid"], row["revision"], row["model_digest"])
            self._add(store.shadows.blobs.path(key))

    def _add(self, path: Path) -> None:
        self.names.add(str(path.relative_to(self.store.data)))


def _dump(store: Store, folder: Inside) -> tuple[dict[str, str], dict[str, FileEntry], set[str]]:
    """Write all rows; returns table -> file, file -> entry, and the files that the rows need."""
    number = secrets.token_hex(8)
    wanted, vault = _Wanted(store), replace(store.vault, root=folder.root)
    tables, entries = {}, {}
    with snapshot(store.engine) as connection:
        for table in dumped_tables():
            name = f"tables/{number}-{table.name}.jsonl"
            seal = vault.seal(folder.root / name)
            with folder.write(name) as file:
                sink = SealedWriter(file, seal) if seal else file
                dump_table(connection, table, cast(BinaryIO, sink), partial(wanted.see, table.name))
                if isinstance(sink, SealedWriter):
                    sink.finish()
            tables[table.name] = name
            entries[name] = _enter(folder, name)
    # What was set aside has no row.
    aside = {str(path.relative_to(store.data)) for path in store.intake.conflicts.iter_paths()}
    single = {name for name in _SINGLE if (store.data / name).is_file()}
    return tables, entries, wanted.names | aside | single


def _enter(folder: Inside, name: str) -> FileEntry:
    with folder.open(name) as file:
        sha256, size = copy_hashed(file, None)
    return FileEntry(sha256=sha256, size=size)


def _copy_all(
    store: Store, folder: Inside, names: Iterable[str], earlier: dict[str, FileEntry]
) -> tuple[dict[str, FileEntry], dict[str, FileEntry], set[str]]:
    """Return what was copied, what was there already, and what is gone."""
    copied, kept, gone = {}, {}, set()
    data = Inside(store.data)
    for name in sorted(names):
        try:
            with data.open(name) as source:
                held = os.fstat(source.fileno())
                entry = earlier.get(name)
                if entry is not None and _is_same(folder, name, entry, held):
                    kept[name] = entry
                    continue
                with folder.write(name) as target:
                    sha256, size = copy_hashed(source, target)
            copied[name] = FileEntry(sha256=sha256, size=size, mtime_ns=held.st_mtime_ns)
        except FileNotFoundError:
            gone.add(name)
    return copied, kept, gone


def _is_same(folder: Inside, name: str, entry: FileEntry, held: os.stat_result) -> bool:
    if (entry.size, entry.mtime_ns) != (held.st_size, held.st_mtime_ns):
        return False
    try:
        with folder.open(name) as file:
            return os.fstat(file.fileno()).st_size == entry.size
    except FileNotFoundError:
        return False
