"""What changed rules would do with past studies.

In: rules, how many studies.  Out: what would change, a batch at a time.  Never: a change; two at once; an
answer to who may not see names (rules can ask for a name, so the answer would tell it).
"""

from __future__ import annotations

from fastapi import APIRouter

from wetread.contract.replay import Replayed
from wetread.identity import Permission
from wetread.match import parse_rules
from wetread.web.access import needs
from wetread.web.api.asked import ReplayAsked
from wetread.web.api.failure import TOO_LARGE, failures
from wetread.web.eyes import Look
from wetread.web.site import Site
from wetread.web.trial import try_rules


def add_replay(router: APIRouter, _site: Site) -> None:
    """Add the route."""

    @router.post("/rules/replay", tags=["rules"], responses=TOO_LARGE | failures(429))
    @needs(Permission.STUDIES, Permission.IDENTITY)
    def replay_rules(eyes: Look, asked: ReplayAsked) -> Replayed:
        """Tell what changed rules would do with past studies, by their headers; nothing is changed."""
        rules = parse_rules(asked.rules)
        return try_rules(eyes, rules, since=asked.since, limit=asked.limit, after=asked.after or "")
