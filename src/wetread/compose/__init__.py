"""One Reading becomes documents: SR, SEG, presentation state, key images, text, PDF, HL7.

In: a Reading and the source it was read from.  Out: documents, the same bytes every time.
Never: files beyond the source's header and the images of what has changed, network, the clock, chance.
"""

from wetread.compose.documents import KINDS_WHEN_NOT_READ, compose
from wetread.compose.source import DocumentReference, PlaneSource, Source, read_source
from wetread.compose.uid import COMPOSER_VERSION, derive_instance_uid, derive_series_uid

__all__ = [
    "COMPOSER_VERSION",
    "KINDS_WHEN_NOT_READ",
    "DocumentReference",
    "PlaneSource",
    "Source",
    "compose",
    "derive_instance_uid",
    "derive_series_uid",
    "read_source",
]
