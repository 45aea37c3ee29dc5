"""Nothing is sent before the association's own thread stands still: it would swallow the answer."""

from __future__ import annotations

import threading

from wetread.dicom.checkpoint import Checkpoint


class Reactor(threading.Thread):
    """Goes past the checkpoint, works until let on, and stops at it."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.checkpoint = Checkpoint(self)
        self.works, self.is_let_on = threading.Event(), threading.Event()

    def run(self) -> None:
        self.checkpoint.wait()
        self.works.set()
        assert self.is_let_on.wait(30)
        self.checkpoint.wait()


def clear(reactor: Reactor) -> threading.Event:
    """Clear in a thread; returns an event that is set when that is done."""
    done = threading.Event()
    threading.Thread(target=lambda: (reactor.checkpoint.clear(), done.set()), daemon=True).start()
    return done


def test_it_is_clear_when_the_thread_waits() -> None:
    reactor = Reactor()
    reactor.start()
    assert reactor.works.wait(30)
    done = clear(reactor)
    assert not done.wait(0.2)
    reactor.is_let_on.set()
    assert done.wait(30)
    assert reactor.is_alive()
    reactor.checkpoint.set()
    reactor.join(30)
    assert not reactor.is_alive()


def test_a_thread_that_ends_is_not_waited_for() -> None:
    reactor = Reactor()
    reactor.start()
    reactor.is_let_on.set()
    reactor.join(30)
    assert clear(reactor).wait(30)
