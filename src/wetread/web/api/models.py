"""Models and rules: what is registered, what is in force.

In: requests.  Out: values of ``wetread.contract``.  Never: where a package lies; what a rule asks of who.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated

from fastapi import APIRouter, HTTPException, Path

from wetread.contract.models import ModelDetail, ModelLine, ModelList, RuleLevel, RuleList, RuleSaid
from wetread.domain.model import Model
from wetread.identity import Permission
from wetread.match import Rule
from wetread.match.condition import describe
from wetread.web.access import needs
from wetread.web.eyes import Look
from wetread.web.site import Site

ModelName = Annotated[str, Path(pattern=r"^[A-Za-z0-9._-]{1,64}$", description="`name` of a model.")]


def add_models(router: APIRouter, site: Site) -> None:
    """Add the routes."""

    @router.get("/models", tags=["models"])
    @needs(Permission.STUDIES)
    def list_models(_eyes: Look) -> ModelList:
        """List the registered models."""
        return ModelList(items=tuple(map(tell_model, site.models.values())))

    @router.get("/models/{name}", tags=["models"])
    @needs(Permission.STUDIES)
    def get_model(_eyes: Look, name: ModelName) -> ModelDetail:
        """Return one model: what it may read, with which numbers, and its card."""
        if name not in site.models:
            raise HTTPException(404)
        return tell_model_detail(site.models[name])

    @router.get("/rules", tags=["rules"])
    @needs(Permission.STUDIES)
    def list_rules(_eyes: Look) -> RuleList:
        """List the rules in force, as they were understood."""
        return RuleList(items=tuple(tell_rule(rule, site.models) for rule in site.rules))


def tell_model(model: Model) -> ModelLine:
    """Return one line of the list."""
    one = model.identity
    return ModelLine(
        name=one.name, version=one.version, digest=one.digest, title=model.title, state=model.state
    )


def tell_model_detail(model: Model) -> ModelDetail:
    """Return one model."""
    return ModelDetail(
        model=tell_model(model),
        intended_use=model.intended_use,
        eligibility=model.eligibility,
        operating_point=model.operating_point,
        parameters=dict(model.parameters),
        card=dict(model.card),
    )


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
