"""Why each model ran or did not, as it is shown.

In: the plain JSON that ``match`` kept with a revision.  Out: ``ModelMatch`` values.
Never: a crash on an older or newer form of it: what is missing stays empty.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wetread.domain.model import Model


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesMatch:
    """What was said about one series."""

    description: str
    is_chosen: bool
    #: Why a suitable one stands where it does.
    reason: str
    #: (code, sentence) each.
    problems: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelMatch:
    """What was decided for one model."""

    name: str
    title: str
    #: True: it ran on the chosen series.
    is_chosen: bool
    #: Name of the rule that asked for it, ``""`` where none did.
    rule: str
    #: Why it was chosen; ``""`` where ``problems`` say why not.
    reason: str
    problems: tuple[tuple[str, str], ...]
    series: tuple[SeriesMatch, ...]


def match_views(match: Mapping[str, Any] | None, models: Mapping[str, Model]) -> tuple[ModelMatch, ...]:
    """Return what was decided for every model; registered ones that it does not name come last."""
    decided = [_model(one, models) for one in _items(match, "models")]
    named = {one.name for one in decided}
    silent = [
        ModelMatch(
            name=name,
            title=model.title,
            is_chosen=False,
            rule="",
            reason="Not considered yet." if match is None else "Not registered when this study was read.",
            problems=(),
            series=(),
        )
        for name, model in sorted(models.items())
        if name not in named
    ]
    return (*decided, *silent)


def why_not_read(match: Mapping[str, Any]) -> str:
    """Return why no model was chosen, ``""`` where one was: of the first that a rule asked for."""
    models = match_views(match, {})
    if not models or any(model.is_chosen for model in models):
        return ""
    asked = next((model for model in models if model.rule), models[0])
    return " ".join(message for _, message in asked.problems[:2]) or asked.reason


def _model(plain: Mapping[str, Any], models: Mapping[str, Model]) -> ModelMatch:
    name = _text(plain, "name") or _text(plain, "model")
    chosen = _text(plain, "chosen_series")
    problems = _problems(plain)
    return ModelMatch(
        name=name,
        title=models[name].title if name in models else name,
        is_chosen=bool(chosen),
        rule=_text(plain, "rule"),
        reason="" if problems and not chosen else _text(plain, "reason"),
        problems=problems,
        series=tuple(_series(one, chosen) for one in _items(plain, "series")),
    )


def _series(plain: Mapping[str, Any], chosen: str) -> SeriesMatch:
    uid = _text(plain, "series_instance_uid")
    return SeriesMatch(
        description=_text(plain, "description") or "no description",
        is_chosen=bool(chosen) and uid == chosen,
        reason=_text(plain, "reason"),
        problems=_problems(plain),
    )


def _problems(plain: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple((_text(one, "code"), _text(one, "message")) for one in _items(plain, "problems"))


def _items(plain: Mapping[str, Any] | None, name: str) -> list[Mapping[str, Any]]:
    value = (plain or {}).get(name)
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list | tuple) else []


def _text(plain: Mapping[str, Any], name: str) -> str:
    value = plain.get(name)
    return "" if value is None else str(value)
