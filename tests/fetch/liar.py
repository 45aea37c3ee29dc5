"""A PACS that does not do as it says: it lists what it does not have, and sends what nobody asked for.


In: what it lists, what it sends.  Out: a running SCP.  Never: more lies than it was told to tell.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    CTImageStorage,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
)

from tests.ports import free_port

PENDING = 0xFF00


@dataclass
class Liar:
    """What it tells."""

    port: int = field(default_factory=free_port)
    #: Answers by level.
    listed: dict[str, list[Dataset]] = field(default_factory=dict)
    #: Objects it sends, whatever is asked for.
    sent: list[Dataset] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    #: Called at each C-GET.
    at_get: Callable[[Any], None] = lambda _event: None

    @property
    def to(self) -> str:
        return f"LIAR@127.0.0.1:{self.port}"

    def find(self, event: Any) -> Iterator[tuple[int, Dataset]]:
        level = str(event.identifier.QueryRetrieveLevel)
        self.asked.append(level)
        for ds in self.listed.get(level, []):
            yield PENDING, ds

    def get(self, event: Any) -> Iterator[Any]:
        self.asked.append("GET")
        self.at_get(event)
        yield len(self.sent)
        for ds in self.sent:
            yield PENDING, ds


@contextlib.contextmanager
def running_liar(tls: ssl.SSLContext | None = None) -> Iterator[Liar]:
    """Run it; with ``tls`` it speaks nothing else."""
    liar = Liar()
    ae = AE("LIAR")
    ae.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
    ae.add_supported_context(StudyRootQueryRetrieveInformationModelGet)
    ae.add_supported_context(CTImageStorage, scu_role=True, scp_role=True)
    handlers: list[Any] = [(evt.EVT_C_FIND, liar.find), (evt.EVT_C_GET, liar.get)]
    address = ("127.0.0.1", liar.port)
    server = ae.start_server(address, block=False, evt_handlers=handlers, ssl_context=tls)
    yield liar
    assert server is not None
    server.shutdown()


def answer(**values: Any) -> Dataset:
    """Return an answer to a query."""
    ds = Dataset()
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds
