"""Make a data folder from a backup.

In: a backup, of this version or an earlier one, and its keys; a folder that is empty or not there.
Out: a data folder, as encrypted as the backup.
Never: a file before its sha256 was checked; a name of the backup trusted; half a data folder under its name.

What was made after the backup is not known to it. A result has the same UID whenever it is sent, so sending
it again changes nothing; what was read after the backup is read, and sent, anew.
"""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

from sqlalchemy import Engine

from wetread.domain.audit import Actor, AuditAction, AuditEvent, AuditEventType
from wetread.errors import ConfigError, StorageError
from wetread.store.audit import Audit
from wetread.store.blobs import storage_error, sync_folder
from wetread.store.chain import End, read_key, write_end
from wetread.store.database import connect
from wetread.store.dump import load_tables
from wetread.store.inside import Inside
from wetread.store.keys import NOTES_NAME, Keyring, write_key_notes
from wetread.store.manifest import Manifest, copy_hashed, find_damage, read_manifest
from wetread.store.migration import check_known, migrate, read_revision
from wetread.store.restore_keys import check_keys, open_table
from wetread.store.schema import audit_head


def restore(
    backup: Path,
    data: Path,
    now: datetime,
    *,
    by: str,
    database_url: str = "",
    audit_key: Path | None = None,
    keyring: Keyring | None = None,
) -> Manifest:
    """Make a data folder from a backup; returns what was restored.

    Parameters
    ----------
    database_url
        SQLAlchemy URL of an empty database; ``""``: SQLite in the data folder.
    audit_key
        Where the audit trail's key lies, if not in the data folder.
    keyring
        The keys that open what is encrypted in it.

    Raises
    ------
    ConfigError
        If the folder or the database is not empty, a newer version made the backup, or a key is missing.
    StorageError
        If the backup is damaged, or a disk refuses; nothing is left under the folder's name.
    """
    source = Inside(backup)
    manifest = read_manifest(source)
    check_known(manifest.revision)
    damage = find_damage(source, manifest)
    if damage:
        raise StorageError("The backup is damaged: nothing was restored.", files=len(damage), first=damage[0])
    needed = check_keys(source, manifest, keyring)
    data = data.resolve()
    if data.exists() and (not data.is_dir() or any(data.iterdir())):
        raise ConfigError("The folder to restore into must be empty or not there.", data=data)
    part = data.with_name(f".{data.name}.restoring")
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True, mode=0o700)
        engine = connect(database_url or f"sqlite:///{part / 'index.sqlite'}")
        try:
            _fill(source, manifest, part, engine, keyring)
            if needed:
                write_key_notes(part, needed)
            _go_on(engine, part, audit_key, manifest, by, now)
        finally:
            engine.dispose()
        sync_folder(part)
        part.replace(data)
        sync_folder(data.parent)
    except OSError as error:
        raise storage_error(error) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return manifest


def _fill(source: Inside, manifest: Manifest, part: Path, engine: Engine, keyring: Keyring | None) -> None:
    if read_revision(engine) is not None:
        raise ConfigError("The database to restore into must be empty.")
    target = Inside(part)
    for name, entry in manifest.files.items():
        if name.startswith("tables/") or name == NOTES_NAME:
            continue
        with source.open(name) as held, target.write(name) as file:
            if copy_hashed(held, file) != (entry.sha256, entry.size):
                raise StorageError("A file changed while it was restored.", file=name)
    migrate(engine, manifest.revision)
    with ExitStack() as stack, engine.begin() as connection:
        files = [
            (table, stack.enter_context(open_table(source, name, keyring)))
            for table, name in manifest.tables.items()
        ]
        load_tables(connection, files)
    migrate(engine)
    for copy in part.glob("index.sqlite.before-*"):
        copy.unlink()


def _go_on(
    engine: Engine, part: Path, audit_key: Path | None, manifest: Manifest, by: str, now: datetime
) -> None:
    """Let the audit trail go on behind its last restored entry, and say in it what happened."""
    key_file, head_file = audit_key or part / "audit.key", part / "audit.head"
    key = read_key(key_file)
    with engine.connect().execution_options(read_only=True) as connection:
        head = connection.execute(audit_head.select()).first()
    if key is None and head is not None and head.sequence:
        # Its key is kept elsewhere: put it back; `wetread audit verify` tells what is missing.
        return
    if key is not None and head is not None and head.sequence:
        write_end(head_file, key, End(sequence=head.sequence, digest=head.digest))
    Audit(engine, key_file, head_file).record(
        AuditEvent(
            type=AuditEventType.IMPORT,
            action=AuditAction.CREATE,
            at=now,
            description=f"Restored from a backup of {manifest.made_at}, made by version {manifest.wetread}.",
            actors=(Actor(user_id=by, is_requestor=True),),
        )
    )
