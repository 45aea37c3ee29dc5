"""Lung-RADS v2022 (American College of Radiology, November 2022).

In: a screening exam.  Out: category, modifiers, management, next exam.
Never: a category for an exam of another context.

The rows stand in the order in which they are tried; the first that is met gives a nodule's category. Marks:
[R] read at a source that quotes the ACR's table, [M] from memory, not yet compared with the ACR's document.

References
----------
ACR, Lung-RADS v2022. Christensen et al., JACR 2024;21:473, doi:10.1016/j.jacr.2023.09.009.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from wetread.errors import InvalidExam
from wetread.measure.guidelines.answer import Answer, NoduleAnswer, add_months, make_next_exam, months_between
from wetread.measure.guidelines.change import Change, find_change, round_mm, round_mm3
from wetread.measure.guidelines.exam import Exam, Nodule, Visit
from wetread.measure.guidelines.table import ANY, Band, band, volume_band

NAME = "Lung-RADS v2022"
#: Least suspicious first.
ORDER = ("1", "2", "3", "4A", "4B", "4X")
SUSPICIOUS = frozenset({"spiculation", "lymphadenopathy", "metastasis"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What a nodule must be to have a category."""

    id: str
    category: str
    type: str
    #: Of the nodule; for a part-solid one of its solid part where ``solid`` is not ANY.
    statuses: frozenset[str]
    #: Mean diameter, mm.
    size: Band = ANY
    #: Mean diameter of the solid part, mm.
    solid: Band = ANY
    features: frozenset[str] = frozenset()
    #: One of these as well.
    any_feature: frozenset[str] = frozenset()
    airway_levels: frozenset[str] = frozenset()
    #: Wall, locules, change.
    cyst: tuple[str, str, str] | None = None
    mark: str = "R"


_BASELINE = frozenset({"baseline"})
#: At a later exam, unless it became something else: as at the first.
_UNCHANGED = frozenset({"baseline", "stable", "decreased"})
_NEW = frozenset({"new"})
_GROWING = frozenset({"growing"})
_SLOW = frozenset({"slow-growing"})
_PRESENT = frozenset({"baseline", "new", "stable", "growing", "slow-growing", "decreased"})


def _solid(name: str, category: str, statuses: frozenset[str], size: Band) -> Row:
    return Row(id=f"solid-{name}", category=category, type="solid", statuses=statuses, size=size)


def _part(name: str, category: str, statuses: frozenset[str], size: Band, solid: Band = ANY) -> Row:
    kind = "part-solid"
    return Row(id=f"{kind}-{name}", category=category, type=kind, statuses=statuses, size=size, solid=solid)


def _glass(name: str, category: str, statuses: frozenset[str], size: Band) -> Row:
    kind = "ground-glass"
    return Row(id=f"{kind}-{name}", category=category, type=kind, statuses=statuses, size=size)


def _airway(
    name: str, category: str, statuses: frozenset[str], levels: tuple[str, ...], mark: str = "R"
) -> Row:
    return Row(
        id=f"airway-{name}",
        category=category,
        type="airway",
        statuses=statuses,
        airway_levels=frozenset(levels),
        mark=mark,
    )


def _cyst(category: str, wall: str, locules: str, change: str, mark: str = "R") -> Row:
    return Row(
        id=f"cyst-{wall}-{locules}-{change}",
        category=category,
        type="cyst",
        statuses=_PRESENT,
        cyst=(wall, locules, change),
        mark=mark,
    )


_CENTRAL = ("segmental", "proximal")

ROWS = (
    Row(
        id="solid-juxtapleural",
        category="2",
        type="solid",
        statuses=_UNCHANGED | _NEW,
        size=band(None, 10),
        features=frozenset({"juxtapleural", "smooth"}),
        any_feature=frozenset({"oval", "lentiform", "triangular"}),
    ),
    _solid("below-6", "2", _UNCHANGED, band(None, 6)),
    _solid("6-to-8", "3", _UNCHANGED, band(6, 8)),
    _solid("8-to-15", "4A", _UNCHANGED, band(8, 15)),
    _solid("from-15", "4B", _UNCHANGED, band(15)),
    _solid("new-below-4", "2", _NEW, band(None, 4)),
    _solid("new-4-to-6", "3", _NEW, band(4, 6)),
    _solid("new-6-to-8", "4A", _NEW, band(6, 8)),
    _solid("new-from-8", "4B", _NEW, band(8)),
    _solid("growing-below-8", "4A", _GROWING, band(None, 8)),
    _solid("growing-from-8", "4B", _GROWING, band(8)),
    _solid("slow-growing", "4B", _SLOW, ANY),
    _part("solid-part-new-from-4", "4B", _NEW, ANY, band(4)),
    _part("solid-part-growing-from-4", "4B", _GROWING, ANY, band(4)),
    _part("slow-growing", "4B", _SLOW, ANY),
    _part("new-below-6", "3", _NEW, band(None, 6)),
    _part("solid-part-new-below-4", "4A", _NEW, ANY, band(None, 4)),
    _part("solid-part-growing-below-4", "4A", _GROWING, ANY, band(None, 4)),
    _part("below-6", "2", _UNCHANGED, band(None, 6)),
    _part("solid-part-below-6", "3", _UNCHANGED, band(6), band(None, 6)),
    _part("solid-part-6-to-8", "4A", _UNCHANGED, band(6), band(6, 8)),
    _part("solid-part-from-8", "4B", _UNCHANGED, band(6), band(8)),
    _glass("below-30", "2", _PRESENT, band(None, 30)),
    _glass("stable-from-30", "2", frozenset({"stable", "decreased", "slow-growing"}), band(30)),
    _glass("from-30", "3", _BASELINE | _NEW, band(30)),
    # Not in the ACR's table: it is no longer slow, so it is as suspicious as a new one.
    replace(_glass("growing-from-30", "3", _GROWING, band(30)), mark="M"),
    _airway("subsegmental", "2", _PRESENT, ("subsegmental",)),
    _airway("persistent", "4B", frozenset({"stable", "growing", "slow-growing"}), _CENTRAL),
    _airway("segmental-or-proximal", "4A", _BASELINE, _CENTRAL),
    _airway("segmental-or-proximal-new", "4A", _NEW | frozenset({"decreased"}), _CENTRAL, "M"),
    _cyst("4A", "thick", "single", "none"),
    _cyst("3", "thick", "single", "growing"),
    _cyst("4A", "thick", "single", "more-loculated"),
    _cyst("4B", "thick", "single", "more-opacity"),
    _cyst("4A", "thin", "single", "more-loculated"),
    _cyst("4A", "thin", "multiple", "none"),
    _cyst("4B", "thin", "multiple", "growing"),
    _cyst("4B", "thin", "multiple", "more-loculated"),
    _cyst("4B", "thin", "multiple", "more-opacity"),
    _cyst("4A", "thick", "multiple", "none"),
    _cyst("4B", "thick", "multiple", "growing"),
    _cyst("4B", "thick", "multiple", "more-loculated"),
    _cyst("4B", "thick", "multiple", "more-opacity"),
)

#: Category before -> months for which it must have stood unchanged, and the category then.
STEPS = {"3": (6, "2"), "4A": (3, "3")}
#: What was reported with these stays so while it is unchanged.
_KEPT = ("2", "3", "4A", "4B")

_PET = " PET/CT may be considered if there is a solid nodule or solid part of 8 mm (268 mm3) or more."
MANAGEMENT = {
    "0": "Incomplete: compare with the prior CT, or take additional low-dose CT images.",
    "1": "Continue annual screening with low-dose CT in 12 months.",
    "2": "Continue annual screening with low-dose CT in 12 months.",
    "3": "Low-dose CT in 6 months.",
    "4A": f"Low-dose CT in 3 months.{_PET}",
    "4B": "Referral for clinical evaluation: diagnostic chest CT with or without contrast, PET/CT if "
    "there is a solid nodule or solid part of 8 mm (268 mm3) or more, tissue sampling, or both.",
    "4X": "As 4B: referral for clinical evaluation; additional features raise the suspicion of lung cancer.",
}
AFTER_MONTHS = {"1": (12, 12), "2": (12, 12), "3": (6, 6), "4A": (3, 3)}
_RESOLVED, _BENIGN, _NO_NODULE, _THIN_CYST = "resolved", "benign-or-fat", "no-nodule", "cyst-thin-single"


def ask_lung_rads(exam: Exam) -> Answer:
    """Return what Lung-RADS v2022 says.

    Raises
    ------
    InvalidExam
        If it is no screening exam, or a rule needs a field that is not there or contradicts another.
    """
    if exam.context == "incidental":
        raise InvalidExam(
            "Lung-RADS is for screening: ask fleischner or bts for incidental nodules", field="exam.context"
        )
    answers = tuple(_ask_nodule(exam, number) for number in range(len(exam.nodules)))
    scored = [one for one in answers if one.category is not None]
    # The first of the most suspicious ones.
    first = max(scored, key=lambda one: ORDER.index(one.category or "1"), default=None)
    category = first.category if first and first.category else "1"
    rule = first.rule if first else _NO_NODULE
    notes: tuple[str, ...] = ()
    incomplete = _incomplete(exam)
    after_months = AFTER_MONTHS.get(category)
    management = MANAGEMENT[category]
    if incomplete is not None:
        rule, management, after_months = incomplete
        if first is not None and category in {"4A", "4B", "4X"}:
            notes = (f"Nodule {first.id} is {category} by itself: do not wait with it.",)
        category = "0"
    return Answer(
        guideline=NAME,
        category=category,
        modifiers=("S",) if exam.significant_other_finding else (),
        nodule=first.id if first else None,
        rule=rule,
        management=management,
        next_exam=make_next_exam(exam.date, after_months),
        per_nodule=answers,
        notes=notes,
    )


def _incomplete(exam: Exam) -> tuple[str, str, tuple[int, int] | None] | None:
    if exam.infection:
        return (
            "0-infection",
            "Findings suggest infection or inflammation: low-dose CT in 1 to 3 months.",
            (1, 3),
        )
    if exam.prior_pending:
        return "0-prior-pending", "Compare with the prior chest CT that is being located.", None
    if not exam.evaluable:
        return (
            "0-not-evaluable",
            "Part or all of the lungs cannot be evaluated: additional low-dose CT.",
            None,
        )
    return None


def _ask_nodule(exam: Exam, number: int) -> NoduleAnswer:
    one = exam.nodules[number]
    change = find_change(exam, number)
    if change.status == "resolved":
        return _say(one, "1", _RESOLVED, change)
    if one.is_benign:
        return _say(one, "1", _BENIGN, change)
    if _is_thin_cyst(one, number):
        return replace(_say(one, "1", _THIN_CYST, change), category=None, management="Not scored.")
    _require(one, number)
    found = _find(one, change, number)
    category, rule = _step(exam, one, change, found)
    if category in {"3", "4A", "4B"} and (one.features & SUSPICIOUS or _has_doubled(exam, one)):
        category, rule = "4X", f"{rule}+suspicious"
    return replace(
        _say(one, category, rule, change),
        measured=_measured(one),
        category_by_volume=_by_volume(one, change),
        notes=() if found.mark == "R" else ("This row is from memory [M]: check it.",),
    )


def _say(one: Nodule, category: str, rule: str, change: Change) -> NoduleAnswer:
    return NoduleAnswer(
        id=one.id, category=category, rule=rule, management=MANAGEMENT[category], status=change.status
    )


def _is_thin_cyst(one: Nodule, number: int) -> bool:
    if one.type != "cyst" or one.cyst is None or (one.cyst.wall, one.cyst.locules) != ("thin", "single"):
        return False
    if one.cyst.change == "more-opacity":
        raise InvalidExam(
            "A thin wall with a new opacity is a nodular, thick wall: say so in cyst.wall",
            field=f"nodules[{number}].cyst.wall",
        )
    return one.cyst.change != "more-loculated"


def _require(one: Nodule, number: int) -> None:
    def lacks(name: str, why: str) -> InvalidExam:
        return InvalidExam(f"The field is needed for {why}", field=f"nodules[{number}].{name}")

    if one.type == "cyst":
        if one.cyst is None:
            raise lacks("cyst", "a cyst")
    elif one.type == "airway":
        if one.airway_level is None:
            raise lacks("airway_level", "an airway nodule")
    elif one.mean_diameter_mm is None and one.volume_mm3 is None:
        raise lacks("mean_diameter_mm", f"a {one.type} nodule (or its volume_mm3)")
    elif one.type == "part-solid" and one.solid_mean_diameter_mm is None:
        raise lacks("solid_mean_diameter_mm", "a part-solid nodule")


def _find(one: Nodule, change: Change, number: int) -> Row:
    by_volume = one.mean_diameter_mm is None
    row = next((row for row in ROWS if _is_met(row, one, change, by_volume=by_volume)), None)
    if row is None:
        raise InvalidExam("No row of the table is met: check this nodule", field=f"nodules[{number}]")
    return row


def _is_met(row: Row, one: Nodule, change: Change, *, by_volume: bool) -> bool:
    return (
        row.type == one.type
        and _status_of(one, change) in row.statuses
        and _fits(row, one, by_volume=by_volume)
        and row.features <= one.features
        and (not row.any_feature or bool(row.any_feature & one.features))
        and (not row.airway_levels or one.airway_level in row.airway_levels)
        and (
            row.cyst is None
            or (one.cyst is not None and row.cyst == (one.cyst.wall, one.cyst.locules, one.cyst.change))
        )
    )


def _status_of(one: Nodule, change: Change) -> str:
    if one.type != "part-solid" or change.status == "new":
        return change.status
    if change.solid_status in {"new", "growing", "slow-growing"}:
        return change.solid_status
    # The whole grows, its solid part does not: what counts is the size of that part.
    return "stable" if change.status == "growing" and change.solid_status == "stable" else change.status


def _fits(row: Row, one: Nodule, *, by_volume: bool) -> bool:
    if row.solid != ANY and not (
        one.solid_mean_diameter_mm is not None and row.solid.holds(round_mm(one.solid_mean_diameter_mm))
    ):
        return False
    if row.size == ANY:
        return True
    if by_volume:
        return one.volume_mm3 is not None and volume_band(row.size).holds(round_mm3(one.volume_mm3))
    return one.mean_diameter_mm is not None and row.size.holds(round_mm(one.mean_diameter_mm))


def _by_volume(one: Nodule, change: Change) -> str | None:
    if one.mean_diameter_mm is None or one.volume_mm3 is None or one.type in {"cyst", "airway"}:
        return None
    return next((row.category for row in ROWS if _is_met(row, one, change, by_volume=True)), None)


def _step(exam: Exam, one: Nodule, change: Change, found: Row) -> tuple[str, str]:
    """Return category and rule of a nodule that is unchanged since it got a category."""
    is_unchanged = change.status in {"stable", "decreased"} and change.solid_status in {"stable", "decreased"}
    if not is_unchanged or not one.history or one.type in {"airway", "ground-glass"}:
        return found.category, found.id
    last = one.history[-1]
    before = last.category if last.category != "4X" else "4B"
    if before not in _KEPT:
        before = _category_then(one, last)
    if before is None:
        return found.category, found.id
    if before in STEPS:
        months, after = STEPS[before]
        # To the nearest whole month: appointments do not fall on the day.
        if round(months_between(last.date, exam.date)) >= months:
            return after, f"{before}-unchanged-{months}-months"
    return before, f"{before}-unchanged"


def _category_then(one: Nodule, visit: Visit) -> str | None:
    """Return the category that the size of an earlier exam gives, None where it is not known."""
    if visit.mean_diameter_mm is None and visit.volume_mm3 is None:
        return None
    then = replace(
        one,
        mean_diameter_mm=visit.mean_diameter_mm,
        solid_mean_diameter_mm=visit.solid_mean_diameter_mm,
        volume_mm3=visit.volume_mm3,
    )
    first = Change(status="baseline", solid_status="baseline")
    by_volume = visit.mean_diameter_mm is None
    return next((row.category for row in ROWS if _is_met(row, then, first, by_volume=by_volume)), None)


def _has_doubled(exam: Exam, one: Nodule) -> bool:
    """Tell whether a ground-glass nodule has doubled its size within a year."""
    if one.type != "ground-glass" or one.mean_diameter_mm is None:
        return False
    return any(
        visit.mean_diameter_mm and one.mean_diameter_mm >= 2 * visit.mean_diameter_mm
        for visit in one.history
        if add_months(visit.date, 12) >= exam.date
    )


def _measured(one: Nodule) -> dict[str, Decimal]:
    measured: dict[str, Decimal] = {}
    if one.mean_diameter_mm is not None:
        measured["mean_diameter_mm"] = round_mm(one.mean_diameter_mm)
    if one.type == "part-solid" and one.solid_mean_diameter_mm is not None:
        measured["solid_mean_diameter_mm"] = round_mm(one.solid_mean_diameter_mm)
    if one.volume_mm3 is not None:
        measured["volume_mm3"] = round_mm3(one.volume_mm3)
    return measured
