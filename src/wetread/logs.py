"""The one place where logging is set up: a line for each record, on standard error.

In: records of ours and of libraries.  Out: time, level, place, sentence.
Never: the text of an exception, of a warning or of another library's record: those quote what they were
given, and what we are given are patients.

A sentence of ours is shown, with values that are numbers, codes and names of types. Of everything else only
what happened (the type) and where (file, line, function) is shown.
"""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

_OURS = "wetread"
#: Frames of a traceback that are shown, the innermost.
_FRAMES = 12


class Line(logging.Formatter):
    """Formats a record as one line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        parts = [at, record.levelname, record.name, _sentence(record)]
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            parts.append(describe(error))
        # One record is one line, whatever stands in it.
        return " ".join("".join(c if c.isprintable() else "?" for c in part) for part in parts)


def set_up_logging(level: int = logging.WARNING) -> None:
    """Send everything that is logged, warned of or not caught to standard error, without patients in it."""
    screen = logging.StreamHandler()
    screen.setFormatter(Line())
    root = logging.getLogger()
    root.handlers[:] = [screen]
    root.setLevel(level)
    logging.captureWarnings(True)
    sys.excepthook = _on_uncaught
    threading.excepthook = _on_uncaught_in_thread
    sys.unraisablehook = _on_unraisable


def describe(error: BaseException) -> str:
    """Return what went wrong and where, without its text."""
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    places = " < ".join(
        f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in reversed(frames)
    )
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    because = f"; because {describe(cause)}" if cause is not None else ""
    return f"{type(error).__name__} at {places or 'an unknown place'}{because}"


def _sentence(record: logging.LogRecord) -> str:
    if record.name != _OURS and not record.name.startswith(f"{_OURS}."):
        return f"(a text of this library is not shown) {record.filename}:{record.lineno} {record.funcName}"
    arguments = record.args if isinstance(record.args, tuple) else (record.args,)
    shown = tuple(type(one).__name__ if isinstance(one, BaseException) else one for one in arguments)
    return str(record.msg) % shown if record.args else str(record.msg)


def _on_uncaught(kind: type[BaseException], error: BaseException, _traceback: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    logging.getLogger(_OURS).critical("Not caught: %s", describe(error))


def _on_uncaught_in_thread(arguments: threading.ExceptHookArgs) -> None:
    if arguments.exc_value is not None and not isinstance(arguments.exc_value, SystemExit):
        logging.getLogger(_OURS).critical("Not caught in a thread: %s", describe(arguments.exc_value))


def _on_unraisable(arguments: Any) -> None:
    if arguments.exc_value is not None:
        logging.getLogger(_OURS).error("Not raised: %s", describe(arguments.exc_value))
