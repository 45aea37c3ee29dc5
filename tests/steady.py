"""Peers of tests that do not lose an answer on a busy machine: see ``wetread.dicom.checkpoint``."""

from __future__ import annotations

from typing import Any

from pynetdicom import evt

from wetread.dicom.checkpoint import Checkpoint


def _steady(event: Any) -> None:
    event.assoc._reactor_checkpoint = Checkpoint(event.assoc)


#: To be given with the other handlers.
STEADY = (evt.EVT_CONN_OPEN, _steady)
