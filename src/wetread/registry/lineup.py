"""All registered versions, and how each stands now.

In: packages that were read once, decisions that the index holds.  Out: the version of each model that counts.
Never: an answer from memory: what is decided holds everywhere from the next question on; two live versions.

A package's own word counts until something is decided about it here. A folder's author may say ``draft``,
``validated`` or ``retired``; ``shadow`` and ``live`` count as ``validated``: they are for who answers for the
site to say. What Wetread brings along may say ``live``, until a state of that model was decided here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from wetread.domain.lifecycle import Cause, ModelState
from wetread.domain.model import Model
from wetread.errors import UnknownModel
from wetread.store.model_states import ModelChange, ModelStates

#: Of a model without a live version, the first of these speaks for it.
_ORDER = (ModelState.LIVE, ModelState.SHADOW, ModelState.VALIDATED, ModelState.DRAFT, ModelState.RETIRED)
_ABOUT_SERVICE = (Cause.FAILED, Cause.RESTORED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One registered version as it stands."""

    #: With its state of now, and what withholds it.
    model: Model
    state: ModelState
    in_service: bool = True
    #: The newest decision about it; None: there is none, its package's word counts.
    change: ModelChange | None = None


@dataclass(frozen=True, slots=True)
class Lineup:
    """The registered versions."""

    packages: Sequence[Model]
    states: ModelStates

    def now(self) -> dict[str, Model]:
        """Return by name the version that counts: the live one, where there is none the furthest.

        Raises
        ------
        StorageError
            If the index does not answer.
        """
        return speakers(self.packages, self.states.list_all())

    def shadows(self) -> tuple[tuple[Entry, int], ...]:
        """Return the versions that read in the shadow, each with the decision that brought it there.

        Not such as are out of service, or another vendor's: what that one answers with becomes an image of
        the study; nor such as measure what others mark. Raises like ``now``.
        """
        changes = self.states.list_all()
        return tuple(
            (one, period.id if period else 0)
            for one in stand(self.packages, changes)
            if one.state is ModelState.SHADOW and one.in_service and _can_be_apart(one.model)
            for period in (find_period(changes, one.model.identity.digest),)
        )

    def entries(self) -> tuple[Entry, ...]:
        """Return all versions as they stand, by name, the one that counts first; raises like ``now``."""
        return stand(self.packages, self.states.list_all())


def _can_be_apart(model: Model) -> bool:
    return model.runtime.kind != "dicom-peer" and not model.runtime.measures


def stand(packages: Iterable[Model], changes: Sequence[ModelChange]) -> tuple[Entry, ...]:
    """Return how each package stands after some decisions, by name, the one that counts first."""
    newest = {one.digest: one for one in changes}
    decided = {one.name for one in changes if one.cause not in _ABOUT_SERVICE}
    entries = [
        _entry(model, newest.get(model.identity.digest), decided)
        for model in {one.identity.digest: one for one in packages}.values()
    ]
    return tuple(sorted(entries, key=_rank))


def speakers(packages: Iterable[Model], changes: Sequence[ModelChange]) -> dict[str, Model]:
    """Return by name the version that counts."""
    chosen: dict[str, Model] = {}
    for entry in stand(packages, changes):
        name = entry.model.identity.name
        if name not in chosen:
            missing = None if entry.state is ModelState.LIVE else _live_elsewhere(name, changes)
            chosen[name] = replace(entry.model, withheld=_missing(missing)) if missing else entry.model
    return chosen


def find_entry(entries: Iterable[Entry], name: str, version: str = "") -> Entry:
    """Return the version that a person named; without a version, the only one that is not retired.

    Raises
    ------
    UnknownModel
        If there is none, or several.
    """
    named = [one for one in entries if one.model.identity.name == name]
    if version:
        named = [one for one in named if one.model.identity.version == version]
    elif len(named) > 1:
        named = [one for one in named if one.state is not ModelState.RETIRED]
    if not named:
        raise UnknownModel(model=f"{name}@{version}" if version else name)
    if len(named) > 1:
        versions = ", ".join(one.model.identity.version for one in named)
        raise UnknownModel(f"Several versions are registered: name one as {name}@VERSION.", versions=versions)
    return named[0]


def find_period(changes: Iterable[ModelChange], digest: str) -> ModelChange | None:
    """Return the decision that brought a version into the shadow the last time.

    None: it was never there, or its package's word put it there.
    """
    begun, was_there = None, False
    for change in (one for one in changes if one.digest == digest):
        is_there = change.state is ModelState.SHADOW
        if is_there and not was_there and change.cause not in _ABOUT_SERVICE:
            begun = change
        was_there = is_there
    return begun


def _entry(model: Model, change: ModelChange | None, decided: set[str]) -> Entry:
    state = change.state if change else starting_state(model, is_decided=model.identity.name in decided)
    in_service = change is None or change.in_service
    withheld = "" if in_service or change is None else _out_of_service(change)
    if change is None and model.folder and state.value != model.state:
        withheld = (
            f"Its author calls {model.identity.name} {model.identity.version} {model.state}: here it is"
            f" {state.value} until somebody promotes it, see `wetread models promote`."
        )
    return Entry(
        model=replace(model, state=state.value, withheld=withheld),
        state=state,
        in_service=in_service,
        change=change,
    )


def starting_state(model: Model, *, is_decided: bool) -> ModelState:
    """Return the state of a package that nothing was decided about.

    Parameters
    ----------
    is_decided
        A state of another version of this model was decided here.
    """
    word = ModelState(model.state)
    if word in (ModelState.SHADOW, ModelState.LIVE) and (model.folder or is_decided):
        return ModelState.VALIDATED
    return word


def _rank(entry: Entry) -> tuple[str, int, float, str]:
    since = entry.change.at if entry.change else 0.0
    one = entry.model.identity
    return one.name, _ORDER.index(entry.state), -since, one.version


def _live_elsewhere(name: str, changes: Sequence[ModelChange]) -> ModelChange | None:
    """Return the live version of a model that this process does not have."""
    newest = {one.digest: one for one in changes if one.name == name}
    return next((one for one in newest.values() if one.state is ModelState.LIVE), None)


def _missing(change: ModelChange | None) -> str:
    title = change.title if change else ""
    return (
        f"Its live version {title} is not registered in this process: name its folder in `models` of"
        " wetread.toml and start it again, or promote another version."
    )


def _out_of_service(change: ModelChange) -> str:
    since = datetime.fromtimestamp(change.at).astimezone().isoformat(" ", "minutes")
    return (
        f"{change.title} is out of service since {since}: {change.why}"
        f" Once that is mended: `wetread models restore {change.name}`."
    )


def iter_history(changes: Iterable[ModelChange], name: str) -> Iterator[ModelChange]:
    """Yield what was decided about a model, newest first."""
    return reversed([one for one in changes if one.name == name])
