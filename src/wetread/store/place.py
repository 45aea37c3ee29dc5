"""A place of one's own in a data folder that several processes share.

In: a store on PostgreSQL, the name of this process.  Out: the store with folders for files in passing.
Never: a file touched that a living process works on.

What lies in ``incoming``, ``scratch`` and ``work`` was never acknowledged and can be made again. Each
process has its own below ``processes/NAME``, and a lock there that ends with it: whoever comes next clears
away what belongs to nobody.
"""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO

from wetread.errors import ConfigError
from wetread.store.store import Store

_LOCK = "lock"


def take_place(store: Store, name: str) -> Store:
    """Return the store with folders that only this process uses, until ``close``.

    Parameters
    ----------
    name
        Of this process; never used before.

    Raises
    ------
    ConfigError
        If another service has the folder to itself.
    """
    # Shared with our like: who wants the folder alone, or changes its keys, sees that it is in use.
    ours = (store.data / _LOCK).open("a")
    try:
        fcntl.flock(ours, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        ours.close()
        raise ConfigError(
            "A wetread service without a shared database runs on this data folder: stop it.", data=store.data
        ) from error
    store.keep_open(ours)
    store.note_key(ours)
    places = store.data / "processes"
    places.mkdir(exist_ok=True, mode=0o700)
    with _locked(places / _LOCK):
        for place in places.iterdir():
            if place.is_dir() and _is_abandoned(place):
                shutil.rmtree(place)
        mine = places / name
        incoming, scratch, work = (mine / part for part in ("incoming", "scratch", "work"))
        for folder in (mine, incoming, scratch, work):
            folder.mkdir(mode=0o700)
        lock = (mine / _LOCK).open("w")
        fcntl.flock(lock, fcntl.LOCK_EX)
    store.keep_open(lock)
    # What was stored before encryption was turned on.
    store.accounts.renew_secrets()
    return replace(
        store,
        intake=replace(store.intake, incoming=incoming),
        scratch=replace(store.scratch, root=scratch),
        work=work,
    )


def _is_abandoned(place: Path) -> bool:
    try:
        lock = (place / _LOCK).open("r+")
    except FileNotFoundError:
        # Its process ended before it had its lock: nobody else is here, we hold the lock of all places.
        return True
    with lock:
        return _try_lock(lock)


def _try_lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
