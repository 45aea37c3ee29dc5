"""How a version in the shadow compares with the live one, in numbers.

In: what both said of each series, and whose it is.  Out: ``ShadowComparison``.
Never: versions mixed; a number without its count and interval; one patient counted as several.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from wetread.contract.shadow import (
    Estimate,
    Fourfold,
    LabelAgreement,
    MeasuredDifference,
    PriorityAgreement,
    PriorityCase,
    ShadowComparison,
    ShadowSide,
)
from wetread.domain.lifecycle import ModelState
from wetread.domain.measurement import MEASUREMENTS
from wetread.domain.reading import Outcome, Priority
from wetread.domain.shadow import Said
from wetread.domain.study import study_key
from wetread.registry.lineup import Entry, Lineup, find_entry, find_period, stand
from wetread.registry.pairing import RULE, pair_findings
from wetread.stats.agree import bland_altman, kappa
from wetread.stats.interval import UNDEFINED, Interval, proportion
from wetread.stats.resample import bootstrap, mean_of
from wetread.store import Store
from wetread.store.model_states import ModelChange
from wetread.store.shadows import ShadowRow

#: Series that a comparison is about, the newest.
MOST_SERIES = 1000
#: Series whose priorities differ that are named, the newest.
MOST_CASES = 100
_GRADES = list(Priority)

#: Of findings; those of a series are all compared.
_SIZES = ("volume_mm3", "volume_ml", "long_axis_mm", "short_axis_mm", "mean_diameter_mm", "area_mm2")
#: What was measured live and in the shadow, and whose it is.
_Measured = tuple[Mapping[str, float], Mapping[str, float], str]


def compare(store: Store, lineup: Lineup, name: str, version: str = "") -> ShadowComparison:
    """Return how a version did in the shadow, the last time that it was there.

    Parameters
    ----------
    version
        ``""``: the one that is in the shadow now, or the only one that is not retired.

    Raises
    ------
    UnknownModel
        If no such version is registered.
    """
    changes = lineup.states.list_all()
    entries = stand(lineup.packages, changes)
    entry = _find(entries, name, version)
    one = entry.model.identity
    period = find_period(changes, one.digest)
    number = period.id if period else 0
    rows = store.shadows.list_done(one.digest, number, MOST_SERIES)
    series, waiting = store.shadows.count(one.digest, number)
    against = _find_live(entry, entries, changes, rows)
    pairs = [
        _Pair(row.study_instance_uid, row.beside, row.said, _whose(row))
        for row in rows
        if row.said is not None and row.beside is not None and _is_comparable(row.said, row.beside, against)
    ]
    alone = ShadowComparison(
        name=one.name,
        version=one.version,
        digest=one.digest,
        state=entry.state,
        in_service=entry.in_service,
        since=datetime.fromtimestamp(period.at, UTC) if period else None,
        series=series,
        waiting=waiting,
        counted=len(rows),
        rule=RULE,
        shadow=_side(one.version, one.digest, [(row.said, _whose(row)) for row in rows if row.said]),
        not_comparable=sum(row.beside is not None for row in rows) - len(pairs),
    )
    return _beside(alone, pairs) if pairs else alone


@dataclass(frozen=True, slots=True)
class _Pair:
    """A series of which both said something."""

    study_instance_uid: str
    live: Said
    shadow: Said
    whose: str

    @property
    def is_read(self) -> bool:
        """Whether both read it."""
        return self.live.outcome is self.shadow.outcome is Outcome.READ


def _beside(alone: ShadowComparison, pairs: Sequence[_Pair]) -> ShadowComparison:
    """Return the numbers of both, of the series that both had."""
    live = pairs[0].live
    read = [one for one in pairs if one.is_read]
    timed = [
        (one.shadow.seconds - one.live.seconds, one.whose)
        for one in read
        if one.shadow.seconds is not None and one.live.seconds is not None
    ]
    return replace(
        alone,
        shadow=_side(alone.version, alone.digest, [(one.shadow, one.whose) for one in pairs]),
        live=_side(live.version, live.digest, [(one.live, one.whose) for one in pairs]),
        read=_fourfold(
            [(_is_read(one.live), _is_read(one.shadow), one.whose) for one in pairs],
        ),
        found=_fourfold([(bool(one.live.findings), bool(one.shadow.findings), one.whose) for one in read]),
        labels=_labels(read),
        priorities=_priorities(read),
        differences=(*_of_findings(read), *_of_series(read)),
        seconds=_mean(timed),
    )


def _find(entries: Sequence[Entry], name: str, version: str) -> Entry:
    mine = [one for one in entries if one.model.identity.name == name and one.state is ModelState.SHADOW]
    return mine[0] if len(mine) == 1 and not version else find_entry(entries, name, version)


def _find_live(
    entry: Entry, entries: Sequence[Entry], changes: Sequence[ModelChange], rows: Sequence[ShadowRow]
) -> str:
    """Return the digest of the live version; of what is not in the shadow any more, of the one that was."""
    one = entry.model.identity
    if entry.state is not ModelState.SHADOW:
        return next((row.beside.digest for row in rows if row.beside), "")
    states = {other.model.identity.digest: other.state for other in entries if _is_called(other, one.name)}
    states |= {change.digest: change.state for change in changes if change.name == one.name}
    return next((digest for digest, state in states.items() if state is ModelState.LIVE), "")


def _is_called(entry: Entry, name: str) -> bool:
    return entry.model.identity.name == name


def _is_comparable(said: Said, beside: Said, against: str) -> bool:
    is_read = said.outcome is beside.outcome is Outcome.READ
    is_same = not is_read or said.series_instance_uid == beside.series_instance_uid
    return beside.digest == against and is_same


def _whose(row: ShadowRow) -> str:
    # Of nobody knows whom: each study stands for itself.
    return row.patient_id or row.study_instance_uid


def _is_read(said: Said) -> bool:
    return said.outcome is Outcome.READ


def _side(version: str, digest: str, said: Sequence[tuple[Said, str]]) -> ShadowSide:
    read = [(one, who) for one, who in said if _is_read(one)]
    return ShadowSide(
        version=version,
        digest=digest,
        read=_share([(_is_read(one), who) for one, who in said]),
        failures=dict(sorted(Counter(code for one, _ in said for code in one.codes).items())),
        findings_a_series=_mean([(float(len(one.findings)), who) for one, who in read]),
        priorities={grade: sum(one.priority is grade for one, _ in read) for grade in Priority},
        seconds=_mean([(one.seconds, who) for one, who in read if one.seconds is not None]),
    )


def _fourfold(said: Sequence[tuple[bool, bool, str]]) -> Fourfold:
    counts = Counter((live, shadow) for live, shadow, _ in said)
    return Fourfold(
        both=counts[True, True],
        only_live=counts[True, False],
        only_shadow=counts[False, True],
        neither=counts[False, False],
        agreement=_share([(live is shadow, who) for live, shadow, who in said]),
    )


def _labels(read: Sequence[_Pair]) -> tuple[LabelAgreement, ...]:
    """Return by code which findings both have, and which one of them."""
    seen: dict[tuple[str, str], list[tuple[str, str, str]]] = {}
    for one in read:
        pairs, live, shadow = pair_findings(one.live.findings, one.shadow.findings)
        told = [("both", finding) for finding, _ in pairs]
        told += [("live", finding) for finding in live] + [("shadow", finding) for finding in shadow]
        for which, finding in told:
            place = seen.setdefault((finding.scheme, finding.code), [])
            place.append((which, finding.label, one.whose))
    return tuple(
        LabelAgreement(
            label=found[0][1],
            code=code,
            scheme=scheme,
            both=sum(which == "both" for which, _, _ in found),
            only_live=sum(which == "live" for which, _, _ in found),
            only_shadow=sum(which == "shadow" for which, _, _ in found),
            agreement=_share([(which == "both", who) for which, _, who in found]),
        )
        for (scheme, code), found in sorted(seen.items())
    )


def _priorities(read: Sequence[_Pair]) -> PriorityAgreement:
    differing = [one for one in read if one.live.priority is not one.shadow.priority]
    live, shadow = ([_GRADES.index(said.priority) for said in side] for side in _sides(read))
    whose = [one.whose for one in read]
    return PriorityAgreement(
        agreement=_share([(one.live.priority is one.shadow.priority, one.whose) for one in read]),
        kappa=_told(len(read), kappa(live, shadow, len(_GRADES), whose, "linear") if read else UNDEFINED),
        differing=len(differing),
        cases=tuple(
            PriorityCase(
                study_key=study_key(one.study_instance_uid),
                study_instance_uid=one.study_instance_uid,
                series_instance_uid=one.shadow.series_instance_uid,
                live=one.live.priority,
                shadow=one.shadow.priority,
            )
            for one in differing[:MOST_CASES]
        ),
    )


def _sides(read: Sequence[_Pair]) -> tuple[list[Said], list[Said]]:
    return [one.live for one in read], [one.shadow for one in read]


def _of_findings(read: Sequence[_Pair]) -> Iterator[MeasuredDifference]:
    """Yield what the two measured differently of findings that both have."""
    pairs = [
        (live.measurements, shadow.measurements, one.whose)
        for one in read
        for live, shadow in pair_findings(one.live.findings, one.shadow.findings)[0]
    ]
    yield from (_difference(pairs, name, of_findings=True) for name in _SIZES if _has(pairs, name))


def _of_series(read: Sequence[_Pair]) -> Iterator[MeasuredDifference]:
    pairs = [(one.live.measurements, one.shadow.measurements, one.whose) for one in read]
    yield from (_difference(pairs, name, of_findings=False) for name in MEASUREMENTS if _has(pairs, name))


def _has(pairs: Sequence[_Measured], name: str) -> bool:
    return any(name in live and name in shadow for live, shadow, _ in pairs)


def _difference(pairs: Sequence[_Measured], name: str, *, of_findings: bool) -> MeasuredDifference:
    both = [(live[name], shadow[name], who) for live, shadow, who in pairs if name in live and name in shadow]
    live, shadow, whose = zip(*both, strict=True)
    found = bland_altman(live, shadow, whose)
    return MeasuredDifference(
        of_findings=of_findings,
        measurement=name,
        mean=_told(len(both), found.bias),
        low=_told(len(both), found.low),
        high=_told(len(both), found.high),
    )


def _share(hits: Sequence[tuple[bool, str]]) -> Estimate:
    return _told(len(hits), proportion([hit for hit, _ in hits], [who for _, who in hits]))


def _mean(values: Sequence[tuple[float, str]]) -> Estimate:
    numbers, whose = [value for value, _ in values], [who for _, who in values]
    return _told(len(values), bootstrap(mean_of(numbers), whose) if values else UNDEFINED)


def _told(count: int, interval: Interval) -> Estimate:
    value, low, high = (
        one if math.isfinite(one) else None for one in (interval.value, interval.low, interval.high)
    )
    return Estimate(n=count, value=value, low=low, high=high)
