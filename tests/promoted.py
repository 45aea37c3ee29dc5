"""Packages of tests that are live without a validation: as if somebody had promoted them long ago.

In: a store, package folders.  Out: rows.  Never: an entry in audit trail or history, which tests count.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from sqlalchemy import insert, select

from tests.stores import open_store
from wetread.domain.lifecycle import Cause, ModelState
from wetread.domain.model import Model
from wetread.registry import read_package
from wetread.store import Store, schema


def make_live(store: Store, *models: Model) -> None:
    """Have versions become live one after the other, unless something is known of them."""
    table = schema.model_change
    with store.engine.begin() as connection:
        known = set(connection.execute(select(table.c.digest)).scalars())
        before: dict[str, Model] = {}
        for model in models:
            name = model.identity.name
            if model.identity.digest in known:
                continue
            if name in before:
                connection.execute(
                    insert(table).values(_row(before[name], ModelState.VALIDATED, Cause.REPLACED))
                )
            connection.execute(insert(table).values(_row(model, ModelState.LIVE, Cause.PROMOTED)))
            before[name] = model


def make_shadow(store: Store, *models: Model) -> None:
    """Have versions be in the shadow."""
    with store.engine.begin() as connection:
        for model in models:
            row = _row(model, ModelState.SHADOW, Cause.PROMOTED)
            connection.execute(insert(schema.model_change).values(row))


def make_configured_live(config: Path, data: Path) -> None:
    """Have the packages be live that a wetread.toml names and whose authors call them so."""
    named = tomllib.loads(config.read_text()).get("models", [])
    models = [read_package(config.parent / folder) for folder in named]
    live = [model for model in models if model.state == ModelState.LIVE]
    if live:
        store = open_store(data)
        make_live(store, *live)
        store.close()


def _row(model: Model, state: ModelState, cause: Cause) -> dict[str, Any]:
    one = model.identity
    return {
        "name": one.name,
        "version": one.version,
        "digest": one.digest,
        "state": state.value,
        "cause": cause.value,
        "in_service": True,
        "at": 0.0,
        "who": "test",
        "why": "A test reads with it.",
        "report_digest": "",
    }
