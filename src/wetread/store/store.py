"""The store as one value: each part with its own questions.

In: a data folder, optionally a database URL.  Out: ``Store``.  Never: a half-open store.
"""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from wetread.errors import ConfigError, IndexUnavailable, StorageError
from wetread.store.accounts import Accounts
from wetread.store.alerts import Alerts
from wetread.store.asked import AskedReadings
from wetread.store.audit import Audit
from wetread.store.backfills import Backfills
from wetread.store.blobs import Blobs, storage_error, sync_folder
from wetread.store.catalogue import Catalogue
from wetread.store.changes import Changes
from wetread.store.cipher import Vault
from wetread.store.commitments import Commitments
from wetread.store.database import open_database
from wetread.store.deliveries import Deliveries
from wetread.store.fetches import Fetches
from wetread.store.flow import Flows
from wetread.store.history import History
from wetread.store.holds import Holds
from wetread.store.intake import PATIENCE_S, Intake
from wetread.store.keys import EncryptionSettings, check_keys, read_key_notes, read_keyring
from wetread.store.late_priors import LatePriors
from wetread.store.model_states import ModelStates
from wetread.store.notices import Notices
from wetread.store.operating_points import OperatingPoints
from wetread.store.pacs_states import PacsStates
from wetread.store.pages import Pages
from wetread.store.promises import Promises
from wetread.store.purposes import Purposes
from wetread.store.queue import Queue
from wetread.store.reading_list import ReadingList
from wetread.store.readings import Readings
from wetread.store.reports import Reports
from wetread.store.room import Room
from wetread.store.saved_views import SavedViews
from wetread.store.settling import Settlings
from wetread.store.shadows import Shadows
from wetread.store.slices import Slices
from wetread.store.space import Space
from wetread.store.studies import Studies
from wetread.store.subscriptions import Subscriptions
from wetread.store.tokens import Tokens
from wetread.store.turnaround import Turnarounds
from wetread.store.workers import Workers
from wetread.store.workitems import Workitems


@dataclass(frozen=True, slots=True)
class Store:
    """Everything that must survive."""

    data: Path
    engine: Engine
    intake: Intake
    studies: Studies
    readings: Readings
    catalogue: Catalogue
    deliveries: Deliveries
    pages: Pages
    fetches: Fetches
    pacs: PacsStates
    purposes: Purposes
    backfills: Backfills
    history: History
    notices: Notices
    promises: Promises
    commitments: Commitments
    accounts: Accounts
    tokens: Tokens
    audit: Audit
    holds: Holds
    vault: Vault
    workers: Workers
    workitems: Workitems
    subscriptions: Subscriptions
    asked: AskedReadings
    model_states: ModelStates
    operating_points: OperatingPoints
    room: Room
    changes: Changes
    settlings: Settlings
    slices: Slices
    reports: Reports
    turnarounds: Turnarounds
    flows: Flows
    alerts: Alerts
    reading_list: ReadingList
    saved_views: SavedViews
    late_priors: LatePriors
    shadows: Shadows
    queue: Queue
    #: What may be thrown away at any time.
    scratch: Blobs
    #: For files in passing, cleared at each start.
    work: Path
    _locks: list[IO[str]] = field(default_factory=list)

    def own(self) -> None:
        """Become the only service on this data folder, until this process ends.

        Raises
        ------
        ConfigError
            If another service holds it.
        """
        lock = (self.data / "lock").open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.close()
            raise ConfigError(
                "Another wetread service runs on this data folder: stop it or choose another folder.",
                data=self.data,
            ) from error
        self.keep_open(lock)
        self.note_key(lock)
        # What lies here was never acknowledged.
        for path in self.intake.incoming.iterdir():
            path.unlink()
        for path in self.scratch.iter_paths():
            path.unlink()
        shutil.rmtree(self.work)
        self.work.mkdir(mode=0o700)
        # What was stored before encryption was turned on.
        self.accounts.renew_secrets()

    def note_key(self, lock: IO[str]) -> None:
        """Write into the lock of the data folder which key we use: ``keys rotate`` asks."""
        lock.truncate(0)
        lock.write(self.vault.key_id)
        lock.flush()

    def keep_open(self, lock: IO[str]) -> None:
        """Hold a locked file until ``close``."""
        self._locks.append(lock)

    def close(self) -> None:
        """Close the database connections."""
        self.engine.dispose()
        for lock in self._locks:
            lock.close()


#: Parts that need nothing but the index.
_OF_THE_INDEX: Mapping[str, Callable[[Engine], Any]] = MappingProxyType(
    {
        "deliveries": Deliveries,
        "pages": Pages,
        "fetches": Fetches,
        "pacs": PacsStates,
        "purposes": Purposes,
        "queue": Queue,
        "backfills": Backfills,
        "history": History,
        "notices": Notices,
        "commitments": Commitments,
        "tokens": Tokens,
        "workers": Workers,
        "workitems": Workitems,
        "subscriptions": Subscriptions,
        "asked": AskedReadings,
        "slices": Slices,
        "turnarounds": Turnarounds,
        "flows": Flows,
        "reading_list": ReadingList,
        "saved_views": SavedViews,
        "late_priors": LatePriors,
    }
)


def open_store(
    data: Path,
    database_url: str = "",
    audit_key: Path | None = None,
    encryption: EncryptionSettings | None = None,
    reserve_mb: int = 0,
) -> Store:
    """Open or create the store in a data folder.

    Parameters
    ----------
    database_url
        SQLAlchemy URL; ``""`` means SQLite in ``data/index.sqlite``.
    audit_key
        File of the audit trail's key; None means ``data/audit.key``.
    encryption
        Where the key of the data folder comes from. None: only the index is wanted; where files are
        encrypted they cannot be read or written.
    reserve_mb
        Below this much free room on the disk no image is taken, in MiB; 0: until the disk refuses.

    Raises
    ------
    ConfigError
        If a key that the data folder needs is missing or cannot be had.
    StorageError
        If the data folder cannot be made or written.
    """
    # Absolute: other processes with another working folder get paths from us.
    data = data.resolve()
    vault, engine = _open(data, database_url, encryption)
    audit = Audit(engine, audit_key or data / "audit.key", data / "audit.head")
    instances = Blobs(data / "instances", vault, ".dcm")
    documents = Blobs(data / "documents", vault)
    readings = Readings(engine, Blobs(data / "readings", vault, ".zip"), documents)
    return Store(
        data=data,
        engine=engine,
        intake=_make_intake(engine, instances, vault, Space(data, reserve_mb)),
        studies=Studies(engine, instances),
        readings=readings,
        catalogue=Catalogue(engine, instances, documents),
        promises=Promises(engine, instances),
        accounts=Accounts(engine, vault),
        audit=audit,
        holds=Holds(engine, audit),
        vault=vault,
        model_states=ModelStates(engine, audit),
        operating_points=OperatingPoints(engine, audit),
        room=Room(engine, audit),
        changes=Changes(engine, audit, readings),
        settlings=Settlings(engine, audit, readings),
        reports=Reports(engine, audit, readings),
        alerts=Alerts(engine, audit),
        shadows=Shadows(engine, Blobs(data / "shadows", vault, ".zip")),
        scratch=Blobs(data / "scratch", vault, ".npy"),
        work=data / "work",
        **{name: part(engine) for name, part in _OF_THE_INDEX.items()},
    )


def _make_intake(engine: Engine, instances: Blobs, vault: Vault, space: Space) -> Intake:
    data = space.folder
    conflicts = Blobs(data / "conflicts", vault, ".dcm")
    patient = engine.execution_options(patience_s=PATIENCE_S)
    return Intake(patient, instances, conflicts, data / "incoming", space)


def _open(data: Path, database_url: str, encryption: EncryptionSettings | None) -> tuple[Vault, Engine]:
    try:
        _make_folders(data)
        vault = open_vault(data, encryption)
        return vault, open_database(database_url or f"sqlite:///{data / 'index.sqlite'}")
    except OSError as error:
        raise storage_error(error) from error
    except IndexUnavailable as error:
        if database_url:
            raise
        message = (
            "The index cannot be opened or written: give the data folder room, mount it for writing,"
            " and let this user write to it."
        )
        raise StorageError(message, reason=str(error.__cause__)) from error
    except DBAPIError as error:
        raise StorageError("The index cannot be opened or written.", reason=str(error.orig)) from error


def open_vault(data: Path, encryption: EncryptionSettings | None) -> Vault:
    """Return what opens and seals the files of a data folder; ``encryption`` as in ``open_store``."""
    if encryption is None:
        return Vault(data, is_locked=bool(read_key_notes(data)))
    keyring = read_keyring(encryption)
    check_keys(data, keyring)
    return Vault(data, keyring, encryption.refuse_plain)


def _make_folders(data: Path) -> None:
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name in ("incoming", "work", "instances", "conflicts", "readings", "documents", "shadows"):
        (data / name).mkdir(exist_ok=True, mode=0o700)
    # Always, not only after making them: whoever made them may have been killed before this.
    sync_folder(data)
    sync_folder(data.parent)
