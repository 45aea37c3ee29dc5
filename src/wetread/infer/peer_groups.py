"""The measurement groups of a report by somebody else (TID 1500, 1410, 1411, 1501).

In: a report, its places.  Out: what it says of each thing, and which items were not taken.
Never: "nothing found" where an item says something that is not understood.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from wetread.dicom.content import Content, Report
from wetread.dicom.header import is_uid
from wetread.domain.code import Code
from wetread.domain.finding import Axes, Evaluation
from wetread.infer import peer_words as words
from wetread.infer.peer_places import Place, Places
from wetread.infer.peer_words import not_understood, told

_MOST_EVALUATIONS = 32
#: Where a measurement group can stand: root, measurements, and whatever a vendor puts around.
_ASIDE_RELATIONS = ("HAS OBS CONTEXT", "HAS ACQ CONTEXT", "HAS CONCEPT MOD", "HAS PROPERTIES")
_SAYING = ("CODE", "NUM")


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a report says of one thing."""

    #: None: it has no name.
    code: Code | None = None
    place: Place
    #: Whether ``place`` is more than all that was looked at.
    is_placed: bool = True
    #: A normal part that was measured.
    is_anatomy: bool = False
    tracking_uid: str = ""
    probability: float | None = None
    site: Code | None = None
    laterality: Code | None = None
    texture: Code | None = None
    measurements: dict[str, float] = field(default_factory=dict)
    evaluations: tuple[Evaluation, ...] = ()
    axes: Axes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What was taken out of a report."""

    said: tuple[Said, ...] = ()
    #: What stands there besides, by ``told``.
    left: tuple[str, ...] = ()
    #: Some of the vendor's algorithms did not run.
    is_partial: bool = False


def read_groups(report: Report, places: Places) -> Taken:
    """Return what the measurement groups say.

    Raises
    ------
    RefusedAnswer
        If the report has none and is no TID 1500, or says something outside of them that may be a finding.
    """
    groups, besides = _split(report.root)
    left = {told(one.concept) for one in besides if one.kind in (*_SAYING, "TEXT")}
    if not groups:
        saying = [one for one in besides if one.kind in _SAYING]
        if report.root.concept not in words.MEASUREMENT_REPORT or saying:
            what = saying[0].concept if saying else report.root.concept
            raise not_understood(f"no measurement group, but {told(what)}")
    said = []
    for group in _merge(groups, places):
        one, more = _read_group(group, places)
        said.append(one)
        left |= more
    return Taken(said=tuple(said), left=tuple(sorted(left)))


def _split(root: Content) -> tuple[list[Content], list[Content]]:
    """Return the groups, and all other items that may say something of the images."""
    groups, besides, waiting = [], [], list(reversed(root.children))
    while waiting:
        one = waiting.pop()
        if one.relationship in _ASIDE_RELATIONS or one.concept in words.IMAGE_LIBRARY:
            continue
        if one.concept in words.MEASUREMENT_GROUP:
            groups.append(one)
            continue
        if one.concept not in words.ASIDE:
            besides.append(one)
        waiting.extend(reversed(one.children))
    return groups, besides


def _merge(groups: Iterable[Content], places: Places) -> list[Content]:
    """Return groups with those of one tracking UID as one: outline and axes often stand apart."""
    merged: dict[str, Content] = {}
    for number, group in enumerate(groups):
        uid = _tracking_uid(places.resolve(one) for one in group.children) or f"{number}"
        known = merged.get(uid)
        merged[uid] = group if known is None else replace(known, children=known.children + group.children)
    return list(merged.values())


def _tracking_uid(items: Iterable[Content]) -> str:
    uids = [one.text for one in items if one.kind == "UIDREF" and one.concept in words.TRACKING_UID]
    return uids[0] if uids and is_uid(uids[0]) else ""


def _read_group(group: Content, places: Places) -> tuple[Said, set[str]]:
    places.require_images(group)
    children = [places.resolve(one) for one in group.children]
    codes, numbers = _of(children, "CODE"), _of(children, "NUM")
    measurements, probability, left = _numbers(numbers)
    name = next((one.code for one in codes if one.concept in words.FINDING), None)
    category = next((one.code for one in codes if one.concept in words.CATEGORY), None)
    site = next((one for one in codes if one.concept in words.SITE), None)
    sides = [one.code for one in codes if one.concept in words.SIDE]
    sides += [one.code for one in site.children if one.concept in words.SIDE] if site is not None else []
    texture = next((words.find_texture(one.code) for one in codes if one.concept in words.TEXTURE), None)
    evaluations = tuple(_evaluations(codes, with_texture=texture is None))
    left |= {told(one.concept) for one in children if one.kind == "TEXT" and one.concept not in words.ASIDE}
    if len(evaluations) > _MOST_EVALUATIONS:
        raise not_understood("a finding with more evaluations than any real one")
    found = _place(children, group, places)
    place = found or places.everywhere()
    said = Said(
        code=name,
        place=place,
        is_placed=found is not None,
        is_anatomy=category in words.ANATOMY,
        tracking_uid=_tracking_uid(children),
        probability=probability,
        site=site.code if site is not None else None,
        laterality=next((side for one in sides if (side := words.find_side(one)) is not None), None),
        texture=texture,
        measurements=measurements,
        evaluations=evaluations,
        axes=_axes(numbers, places, place),
    )
    return said, left


def _of(items: Iterable[Content], kind: str) -> list[Content]:
    return [one for one in items if one.kind == kind and one.concept is not None]


def _numbers(items: list[Content]) -> tuple[dict[str, float], float | None, set[str]]:
    """Return measurements by our names, the certainty, and what else there is."""
    measurements: dict[str, float] = {}
    left, certain = set(), None
    for one in items:
        if one.concept in words.PROBABILITY:
            certain = words.share(one) if certain is None else certain
            continue
        found = words.measured(one)
        if found is None:
            left.add(told(one.concept))
        elif not math.isclose(measurements.setdefault(*found), found[1], rel_tol=1e-6):
            raise not_understood(f"{told(one.concept)} of one finding with two values")
    return {name: round(value, 3) for name, value in measurements.items()}, certain, left


def _evaluations(codes: Iterable[Content], *, with_texture: bool) -> Iterator[Evaluation]:
    known = (words.FINDING, words.CATEGORY, words.SITE, words.SIDE, words.ASIDE)
    for one in codes:
        is_known = any(one.concept in word for word in known)
        is_texture = one.concept in words.TEXTURE and not with_texture
        if one.concept is not None and one.code is not None and not is_known and not is_texture:
            yield Evaluation(concept=one.concept, value=one.code)


def _place(children: list[Content], group: Content, places: Places) -> Place | None:
    """Return where a group lies: its own regions, else those of its measurements, else its images."""
    return (
        places.find(one for one in children if one.kind != "NUM")
        or places.find(places.below(group))
        or places.find_images(places.below(group))
    )


def _axes(numbers: list[Content], places: Places, place: Place) -> Axes | None:
    long = [one for one in numbers if one.concept in words.LONG_AXIS]
    short = [one for one in numbers if one.concept in words.SHORT_AXIS]
    if len(long) != 1 or len(short) != 1:
        return None
    return places.axes(long[0], short[0], place.key_plane)
