"""The pages of models: which versions there are, how each stands and why, and the buttons that decide.

In: requests.  Out: HTML; decisions, kept with who and why.
Never: a change by GET; a decision by who may not decide; where a package lies.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Form, Path, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from wetread.contract.models import ModelDetail
from wetread.domain.lifecycle import STEPS, Cause, ModelState, Need
from wetread.domain.review import Verdict
from wetread.errors import StateRefused, UnknownModel
from wetread.identity import Permission
from wetread.registry.lineup import find_period, stand
from wetread.registry.promotion import find_previous, promote, restore, roll_back
from wetread.stats.interval import proportion
from wetread.store.changes import Missed
from wetread.store.model_states import ModelChange
from wetread.store.room import Judged
from wetread.telling import tell_model
from wetread.web.access import needs
from wetread.web.api.models import decision_of
from wetread.web.eyes import Eyes, Look
from wetread.web.pages import PAGE
from wetread.web.site import Site
from wetread.web.words import format_time

Name = Annotated[str, Path(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
Why = Annotated[str, Form(max_length=1000)]
Version = Annotated[str, Form(max_length=64)]


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionView:
    """One version, and what may be decided about it here."""

    name: str
    version: str
    digest: str
    title: str
    state: str
    #: It reads, or read, beside the live one: there is a page that compares.
    was_shadow: bool
    since: str
    by: str
    why: str
    in_service: bool
    withheld: str
    #: States that it may be brought into from this page.
    steps: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeView:
    """One decision."""

    at: str
    version: str
    words: str
    by: str
    why: str
    report: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreementView:
    """What readers said of the findings of one version."""

    version: str
    judged: int
    studies: int
    accepted: int
    #: Share that was accepted, with its 95 % interval by study.
    share: str
    #: Why the others were not, most frequent first.
    reasons: str
    #: Of what readers accepted or added, what the model has, with the 95 % interval by study.
    found: str


def make_models(site: Site) -> APIRouter:
    """Return the routes of the models."""
    router = APIRouter(default_response_class=HTMLResponse, include_in_schema=False)

    @router.get("/models")
    @needs(*PAGE)
    def models_page(eyes: Look) -> HTMLResponse:
        changes = site.lineup.states.list_all()
        names = dict.fromkeys(one.model.identity.name for one in stand(site.lineup.packages, changes))
        models = {name: _versions(site, changes, name) for name in names}
        return HTMLResponse(site.render("models.html", eyes.principal, models=models))

    @router.get("/models/{name}")
    @needs(*PAGE)
    def model_page(eyes: Look, name: Name) -> HTMLResponse:
        return HTMLResponse(_page(site, eyes, name))

    _add_decisions(router, site)
    return router


def _add_decisions(router: APIRouter, site: Site) -> None:
    @router.post("/models/{name}/state")
    @needs(*PAGE, Permission.MODELS)
    def bring_into_state(
        eyes: Look, name: Name, to: Annotated[ModelState, Form()], why: Why = "", version: Version = ""
    ) -> Response:
        return _decided(
            site,
            eyes,
            name,
            lambda: promote(site.lineup, name, to, decision_of(site, eyes, why), version=version),
        )

    @router.post("/models/{name}/roll-back")
    @needs(*PAGE, Permission.MODELS)
    def roll_model_back(eyes: Look, name: Name, why: Why = "") -> Response:
        return _decided(site, eyes, name, lambda: roll_back(site.lineup, name, decision_of(site, eyes, why)))

    @router.post("/models/{name}/restore")
    @needs(*PAGE, Permission.MODELS)
    def restore_model(eyes: Look, name: Name, why: Why = "", version: Version = "") -> Response:
        return _decided(
            site,
            eyes,
            name,
            lambda: restore(site.lineup, name, decision_of(site, eyes, why), version=version),
        )


def _decided(site: Site, eyes: Eyes, name: str, decide: Callable[[], object]) -> Response:
    """Decide, and show the page again: with the reason, where it was refused."""
    try:
        decide()
    except StateRefused as error:
        return HTMLResponse(_page(site, eyes, name, refused=str(error)), 409)
    return RedirectResponse(f"/models/{name}", status_code=303)


def _page(site: Site, eyes: Eyes, name: str, refused: str = "") -> str:
    changes = site.lineup.states.list_all()
    points = site.store.operating_points.list_all(name)
    detail = tell_model(stand(site.lineup.packages, changes), changes, points, name)
    return site.render(
        "model.html",
        eyes.principal,
        model=detail,
        facts=_facts(detail),
        versions=_versions(site, changes, name),
        history=[_change(one) for one in reversed(changes) if one.name == name],
        agreement=view_agreement(site.store.room.judged(name), site.store.changes.missed(name)),
        points=[(format_time(one.at), one) for one in reversed(points)],
        can_go_back=bool(find_previous(site.lineup.packages, changes, name)),
        refused=refused,
    )


def _versions(site: Site, changes: list[ModelChange], name: str) -> tuple[VersionView, ...]:
    entries = [one for one in stand(site.lineup.packages, changes) if one.model.identity.name == name]
    if not entries:
        raise UnknownModel(model=name)
    return tuple(
        VersionView(
            name=name,
            version=one.model.identity.version,
            was_shadow=one.state is ModelState.SHADOW
            or find_period(changes, one.model.identity.digest) is not None,
            digest=one.model.identity.digest[:12],
            title=one.model.title,
            state=one.state.value,
            since=format_time(one.change.at) if one.change else "",
            by=one.change.who if one.change else "",
            why=one.change.why if one.change else "",
            in_service=one.in_service,
            withheld=one.model.withheld,
            steps=tuple(
                to.value
                for (start, to), need in STEPS.items()
                if start is one.state and (need is Need.NOTHING or start is not ModelState.DRAFT)
                if need is not Need.NEW_REPORT
            ),
        )
        for one in entries
    )


def view_agreement(judged: Sequence[Judged], missed: Sequence[Missed]) -> tuple[AgreementView, ...]:
    """Return how readers judged each version, the one that was judged last first."""
    named = [one.version for one in reversed(judged)] + [one.version for one in missed]
    return tuple(
        _agreement(
            name,
            [one for one in judged if one.version == name],
            [one.study_instance_uid for one in missed if one.version == name],
        )
        for name in dict.fromkeys(named)
    )


def _agreement(version: str, judged: list[Judged], missed_in: list[str]) -> AgreementView:
    accepted = [one.verdict is Verdict.ACCEPTED for one in judged]
    studies = [one.study_instance_uid for one in judged]
    there = [one for one, is_there in zip(studies, accepted, strict=True) if is_there]
    reasons = Counter(one.reason.value for one in judged if one.reason)
    found = [True] * len(there) + [False] * len(missed_in)
    return AgreementView(
        version=version,
        judged=len(judged),
        studies=len({*studies, *missed_in}),
        accepted=sum(accepted),
        share=_share(accepted, studies),
        reasons=", ".join(f"{reason} {count}" for reason, count in reasons.most_common()),
        found=f"{len(there)} of {len(found)}, {_share(found, [*there, *missed_in])}" if found else "",
    )


def _share(hits: list[bool], studies: list[str]) -> str:
    if not hits:
        return ""
    share = proportion(hits, studies)
    interval = f" ({share.low:.0%} to {share.high:.0%})" if share.is_defined else ""
    return f"{share.value:.0%}{interval}"


def _change(change: ModelChange) -> ChangeView:
    words = f"{change.cause.value}: {change.state.value}"
    return ChangeView(
        at=format_time(change.at),
        version=change.version,
        words="out of service" if change.cause is Cause.FAILED else words,
        by=change.who,
        why=change.why,
        report=change.report_digest[:12],
    )


def _facts(detail: ModelDetail) -> tuple[tuple[str, str], ...]:
    gate = ", ".join(f"{metric} {value:g}" for metric, value in detail.acceptance.items())
    return (
        ("Intended use", detail.intended_use.strip()),
        ("Modalities", ", ".join(detail.eligibility.modalities)),
        ("Operating point", detail.operating_point),
        ("Validation must reach", gate or "nothing: it cannot be promoted"),
        *((title.capitalize(), text.strip()) for title, text in detail.card.items()),
    )
