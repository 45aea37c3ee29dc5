"""The store as one value: each part with its own questions.

In: a data folder, optionally a database URL.  Out: ``Store``.  Never: a half-open store.
"""

from __future__ import annotations
