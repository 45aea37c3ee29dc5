"""Reads of one request on one connection: to fetch one and to begin costs more than most questions.

In: an engine.  Out: a connection to read with, or to write with.
Never: a thread that holds one connection while it waits for another; what was read, kept.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine


class _Here(threading.local):
    """What this thread reads with."""

    #: Whose reads belong together; None: each stands for itself.
    engine: Engine | None = None
    connection: Connection | None = None


_here = _Here()


@contextmanager
def together(engine: Engine) -> Iterator[None]:
    """Let what this thread reads in here be read on one connection, on SQLite as of one moment."""
    if _here.engine is not None:
        yield
        return
    _here.engine = engine
    try:
        yield
    finally:
        _here.engine = None
        let_go()


def let_go() -> None:
    """Give back what this thread reads with: call it before what takes long."""
    connection, _here.connection = _here.connection, None
    if connection is not None:
        connection.close()


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Return a connection to read with: that of ``together``, or one of its own."""
    if _here.engine is not engine:
        with engine.connect().execution_options(read_only=True) as connection:
            yield connection
        return
    if _here.connection is None:
        _here.connection = engine.connect().execution_options(read_only=True)
    try:
        yield _here.connection
    except BaseException:
        # PostgreSQL answers nothing more in a transaction that has failed.
        let_go()
        raise


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Begin a transaction that writes; what ``together`` reads later is read as of then."""
    let_go()
    with engine.begin() as connection:
        yield connection
