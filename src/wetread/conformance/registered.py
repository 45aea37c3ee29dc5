"""What the program serves, as it is registered.

In: the composition root, with the configuration that nobody wrote.  Out: SOP classes with their transfer
syntaxes, resources of DICOMweb.  Never: a table of its own.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts
from pynetdicom import build_context
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from wetread.config import Config
from wetread.served import make_services
from wetread.store import Store, open_store
from wetread.web import create_web

#: Below these stand the resources of PS3.18.
_DICOMWEB = ("/dicom-web", "/wado")


def list_served() -> dict[str, tuple[str, ...]]:
    """Return the SOP classes that are served beside Storage, with the transfer syntaxes that are accepted."""
    with _store() as store:
        contexts = (build_context(Verification), *make_services(Config(), store).contexts)
    return {
        str(one.abstract_syntax): tuple(map(str, one.transfer_syntax or ()))
        for one in contexts
        if one.abstract_syntax is not None
    }


def list_resources() -> dict[str, str]:
    """Return the operations of DICOMweb with what each does."""
    with _store() as store:
        return {
            f"{method} {route.path}": (route.endpoint.__doc__ or "").strip().partition("\n")[0]
            for route in _routes(create_web(store, ()))
            for method in sorted(route.methods or ())
        }


def _routes(app: FastAPI) -> Iterator[APIRoute]:
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        if isinstance(route, APIRoute) and route.path.startswith(_DICOMWEB):
            yield route


@contextmanager
def _store() -> Iterator[Store]:
    with tempfile.TemporaryDirectory(prefix="wetread-") as folder:
        store = open_store(Path(folder))
        try:
            yield store
        finally:
            store.close()
