"""Try whether a PACS can be reached.

In: a ``Pacs``.  Out: what each way to it said, in words.
Never: a study; a wait of more than ``LONGEST_S`` for one answer.
"""

from __future__ import annotations

from dataclasses import replace

from wetread.dicom.scu import echo
from wetread.domain.probe import Probe
from wetread.domain.query import Level
from wetread.errors import PeerError
from wetread.fetch.pacs import Pacs
from wetread.fetch.qido import WebFinder

LONGEST_S = 10.0
#: Finds nothing: no study is asked for.
_NOBODY = {"StudyInstanceUID": "2.25.0"}


def probe(pacs: Pacs) -> tuple[Probe, ...]:
    """Try each way in which a PACS is spoken to."""
    quick = replace(
        pacs,
        connect_timeout_s=min(pacs.connect_timeout_s, LONGEST_S),
        timeout_s=min(pacs.timeout_s, LONGEST_S),
    )
    found = []
    if quick.to:
        found.append(_echo(quick))
    if quick.dicomweb_url:
        found.append(_search(quick))
    return tuple(found)


def _echo(pacs: Pacs) -> Probe:
    try:
        echo(pacs.callee)
    except PeerError as error:
        return Probe(way="C-ECHO", works=False, words=str(error))
    return Probe(way="C-ECHO", works=True, words="It answers, and knows our AE title.")


def _search(pacs: Pacs) -> Probe:
    try:
        WebFinder(pacs).find(Level.STUDY, _NOBODY, ())
    except PeerError as error:
        return Probe(way="QIDO-RS", works=False, words=str(error))
    return Probe(way="QIDO-RS", works=True, words="It answers searches.")
