"""Changed rules tried on past studies: for the page and for the API, one at a time.

In: rules.  Out: what would change.  Never: a change; a wait for another's trial.
"""

from __future__ import annotations

from datetime import date

from fastapi import HTTPException

from wetread.contract.replay import Replayed
from wetread.match import Rule
from wetread.replay import Trial, replay
from wetread.web.eyes import Eyes

#: One answer takes no longer; the cursor leads on.
BUDGET_S = 10.0


def try_rules(
    eyes: Eyes, rules: tuple[Rule, ...], *, since: date | None, limit: int, after: str = ""
) -> Replayed:
    """Return what rules would do with the newest studies that somebody may see.

    Raises
    ------
    HTTPException
        429 while another trial is made.
    """
    site = eyes.site
    if not site.trial_turn.acquire(blocking=False):
        raise HTTPException(429, headers={"Retry-After": "2"})
    try:
        eyes.note_query("past studies, to try other rules")
        trial = Trial(
            store=site.store,
            models=site.lineup.now(),
            now=site.rules,
            then=rules,
            sources=eyes.principal.sources,
            since=since,
        )
        return replay(trial, limit=limit, after=after, budget_s=BUDGET_S)
    finally:
        site.trial_turn.release()
