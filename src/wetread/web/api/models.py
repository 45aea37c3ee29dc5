"""Models and rules: what is registered and how it stands, what is in force.

In: requests.  Out: values of ``wetread.contract``.
Never: where a package lies; what a rule asks of who; a decision without its reason.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated

from fastapi import APIRouter, Path

from wetread.contract.models import ModelDetail, ModelList, RuleLevel, RuleList, RuleSaid
from wetread.contract.shadow import ShadowComparison
from wetread.domain.audit import Actor
from wetread.identity import Permission
from wetread.match import Rule
from wetread.match.condition import describe
from wetread.registry.lineup import stand
from wetread.registry.promotion import Decision, promote, restore, roll_back
from wetread.telling import tell_model, tell_models
from wetread.web.access import needs
from wetread.web.api.asked import ReasonAsked, StateAsked
from wetread.web.api.failure import failures
from wetread.web.eyes import Eyes, Look
from wetread.web.site import Site

ModelName = Annotated[str, Path(pattern=r"^[A-Za-z0-9._-]{1,64}$", description="`name` of a model.")]
ModelVersion = Annotated[
    str, Path(pattern=r"^[A-Za-z0-9._+-]{1,64}$", description="`version` of one of its versions.")
]


def add_models(router: APIRouter, site: Site) -> None:
    """Add the routes."""

    @router.get("/models", tags=["models"])
    @needs(Permission.STUDIES)
    def list_models(_eyes: Look) -> ModelList:
        """List the registered versions and how they stand."""
        return tell_models(site.lineup.entries())

    @router.get("/models/{name}", tags=["models"])
    @needs(Permission.STUDIES)
    def get_model(_eyes: Look, name: ModelName) -> ModelDetail:
        """Return one model: its versions, what was decided about them, what it may read, and its card."""
        return _detail(site, name)

    @router.get("/models/{name}/{version}/shadow", tags=["models"])
    @needs(Permission.STUDIES)
    def compare_shadow(eyes: Look, name: ModelName, version: ModelVersion) -> ShadowComparison:
        """Return how a version in the shadow compares with the live one, on the series that both had."""
        return eyes.compare_shadow(name, version)


def add_model_decisions(router: APIRouter, site: Site) -> None:
    """Add the routes that decide about a model."""

    @router.post("/models/{name}/state", tags=["models"], responses=failures(409))
    @needs(Permission.STUDIES, Permission.MODELS)
    def bring_into_state(eyes: Look, name: ModelName, asked: StateAsked) -> ModelDetail:
        """Bring a version into a state; the one that becomes live takes the place of the one that is.

        What asks for a validation report that was not held against the package yet is refused: reports are
        given to `wetread models promote --report`.
        """
        promote(site.lineup, name, asked.to, decision_of(site, eyes, asked.why), version=asked.version)
        return _detail(site, name)

    @router.post("/models/{name}/roll-back", tags=["models"], responses=failures(409))
    @needs(Permission.STUDIES, Permission.MODELS)
    def roll_model_back(eyes: Look, name: ModelName, asked: ReasonAsked) -> ModelDetail:
        """Make the version live again that was live before."""
        roll_back(site.lineup, name, decision_of(site, eyes, asked.why))
        return _detail(site, name)

    @router.post("/models/{name}/restore", tags=["models"], responses=failures(409))
    @needs(Permission.STUDIES, Permission.MODELS)
    def restore_model(eyes: Look, name: ModelName, asked: ReasonAsked) -> ModelDetail:
        """Put a version back into service that went out of it."""
        restore(site.lineup, name, decision_of(site, eyes, asked.why), version=asked.version)
        return _detail(site, name)


def add_rules(router: APIRouter, site: Site) -> None:
    """Add the route."""

    @router.get("/rules", tags=["rules"])
    @needs(Permission.STUDIES)
    def list_rules(_eyes: Look) -> RuleList:
        """List the rules in force, as they were understood."""
        return RuleList(items=tuple(tell_rule(rule, site.lineup.now()) for rule in site.rules))


def decision_of(site: Site, eyes: Eyes, why: str) -> Decision:
    """Return what somebody decides now."""
    actor = Actor(user_id=eyes.principal.name, is_requestor=True, address=eyes.visitor.address)
    return Decision(actor=actor, at=site.now(), why=why)


def tell_rule(rule: Rule, known_models: Collection[str]) -> RuleSaid:
    """Return one rule as it was understood."""
    return RuleSaid(
        name=rule.name,
        models=rule.models,
        unknown_models=tuple(name for name in rule.models if name not in known_models),
        level=RuleLevel(rule.level),
        urgency=rule.urgency,
        quiet_s=rule.quiet_s,
        when=tuple(map(describe, rule.when)),
    )


def _detail(site: Site, name: str) -> ModelDetail:
    changes = site.lineup.states.list_all()
    points = site.store.operating_points.list_all(name)
    return tell_model(stand(site.lineup.packages, changes), changes, points, name)
