"""Entry points of packages: ``module:function``.

In: a model.  Out: what its package names.
Never: code of a package that has changed since it was registered; outside the model's own process.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from wetread.domain.model import Model
from wetread.errors import InvalidPackage
from wetread.registry import package_digest


def load_entry(model: Model, entry: str) -> Callable[..., Any]:
    """Import what a package's entry point names.

    Raises
    ------
    InvalidPackage
        If there is no such thing, or the package is not what it was when it was registered.
    """
    if model.folder:
        check_unchanged(model)
        _open_package(model)
    module_name, _, function_name = entry.partition(":")
    try:
        found: Callable[..., Any] = getattr(importlib.import_module(module_name), function_name)
    except (ImportError, AttributeError, ValueError) as error:
        raise InvalidPackage("The package names an entry point that is not there.", entry=entry) from error
    return found


def check_unchanged(model: Model) -> None:
    """Refuse a package that is not what it was when it was registered.

    Raises
    ------
    InvalidPackage
    """
    if model.folder and package_digest(Path(model.folder)) != model.identity.digest:
        raise InvalidPackage(
            "The package has changed since the service started: restart to register what is there now.",
            model=model.identity.name,
        )


def _open_package(model: Model) -> None:
    # Compiled files are no part of the digest: none is taken from the package, none is left there.
    sys.pycache_prefix = os.devnull
    if model.folder not in sys.path:
        sys.path.insert(0, model.folder)
