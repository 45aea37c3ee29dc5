"""The models that are there: package folders to ``Model`` values.

In: folders with a ``model.toml``.  Out: ``Model``, checked; its digest.
Never: a model's code imported or run, a misspelled word passed over.
"""

from wetread.registry.package import (
    package_digest,
    package_folder,
    read_models,
    read_package,
    read_packages,
)

__all__ = ["package_digest", "package_folder", "read_models", "read_package", "read_packages"]
