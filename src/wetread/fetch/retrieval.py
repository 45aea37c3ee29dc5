"""Fetch objects of one study, whichever way.

In: a ``Pacs``, what is wanted, who takes it in.  Out: ``Retrieval``: what the PACS said of it.
Never: an object past ``Taking`` (or past our own port, for C-MOVE); a stop that nobody notices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from wetread.errors import PeerError

#: Instances named in one request.
MOST_NAMED = 100


class FetchStopped(PeerError):
    """Something more urgent has come, or we stop: it is fetched later."""

    code = "fetch-stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is wanted of a study."""

    study_instance_uid: str
    #: Series -> instances of it that are missing; None: the whole study.
    missing: Mapping[str, Sequence[str]] | None = None
    #: Of what is to come, as far as it is known.
    sop_class_uids: frozenset[str] = frozenset()

    def iter_requests(self, most_named: int = MOST_NAMED) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Yield series and instances of each request; ``""``: of the whole study."""
        if self.missing is None:
            yield "", ()
            return
        for series, uids in self.missing.items():
            for start in range(0, len(uids), most_named):
                yield series, tuple(uids[start : start + most_named])


@dataclass(slots=True, kw_only=True)
class Retrieval:
    """What a PACS said of its sub-operations, added up."""

    completed: int = 0
    failed: int = 0
    warning: int = 0
    #: The first status that was no success; ``""``: none.
    status: str = ""


@dataclass(frozen=True, slots=True)
class Stopper:
    """Tells a transfer to end."""

    is_asked: Callable[[], bool] = lambda: False

    def check(self) -> None:
        """Raise where it is asked to end.

        Raises
        ------
        FetchStopped
            If so.
        """
        if self.is_asked():
            raise FetchStopped
