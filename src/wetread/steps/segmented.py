"""Segmentations of organs by others: which there are in a study, and which series they ask to be measured.

In: a study and its revision.  Out: rules that ask the models that measure; what their jobs get.
Never: a result of ours, or a revision of one; an answer that another vendor's AI owes us; a label.

A Segmentation is an object like others: its arrival begins a revision, in which it is found here. What is in
the Reading is named there (``Reading.sources``), so that the same ones are not measured twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from wetread.domain.model import Model
from wetread.domain.problem import Problem, ProblemCode
from wetread.domain.reading import Outcome
from wetread.domain.study import Instance, Series, Study, header_text
from wetread.errors import InputError
from wetread.imaging.segmentation import (
    LABEL_MAP_STORAGE,
    SEGMENTATION_STORAGE,
    find_referenced_series,
    read_maker,
)
from wetread.imaging.segments import NamedSegment, read_names
from wetread.infer.job import OrganSource
from wetread.match import Rule
from wetread.match.condition import Condition, Operator
from wetread.match.rules import Level
from wetread.measure.organ_code import find_organ
from wetread.store import Store

RULE = "Segmentation of organs by others"
#: Of one series, the newest.
_MOST = 8
_CLASSES = (SEGMENTATION_STORAGE, LABEL_MAP_STORAGE)
_NO_IMAGES = frozenset({"SEG", "SR", "PR", "DOC", "REG", "RTSTRUCT", "KO"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """A Segmentation with its organs."""

    instance: Instance
    series_instance_uid: str
    names: tuple[NamedSegment, ...]
    sent_by: str


def organ_rules(store: Store, study: Study, models: Mapping[str, Model], peers: frozenset[str]) -> list[Rule]:
    """Return what Segmentations of organs ask for in a study, as rules."""
    measuring = tuple(sorted(name for name, model in models.items() if model.runtime.measures))
    found = _list_found(store, study, peers) if measuring else []
    if not found:
        return []
    series = tuple(dict.fromkeys(one.series_instance_uid for one in found))
    named = Condition(keyword="SeriesInstanceUID", operator=Operator.ONE_OF, values=series)
    return [Rule(name=RULE, models=measuring, level=Level.SERIES, when=(named,))]


def find_organs(
    store: Store, study: Study, series: Series, model: Model, peers: frozenset[str]
) -> tuple[tuple[OrganSource, ...], tuple[Problem, ...]]:
    """Return what of a series a model measures, oldest first, and what is to be said of the rest.

    Of what one sender marked several times the newest counts.
    """
    if not model.runtime.measures:
        return (), ()
    every = _list_found(store, study, peers)
    mine = [one for one in every if one.series_instance_uid == series.series_instance_uid]
    chosen: list[OrganSource] = []
    seen: set[tuple[str, str]] = set()
    for one in reversed(mine):
        named = {segment.number: _what(one, segment) for segment in one.names}
        numbers = tuple(number for number, what in named.items() if what not in seen)
        seen.update(named.values())
        if numbers:
            chosen.append(_source(store, one, numbers))
    chosen = chosen[:_MOST]
    return tuple(reversed(chosen)), tuple(_tell(len(every) - len(mine), len(mine)))


def _tell(elsewhere: int, here: int) -> Iterator[Problem]:
    if elsewhere:
        message = f"{elsewhere} more of other series of this study: these are not measured."
        yield _note(f"Segmentations of organs: {message}")
    if here > _MOST:
        yield _note(f"Of {here} Segmentations of organs the {_MOST} newest are measured at most.")


def _note(message: str) -> Problem:
    return Problem(code=ProblemCode.SEGMENTATION_BY_OTHERS, message=message, refuses=False)


def _what(one: _Found, segment: NamedSegment) -> tuple[str, str]:
    known = find_organ(segment.code, segment.site)
    return one.sent_by, f"{known.organ.value} {known.code.value}" if known else ""


def _source(store: Store, one: _Found, numbers: tuple[int, ...]) -> OrganSource:
    vault = store.vault
    return OrganSource(
        instance=one.instance,
        numbers=numbers,
        made_by=read_maker(one.instance),
        sent_by=one.sent_by,
        key=vault.find_key(one.instance.path) if vault.keyring else "",
    )


def _list_found(store: Store, study: Study, peers: frozenset[str]) -> list[_Found]:
    """Return the Segmentations of organs of a study, in the order of arrival."""
    candidates = {
        one.sop_instance_uid: one
        for series in study.series
        for one in series.instances
        if one.sop_class_uid in _CLASSES
    }
    if not candidates:
        return []
    found = []
    for uid, arrival in store.changes.find_arrivals(study.study_instance_uid).items():
        if uid not in candidates or arrival.source in peers:
            continue
        one = candidates[uid]
        of_series = _find_series(study, one)
        names = _list_organs(one) if of_series else ()
        if names and not _is_ours(store, study.study_instance_uid, names):
            found.append(
                _Found(instance=one, series_instance_uid=of_series, names=names, sent_by=arrival.source)
            )
    return found


def _find_series(study: Study, segmentation: Instance) -> str:
    """Return the series that it is of: the one that it names, else the only one in its frame of reference."""
    named = find_referenced_series(segmentation)
    images = [one for one in study.series if one.modality not in _NO_IMAGES]
    if named:
        return named if any(one.series_instance_uid == named for one in images) else ""
    frame = header_text(segmentation.header, "FrameOfReferenceUID")
    alike = [one for one in images if frame and header_text(one.header, "FrameOfReferenceUID") == frame]
    return alike[0].series_instance_uid if len(alike) == 1 else ""


def _list_organs(segmentation: Instance) -> tuple[NamedSegment, ...]:
    try:
        names = read_names(segmentation)
    except InputError:
        # ``steps.returning`` tells of it where it may be ours; of others nothing is known.
        return ()
    return tuple(one for one in names if find_organ(one.code, one.site) is not None)


def _is_ours(store: Store, study: str, names: Iterable[NamedSegment]) -> bool:
    """Tell whether it is a revision of what a model of ours outlined: that is looked at elsewhere."""
    tracked = {one.tracking_uid for one in names} - {""}
    if not tracked:
        return False
    for row in store.readings.list_current([study]).get(study, []):
        if row.outcome is Outcome.READ:
            reading = store.readings.load(row.digest)
            ours = {one.tracking_uid for one in reading.segments if one.origin is None}
            if tracked & ours:
                return True
    return False
