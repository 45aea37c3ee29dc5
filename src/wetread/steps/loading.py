"""What a revision covers, and how a model's process reaches it.

In: a store, a study's UID, a revision.  Out: domain values; keys of files.
Never: a key that opens another study.
"""

from __future__ import annotations

from wetread.domain.study import Series, Study
from wetread.store import Store


def load_revision(store: Store, study: str, revision: int) -> Study:
    """Return a study as a revision covers it, or raise KeyError."""
    begun = store.studies.get_revision(study, revision)
    held = store.studies.load(study, limit=begun.instance_count, revision=revision)
    if held is None:
        raise KeyError(study)
    return held


def find_keys(store: Store, series: Series) -> tuple[str, ...]:
    """Return what opens each file of a series, as ``ReadJob.keys``; (): nothing is encrypted."""
    vault = store.vault
    return tuple(vault.find_key(one.path) for one in series.instances) if vault.keyring else ()
