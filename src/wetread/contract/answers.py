"""What every answer has in common: pages of a list, errors.

In: nothing.  Out: values.  Never: an error without a code.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A part of a list, newest first; what arrives meanwhile never moves what follows."""

    #: Cursor of the next page, to be sent as ``after``; null at the end.
    after: str | None = None
    #: Address of the next page; null at the end, and where the question stood in a body.
    next: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorDetail:
    """One thing that is wrong with a request."""

    #: E.g. ``query limit`` or ``body rules 0``.
    where: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why something was not done."""

    #: For programs, e.g. ``not-found``.
    code: str
    #: For people: what to do.
    message: str
    details: tuple[ErrorDetail, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemSaid:
    """What stood in the way of a reading: docs/reference/problems.md explains each code."""

    code: str
    message: str
    #: False: the reading stands with this limit.
    refuses: bool = True
