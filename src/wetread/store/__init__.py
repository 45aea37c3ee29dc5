"""The index, the blobs and the history: what must survive.

In: domain values and bytes.  Out: the same, after a crash too.
Never: SQL or data paths anywhere else; a success before the disk has it.
"""

from wetread.store.store import Store, open_store

__all__ = ["Store", "open_store"]
