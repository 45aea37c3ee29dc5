"""The page of a version in the shadow: how it compares with the live one.

In: a ``ShadowComparison``.  Out: tables of texts, for the page and for the command; HTML.
Never: a study that who looks may not see; a number without n and interval.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Path
from fastapi.responses import HTMLResponse

from wetread.contract.shadow import Estimate, Fourfold, PriorityCase, ShadowComparison, ShadowSide
from wetread.domain.lifecycle import ModelState
from wetread.domain.measurement import MEASUREMENTS
from wetread.web.access import needs
from wetread.web.eyes import Look
from wetread.web.models import Name
from wetread.web.pages import PAGE
from wetread.web.site import Site
from wetread.web.words import format_count, format_time, format_unit

VersionName = Annotated[str, Path(pattern=r"^[A-Za-z0-9._+-]{1,64}$")]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowTable:
    """One table."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def make_shadow(site: Site) -> APIRouter:
    """Return the route."""
    router = APIRouter(default_response_class=HTMLResponse, include_in_schema=False)

    @router.get("/models/{name}/{version}/shadow")
    @needs(*PAGE)
    def shadow_page(eyes: Look, name: Name, version: VersionName) -> HTMLResponse:
        compared = eyes.compare_shadow(name, version)
        page = site.render(
            "shadow.html",
            eyes.principal,
            model=compared,
            lines=tell_lines(compared),
            tables=tuple(tell_tables(compared)),
            cases=tell_cases(compared),
            is_shadow=compared.state is ModelState.SHADOW,
        )
        return HTMLResponse(page)

    return router


def tell_lines(compared: ShadowComparison) -> tuple[str, ...]:
    """Return what the comparison is about, in sentences."""
    since = f" since {format_time(compared.since.timestamp())}" if compared.since else ""
    lines = [
        f"{compared.name} {compared.version} is {compared.state.value} now; in the shadow{since} it had"
        f" {format_count(compared.series, 'study', 'studies')}, {compared.waiting} wait."
    ]
    if compared.counted < compared.series:
        lines.append(f"The numbers are about the newest {compared.counted}.")
    if compared.live is None:
        lines.append("No live version of this name read beside it: its own numbers alone.")
    else:
        lines.append(
            f"Compared with {compared.name} {compared.live.version}, live, on the same series."
            f" Intervals are of 95 %, by patient. The same finding: {compared.rule}"
        )
    if compared.not_comparable:
        told = format_count(compared.not_comparable, "study", "studies")
        lines.append(f"{told} left out: read live by another version, or of another series.")
    return tuple(lines)


def tell_tables(compared: ShadowComparison) -> Iterator[ShadowTable]:
    """Yield the tables of a comparison."""
    live, shadow = compared.live, compared.shadow
    heads = ("live", "shadow") if live else ("shadow",)
    sides = (live, shadow) if live else (shadow,)
    rows = zip(*(_side(one) for one in sides), strict=True)
    labels = (
        *("series read", "findings a series that was read", "seconds a reading", "priorities given"),
        "not read for",
    )
    table = tuple((label, *row) for label, row in zip(labels, rows, strict=True))
    yield ShadowTable(title="Each by itself", head=("", *heads), rows=table)
    if live is None:
        return
    folds = (("read", compared.read), ("something found, of those both read", compared.found))
    yield ShadowTable(
        title="Series",
        head=("", "both", "only live", "only shadow", "neither", "the same"),
        rows=tuple((label, *_fold(fold)) for label, fold in folds if fold is not None),
    )
    yield ShadowTable(
        title="Findings of the series that both read",
        head=("", "both", "only live", "only shadow", "found by both, of all"),
        rows=tuple(
            (one.label, str(one.both), str(one.only_live), str(one.only_shadow), tell_share(one.agreement))
            for one in compared.labels
        ),
    )
    yield _measured(compared)
    if compared.priorities is not None:
        yield ShadowTable(
            title="Triage priority",
            head=("", "the same", "weighted kappa", "differ"),
            rows=(
                (
                    "series that both read",
                    tell_share(compared.priorities.agreement),
                    tell_mean(compared.priorities.kappa, 2),
                    str(compared.priorities.differing),
                ),
            ),
        )


def tell_cases(compared: ShadowComparison) -> tuple[PriorityCase, ...]:
    """Return the studies whose priorities differ."""
    return compared.priorities.cases if compared.priorities else ()


def tell_share(share: Estimate) -> str:
    """Return e.g. ``92 % (85 to 96), n 100``."""
    return _tell(share, 1, 100.0, " %")


def tell_mean(mean: Estimate, decimals: int = 1) -> str:
    """Return e.g. ``1.5 (1.2 to 1.9), n 100``."""
    return _tell(mean, decimals, 1.0, "")


def _measured(compared: ShadowComparison) -> ShadowTable:
    rows = [
        (
            f"{_measurement(one.measurement)}{', of findings both have' if one.of_findings else ''}",
            tell_mean(one.mean),
            tell_mean(one.low),
            tell_mean(one.high),
        )
        for one in compared.differences
    ]
    if compared.seconds is not None:
        rows.append(("time of a reading, s", tell_mean(compared.seconds), "", ""))
    return ShadowTable(
        title="Measured differently, shadow minus live",
        head=("", "mean difference", "limits of agreement, lower", "upper"),
        rows=tuple(rows),
    )


def _measurement(name: str) -> str:
    known = MEASUREMENTS[name]
    return f"{known.title}, {format_unit(known.unit.value)}"


def _side(side: ShadowSide) -> tuple[str, ...]:
    given = ", ".join(f"{grade.value} {count}" for grade, count in side.priorities.items() if count)
    codes = ", ".join(f"{code} {count}" for code, count in side.failures.items())
    return (
        tell_share(side.read),
        tell_mean(side.findings_a_series, 2),
        tell_mean(side.seconds),
        given or "none",
        codes or "nothing",
    )


def _fold(fold: Fourfold) -> tuple[str, ...]:
    counts = (fold.both, fold.only_live, fold.only_shadow, fold.neither)
    return (*map(str, counts), tell_share(fold.agreement))


def _tell(estimate: Estimate, decimals: int, scale: float, unit: str) -> str:
    if estimate.value is None:
        return f"unknown, n {estimate.n}"
    value = f"{scale * estimate.value:.{decimals}f}{unit}"
    if estimate.low is None or estimate.high is None:
        return f"{value}, n {estimate.n}"
    low, high = (f"{scale * one:.{decimals}f}" for one in (estimate.low, estimate.high))
    return f"{value} ({low} to {high}), n {estimate.n}"
