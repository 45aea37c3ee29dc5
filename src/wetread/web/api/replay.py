"""What changed rules would do with past studies.

In: rules, how many studies.  Out: what would change, a batch at a time.  Never: a change; two at once; an
answer to who may not see names (rules can ask for a name, so the answer would tell it).
"""

from __future__ import annotations

from fastapi import APIRouter, HTTPException

from wetread.contract.replay import Replayed
from wetread.errors import InvalidRule
from wetread.identity import Permission
from wetread.match import Rule, parse_rules
from wetread.replay import Trial, replay
from wetread.web.access import needs
from wetread.web.api.asked import ReplayAsked
from wetread.web.api.failure import TOO_LARGE, failures
from wetread.web.eyes import Look
from wetread.web.site import Site

#: One answer takes no longer; the cursor leads on.
BUDGET_S = 10.0


def add_replay(router: APIRouter, site: Site) -> None:
    """Add the route."""

    @router.post("/rules/replay", tags=["rules"], responses=TOO_LARGE | failures(429))
    @needs(Permission.STUDIES, Permission.IDENTITY)
    def replay_rules(eyes: Look, asked: ReplayAsked) -> Replayed:
        """Tell what changed rules would do with past studies, by their headers; nothing is changed."""
        if not site.trial_turn.acquire(blocking=False):
            raise HTTPException(429, headers={"Retry-After": "2"})
        try:
            trial = Trial(
                store=site.store,
                models=site.lineup.now(),
                now=site.rules,
                then=_read(asked),
                sources=eyes.principal.sources,
                since=asked.since,
            )
            eyes.note_query("past studies, to try other rules")
            return replay(trial, limit=asked.limit, after=asked.after or "", budget_s=BUDGET_S)
        finally:
            site.trial_turn.release()


def _read(asked: ReplayAsked) -> tuple[Rule, ...]:
    try:
        return parse_rules(asked.rules)
    except RecursionError as error:
        raise InvalidRule("A rule is nested too deep.") from error
