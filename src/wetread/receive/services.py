"""Services beside C-STORE and C-ECHO on the same port: where they are registered.

In: what a service is asked for with, and who answers.  Out: one value for ``start_receiver``.
Never: a service in the fast way (``protocol``), which knows C-STORE and C-ECHO only.

An association that asks for anything else than Storage and Verification goes to pynetdicom as a whole
(``house``), and may C-STORE as well. So a service is what pynetdicom needs to know of it::

    Services(
        contexts=(build_context(StudyRootQueryRetrieveInformationModelFind),),
        handlers=((evt.EVT_C_FIND, answer_find),),
        commands=frozenset({0x0020}),
    )
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from pynetdicom import evt
from pynetdicom.presentation import PresentationContext


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What pynetdicom serves."""

    #: Abstract syntaxes with the transfer syntaxes that are accepted for them.
    contexts: tuple[PresentationContext, ...] = ()
    #: Called in the association's thread.
    handlers: tuple[tuple[evt.EventType, Callable[..., Any]], ...] = ()
    #: Command Fields (PS3.7 E.1) of the messages that peers may send for them: requests, and the responses to
    #: what a handler asks in turn (C-STORE-RSP for C-GET, N-EVENT-REPORT-RSP for storage commitment).
    commands: frozenset[int] = frozenset()


STORAGE_ONLY = Services()


def join(*services: Services) -> Services:
    """Return several services as one; what several of them answer goes by what it is asked for with."""
    asked: dict[evt.EventType, dict[str, Callable[..., Any]]] = {}
    for one in services:
        for kind, handler in one.handlers:
            asked.setdefault(kind, {}).update({str(cx.abstract_syntax): handler for cx in one.contexts})
    return Services(
        contexts=tuple(context for one in services for context in one.contexts),
        handlers=tuple((kind, partial(_route, handlers)) for kind, handlers in asked.items()),
        commands=frozenset[int]().union(*(one.commands for one in services)),
    )


def _route(handlers: Mapping[str, Callable[..., Any]], event: Any) -> Any:
    # A message that none of them knows: pynetdicom answers that its handler failed.
    return handlers[str(event.context.abstract_syntax)](event)
