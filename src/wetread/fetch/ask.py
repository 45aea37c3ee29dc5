"""One PACS, whichever protocols it speaks.

In: a ``Pacs``.  Out: what asks it, and objects fetched by the configured way.
Never: another way than the configured one.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from wetread.fetch.find import open_dimse_finder
from wetread.fetch.found import Finder
from wetread.fetch.pacs import Pacs, Retrieve, Search
from wetread.fetch.qido import open_web_finder
from wetread.fetch.retrieval import Retrieval
from wetread.fetch.suboperations import Transfer, get_study, move_study
from wetread.fetch.taking import Taking
from wetread.fetch.wado import retrieve_study


def open_finder(pacs: Pacs) -> AbstractContextManager[Finder]:
    """Return what asks a PACS, for a ``with``; raises ``PeerError`` there where it does not answer."""
    return open_web_finder(pacs) if pacs.search is Search.QIDO else open_dimse_finder(pacs)


def fetch_objects(transfer: Transfer, taking: Taking, own_aet: str) -> Retrieval:
    """Fetch objects of one study.

    Parameters
    ----------
    own_aet
        The AE title of our own port, where C-MOVE sends to.

    Raises
    ------
    PeerError
        If the PACS does not answer or refuses; what came until then is stored.
    """
    if transfer.pacs.retrieve is Retrieve.CMOVE:
        return move_study(transfer, own_aet)
    fetch = get_study if transfer.pacs.retrieve is Retrieve.CGET else retrieve_study
    return fetch(transfer, taking)
