"""Group commit: what several threads want made durable at once is made durable together.

In: work of threads that wait.  Out: it is done, or each hears why not.
Never: a wait for company; somebody who waits for a thread that is gone; an error that reaches only one.

The first to come leads: it takes whatever has gathered, commits it and wakes the others. Meanwhile the next
ones gather, and the first of them leads then. So an empty queue costs nothing, and a sync of the disk, which
takes as long for one as for many, is shared by those who came during the one before.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from wetread.errors import StorageError

Work = TypeVar("Work")


@dataclass(slots=True, eq=False)
class _Waiter(Generic[Work]):
    work: Work
    #: Set when it is done, or when this one has to lead.
    woken: threading.Event = field(default_factory=threading.Event)
    is_done: bool = False
    error: Exception | None = None


class Group(Generic[Work]):
    """The threads that commit together."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[_Waiter[Work]] = []
        self._is_led = False

    def commit(self, work: Work, commit: Callable[[Sequence[Work]], None]) -> None:
        """Return when the work is committed.

        Parameters
        ----------
        commit
            Commits the work of several, or none of it. A ``StorageError`` is heard by everybody who waits by
            then: a disk that fails, or an index that is held, fails for those too who came later. After
            anything else each is tried alone, since one of them is at fault.

        Raises
        ------
        Exception
            What ``commit`` raised for this work.
        """
        waiter = _Waiter(work)
        with self._lock:
            self._waiting.append(waiter)
            leads, self._is_led = not self._is_led, True
        if not leads:
            waiter.woken.wait()
        if not waiter.is_done:
            self._lead(commit)
        if waiter.error is not None:
            raise waiter.error

    def _lead(self, commit: Callable[[Sequence[Work]], None]) -> None:
        batch = self._gather()
        error = _try(commit, batch)
        if isinstance(error, StorageError):
            batch += self._gather()
        for waiter in batch:
            is_own = error is None or isinstance(error, StorageError) or len(batch) == 1
            waiter.error = error if is_own else _try(commit, [waiter])
            waiter.is_done = True
        self._hand_on()
        for waiter in batch:
            waiter.woken.set()

    def _gather(self) -> list[_Waiter[Work]]:
        with self._lock:
            batch, self._waiting = self._waiting, []
            return batch

    def _hand_on(self) -> None:
        with self._lock:
            if self._waiting:
                self._waiting[0].woken.set()
            else:
                self._is_led = False


def _try(commit: Callable[[Sequence[Work]], None], batch: Sequence[_Waiter[Work]]) -> Exception | None:
    try:
        commit([one.work for one in batch])
    except Exception as error:  # noqa: BLE001 - raised again by whose it is
        return error
    return None
