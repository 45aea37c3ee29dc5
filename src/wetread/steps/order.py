"""What a workitem asks of us: which models, on which images, when.

In: a workitem; the models and rules that there are.  Out: an ``Order``, or None: it is not for us.
Never: an order that names another station; an index, a clock.

Codes (scheme ``99WETREAD``): the name of a model or of a rule, in Scheduled Workitem Code Sequence or as the
text of a Scheduled Processing Parameter ``(model, 99WETREAD)``. A model's card may name codes of others:
``"workitem codes" = "CODE^SCHEME, CODE^SCHEME"``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from wetread.domain import workitem as w
from wetread.domain.model import Model
from wetread.domain.workitem import Attributes, Workitem, text_of, values_of
from wetread.domain.workitem_match import moment_of
from wetread.match import Rule
from wetread.match.condition import Condition, Operator
from wetread.match.rules import Level
from wetread.store.asked import AskedReading
from wetread.store.workitems import study_of

SCHEME = "99WETREAD"
#: A rule of such a name stands for what somebody asked for.
ASKED_RULE = "asked for:"
#: What a parameter is called that names a model.
PARAMETER = "model"
_CARD = "workitem codes"
_CODE, _SCHEME, _LONG_CODE = "00080100", "00080102", "00080119"
_DICOM_RETRIEVAL, _RETRIEVE_AET = "0040E021", "00080054"
_CONCEPT, _TEXT, _REFERENCED, _INSTANCE = "0040A043", "0040A160", "00081199", "00081155"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A study that is to be read."""

    #: ``""``: the workitem names none.
    study_instance_uid: str
    #: Series Instance UID -> SOP Instance UIDs that must be there; none: those that are. Empty: any series.
    series: Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is asked of us."""

    #: At least one.
    parts: tuple[Part, ...]
    #: Names of registered models.
    models: tuple[str, ...]
    #: What was named with our scheme and is not registered.
    unknown: tuple[str, ...] = ()
    #: AE titles that have the images, as the order says.
    retrieve_aets: tuple[str, ...] = ()


def read_order(
    workitem: Workitem, models: Mapping[str, Model], rules: Sequence[Rule], aet: str
) -> Order | None:
    """Return what a workitem asks of us, None where it is for somebody else."""
    stations = values_of(workitem.attributes, w.STATION_NAME)
    if stations and not any(text_of(one, _CODE) == aet for one in stations):
        return None
    named = {rule.name: rule.models for rule in rules} | {name: (name,) for name in models}
    asked, unknown = [], []
    for value, scheme in _iter_codes(workitem.attributes):
        of_cards = tuple(name for name, model in models.items() if (value, scheme) in _card_codes(model))
        if scheme == SCHEME and value in named:
            asked += [name for name in named[value] if name in models]
        elif of_cards:
            asked += of_cards
        elif scheme == SCHEME:
            unknown.append(value)
    if not asked and not unknown:
        return None
    studies = _studies(workitem) or (study_of(workitem),)
    return Order(
        parts=tuple(
            Part(study_instance_uid=study, series=_series(workitem.attributes, study)) for study in studies
        ),
        models=tuple(dict.fromkeys(asked)),
        unknown=tuple(unknown),
        retrieve_aets=_retrieve_aets(workitem.attributes),
    )


def asked_rule(wish: AskedReading) -> Rule:
    """Return what was asked for on a study as a rule."""
    named = Condition(keyword="SeriesInstanceUID", operator=Operator.ONE_OF, values=wish.series)
    return Rule(
        name=f"{ASKED_RULE} {wish.model_name}",
        models=(wish.model_name,),
        level=Level.SERIES if wish.series else Level.STUDY,
        urgency=wish.urgency,
        when=(named,) if wish.series else (),
    )


def is_ready(workitem: Workitem, at: datetime) -> bool:
    """Tell whether a scheduled workitem may begin."""
    if text_of(workitem.attributes, w.READINESS) != "READY":
        return False
    start = moment_of(text_of(workitem.attributes, w.START_AT))
    return start is None or start <= at


def code_of(workitem: Workitem, order: Order) -> list[object]:
    """Return the codes of what was done: those that were scheduled, ours where there were none."""
    scheduled = values_of(workitem.attributes, w.WORKITEM_CODE)
    return scheduled or [w.code_item(name[:16], SCHEME, name) for name in order.models]


def _iter_codes(attributes: Attributes) -> Iterator[tuple[str, str]]:
    for item in values_of(attributes, w.WORKITEM_CODE):
        yield text_of(item, _CODE) or text_of(item, _LONG_CODE), text_of(item, _SCHEME)
    for item in values_of(attributes, w.PARAMETERS):
        for concept in values_of(item, _CONCEPT):
            if (text_of(concept, _CODE), text_of(concept, _SCHEME)) == (PARAMETER, SCHEME):
                yield text_of(item, _TEXT), SCHEME


def _card_codes(model: Model) -> set[tuple[str, str]]:
    pairs = (one.strip().partition("^") for one in model.card.get(_CARD, "").split(","))
    return {(code, scheme) for code, mark, scheme in pairs if mark}


def _retrieve_aets(attributes: Attributes) -> tuple[str, ...]:
    places = [
        place for item in values_of(attributes, w.INPUTS) for place in values_of(item, _DICOM_RETRIEVAL)
    ]
    return tuple(dict.fromkeys(text_of(place, _RETRIEVE_AET) for place in places))


def _studies(workitem: Workitem) -> tuple[str, ...]:
    """Return the studies whose images are named as input, each once."""
    named = (text_of(item, w.STUDY_UID) for item in values_of(workitem.attributes, w.INPUTS))
    return tuple(dict.fromkeys(uid for uid in named if uid))


def _series(attributes: Attributes, study: str) -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for item in values_of(attributes, w.INPUTS):
        series = text_of(item, w.SERIES_UID)
        if not series or text_of(item, w.STUDY_UID) != study:
            continue
        uids = {text_of(one, _INSTANCE) for one in values_of(item, _REFERENCED)}
        found[series] = found.get(series, frozenset()) | (uids - {""})
    return found
