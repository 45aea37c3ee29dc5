"""What a test of a connection found.

In: nothing.  Out: values.  Never: what the other end said in its own words.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One way to reach a system, tried."""

    #: E.g. ``"C-ECHO"``.
    way: str
    works: bool
    #: A sentence.
    words: str
