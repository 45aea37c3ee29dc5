"""What every command speaks through.

In: nothing.  Out: the console for people, and the signal to stop.
Never: answers for programs (those go to stdout).
"""

from __future__ import annotations

import signal
import threading

from rich.console import Console

#: People read this, programs read stdout.
console = Console(stderr=True)


def stop_signal() -> threading.Event:
    """Return an event that Ctrl-C and SIGTERM set."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop
