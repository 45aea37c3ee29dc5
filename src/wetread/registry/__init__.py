"""The models that are there: package folders to ``Model`` values.

In: folders with a ``model.toml``.  Out: ``Model``, checked; its digest.
Never: a model's code imported or run, a misspelled word passed over.
"""

from wetread.registry.package import package_digest, read_models, read_package

__all__ = ["package_digest", "read_models", "read_package"]
