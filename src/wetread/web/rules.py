"""The page of rules: what is in force in words, and what changed ones would do with past studies.

In: requests; rules as text.  Out: HTML.
Never: a rule changed (that is ``wetread.toml``); two trials at once; an answer of a trial to who may not see
names (rules can ask for a name, so the answer would tell it).
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from datetime import date
from typing import Annotated

from fastapi import APIRouter, Form
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, Field

from wetread.contract.replay import Replayed
from wetread.errors import InvalidRule, WetreadError
from wetread.identity import Permission
from wetread.match import Rule, parse_rules
from wetread.match.condition import describe
from wetread.web.access import needs
from wetread.web.eyes import Eyes, Look
from wetread.web.pages import PAGE
from wetread.web.site import Site
from wetread.web.trial import try_rules

#: Longest text of rules, and most studies that one trial looks at.
LONGEST_TEXT = 40_000
LARGEST_BODY = 1 << 18
_MOST_STUDIES = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleView:
    """One rule in words."""

    name: str
    models: str
    #: What it is held against.
    level: str
    conditions: tuple[str, ...]
    urgency: str
    quiet: str


class RulesTried(BaseModel):
    """What the form holds."""

    text: str = Field(default="", max_length=LONGEST_TEXT)
    since: date | None = None


def make_rules(site: Site) -> APIRouter:
    """Return the routes of rules."""
    router = APIRouter(default_response_class=HTMLResponse, include_in_schema=False)

    @router.get("/rules")
    @needs(*PAGE)
    def rules(eyes: Look) -> HTMLResponse:
        eyes.note_query("rules")
        return HTMLResponse(_page(site, eyes, RulesTried()))

    @router.post("/rules/try", max_body_size=LARGEST_BODY)
    @needs(*PAGE, Permission.IDENTITY)
    def try_changed(eyes: Look, tried: Annotated[RulesTried, Form()]) -> HTMLResponse:
        try:
            found = try_rules(eyes, read_rules(tried.text), since=tried.since, limit=_MOST_STUDIES)
        except WetreadError as error:
            return HTMLResponse(_page(site, eyes, tried, refused=error.message), 409)
        return HTMLResponse(_page(site, eyes, tried, found=found))

    return router


def read_rules(text: str) -> tuple[Rule, ...]:
    """Return the rules of a text, a whole ``wetread.toml`` or its ``[[rules]]`` alone.

    Raises
    ------
    InvalidRule
        If it is not TOML, has none, or one cannot be read; it is named.
    """
    try:
        tables = tomllib.loads(text).get("rules")
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InvalidRule(f"This is not TOML: {error}") from error
    if not isinstance(tables, list) or not tables:
        raise InvalidRule("There are no [[rules]] in it.")
    return parse_rules(tables)


def _page(
    site: Site, eyes: Eyes, tried: RulesTried, *, found: Replayed | None = None, refused: str = ""
) -> str:
    return site.render(
        "rules.html",
        eyes.principal,
        rules=[view_rule(one) for one in site.rules],
        tried=tried,
        found=found,
        refused=refused,
        can_try=eyes.principal.may(Permission.IDENTITY),
    )


def view_rule(rule: Rule) -> RuleView:
    """Return a rule in words."""
    return RuleView(
        name=rule.name,
        models=", ".join(rule.models) or "none",
        level="each series" if rule.level == "series" else "the study, by some series",
        conditions=tuple(describe(term) for term in rule.when),
        urgency=rule.urgency.value,
        quiet=f"{rule.quiet_s:g} s" if rule.quiet_s is not None else "as configured",
    )
