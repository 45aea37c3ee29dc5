"""Fetch what a workitem asks to be read and that is not here.

In: a workitem and its order.  Out: a row of what is to be fetched, once.
Never: a system that the configuration does not name; a fetch for somebody who may not see all studies.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from wetread.domain.fetching import FetchReason
from wetread.domain.workitem import Workitem
from wetread.fetch.pacs import Pacs
from wetread.steps.order import Order
from wetread.store.fetches import Fetches, Want


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderedImages:
    """Whom to ask."""

    fetches: Fetches
    pacs: tuple[Pacs, ...]
    clock: Callable[[], datetime]
    #: Called when there is something to fetch.
    wanted: Callable[[], None]

    def __call__(self, workitem: Workitem, order: Order, study: str) -> None:
        """Want a study; what was wanted before, and failed or lacks something, is not asked for again."""
        pacs = self._holder(order)
        if pacs is None or workitem.sources is not None:
            return
        if self.fetches.find(study, pacs.name) is None:
            want = Want(study_instance_uid=study, pacs=pacs.name, reason=FetchReason.ASKED)
            self.fetches.want(want, self.clock())
            self.wanted()

    def _holder(self, order: Order) -> Pacs | None:
        """Return who has the images: the one that the order names, else the first that there is."""
        if order.retrieve_aets:
            return next((one for one in self.pacs if one.aet in order.retrieve_aets), None)
        return next(iter(self.pacs), None)
