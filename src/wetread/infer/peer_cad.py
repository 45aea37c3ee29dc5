"""Chest and mammography CAD reports by somebody else: name, position and certainty of what they mark.

In: a report, its places.  Out: what it says of each thing that is meant to be shown.
Never: "nothing found" where an algorithm failed; a finding that its vendor does not want shown.

References
----------
PS3.16 TID 4000 to 4006 (mammography), 4100 to 4105 (chest); CID 6034 and 6047.
"""

from __future__ import annotations

from collections.abc import Iterator

from wetread.dicom.content import Content, Report
from wetread.domain.problem import ProblemCode, RefusedAnswer
from wetread.infer import peer_words as words
from wetread.infer.peer_groups import Said, Taken
from wetread.infer.peer_places import Places
from wetread.infer.peer_words import not_understood, told


def is_cad(report: Report) -> bool:
    """Tell whether a report is one of these."""
    return report.root.concept in words.CHEST_CAD or report.root.concept in words.MAMMOGRAPHY_CAD


def read_cad(report: Report, places: Places) -> Taken:
    """Return what a CAD report marks.

    Raises
    ------
    RefusedAnswer
        If it does not say how its algorithms ended, if they failed and found nothing, or if a finding that is
        to be shown has neither name nor place.
    """
    summaries = [one for one in report.root.children if one.concept in words.SUMMARY and one.kind == "CODE"]
    if len(summaries) != 1:
        raise not_understood("it does not say how its algorithms ended (DCM 111017)")
    (summary,) = summaries
    if summary.code in words.SOME_WITHOUT:
        raise RefusedAnswer(
            ProblemCode.PEER_FAILED,
            "The other vendor's AI says that its algorithms failed and that nothing was found by the others:"
            " this is no result. Look there.",
        )
    known = (words.ALL_WITH, words.ALL_WITHOUT, words.SOME_WITH)
    if not any(summary.code in one for one in known):
        raise not_understood(f"{told(summary.code)} of DCM 111017")
    features = [one for one in _features(summary, places) if _is_presented(one, places)]
    if summary.code in words.ALL_WITHOUT and features:
        raise not_understood("it says that nothing was found, and marks something")
    said = tuple(_read_feature(one, places) for one in features)
    # What is taken of a finding is its name, place and certainty; other numbers are named.
    left = {
        told(one.concept)
        for feature in features
        for one in places.below(feature)
        if one.kind == "NUM" and one.concept not in words.PROBABILITY
    }
    return Taken(said=said, left=tuple(sorted(left)), is_partial=summary.code in words.SOME_WITH)


def _features(summary: Content, places: Places) -> Iterator[Content]:
    """Yield composite features, and findings on one image that are part of none; each once."""
    composite, single = [], []
    for one in places.below(summary):
        if one.kind == "CODE" and one.concept in words.COMPOSITE:
            composite.append(one)
        elif one.kind == "CODE" and one.concept in words.SINGLE:
            single.append(one)
    # Equal ones are the same item, seen once in its place and once by reference.
    parts = {id(part) for one in composite for part in places.below(one)}
    seen: set[int] = set()
    for one in (*composite, *(part for part in single if id(part) not in parts)):
        if id(one) not in seen:
            seen.add(id(one))
            yield one


def _is_presented(feature: Content, places: Places) -> bool:
    intents = [one.code for one in map(places.resolve, feature.children) if one.concept in words.INTENT]
    return not any(one in words.NOT_PRESENTED for one in intents)


def _read_feature(feature: Content, places: Places) -> Said:
    if feature.code is None:
        raise not_understood(f"{told(feature.concept)} without a name")
    places.require_images(feature)
    below, own = list(places.below(feature)), [places.resolve(one) for one in feature.children]
    centers = [one for one in own if one.concept in words.CENTER] or [
        one for one in below if one.concept in words.CENTER
    ]
    outlines = [one for one in below if one.concept in words.OUTLINE]
    place = places.find([*outlines, *centers])
    if place is None:
        raise not_understood(f"{told(feature.code)} without a place")
    certain = [one for one in own if one.kind == "NUM" and one.concept in words.PROBABILITY]
    certain = certain or [one for one in below if one.kind == "NUM" and one.concept in words.PROBABILITY]
    uids = [one.text for one in own if one.kind == "UIDREF" and one.concept in words.TRACKING_UID]
    sites = [one for one in own if one.kind == "CODE" and one.concept in words.SITE]
    sides = [one.code for one in own if one.concept in words.SIDE]
    sides += [one.code for site in sites for one in site.children if one.concept in words.SIDE]
    return Said(
        code=feature.code,
        place=place,
        tracking_uid=uids[0] if uids else "",
        probability=max((words.share(one) for one in certain), default=None),
        site=sites[0].code if sites else None,
        laterality=next((side for one in sides if (side := words.find_side(one)) is not None), None),
    )
