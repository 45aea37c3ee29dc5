"""What became of findings since the prior study, as coded content of a report.

In: a Reading that compares.  Out: codes, numbers with their units, references to the prior study.
Never: a change without a code of its own passed off as another one.
"""

from __future__ import annotations

from collections.abc import Sequence

from highdicom import sr

from wetread.compose import header
from wetread.compose.wording import gone_line
from wetread.domain import code
from wetread.domain.code import Code
from wetread.domain.comparison import Comparison, GoneFinding, PriorComparison, PriorImages, Status

_CHANGE = Code(value="change", scheme="99WETREAD", meaning="Change since Prior Study")
#: PS3.16 CID 6134 (Chest Qualitative Temporal Difference Type), 6002 for what is new, 3770 for what is gone.
#: Whose place one scan does not show has none: nothing is known of it.
STATUS_CODES = {
    Status.NEW: Code(value="129721008", scheme="SCT", meaning="New finding"),
    Status.GROWING: Code(value="15454001", scheme="SCT", meaning="Increase in size"),
    Status.STABLE: Code(value="129723006", scheme="SCT", meaning="No significant changes in the finding"),
    Status.DECREASED: Code(value="19776001", scheme="SCT", meaning="Decrease in size"),
    Status.RESOLVED: Code(value="413322009", scheme="SCT", meaning="Problem resolved"),
}
_VOLUME_CHANGE = Code(value="volume-change", scheme="99WETREAD", meaning="Volume Change since Prior Study")
_LOWEST_CHANGE = Code(
    value="volume-change-low", scheme="99WETREAD", meaning="Lower 95% Bound of Volume Change"
)
_HIGHEST_CHANGE = Code(
    value="volume-change-up", scheme="99WETREAD", meaning="Upper 95% Bound of Volume Change"
)
_DOUBLING_TIME = Code(value="doubling-time", scheme="99WETREAD", meaning="Volume Doubling Time")
_PRIOR_VOLUME = Code(value="prior-volume", scheme="99WETREAD", meaning="Volume in Prior Study")
_INTERVAL = Code(value="prior-interval", scheme="99WETREAD", meaning="Days since Prior Study")
_TRACKING_UID = Code(value="112040", scheme="DCM", meaning="Tracking Unique Identifier")
_COMMENT = Code(value="121106", scheme="DCM", meaning="Comment")
_STUDY_UID = Code(value="110180", scheme="DCM", meaning="Study Instance UID")
_COMPARISON = Code(value="111424", scheme="DCM", meaning="Comparison to previous studies")
_REGISTRATION = Code(value="registration", scheme="99WETREAD", meaning="Registration of the Prior Study")
_PROPERTIES = sr.RelationshipTypeValues.HAS_PROPERTIES


def concept(value: Code) -> sr.CodedConcept:
    """Return a code as highdicom has it."""
    return sr.CodedConcept(
        value=value.value, scheme_designator=value.scheme, meaning=header.long_string(value.meaning)
    )


def status_evaluation(status: Status | None) -> list[sr.QualitativeEvaluation]:
    """Return what became of a finding, for its measurement group; none where that is not known."""
    if status not in STATUS_CODES:
        return []
    return [sr.QualitativeEvaluation(concept(_CHANGE), concept(STATUS_CODES[status]))]


def change_measurements(prior: PriorComparison | None) -> list[sr.Measurement]:
    """Return how a finding has changed, in numbers."""
    if prior is None:
        return []
    low, high = prior.volume_change_ci95
    numbers: list[tuple[Code, float | None, Code]] = [
        (_VOLUME_CHANGE, prior.volume_change_percent, code.PERCENT),
        (_LOWEST_CHANGE, low, code.PERCENT),
        (_HIGHEST_CHANGE, high, code.PERCENT),
        (_PRIOR_VOLUME, prior.volume_mm3, code.MM3),
        (_DOUBLING_TIME, prior.doubling_time_days, code.DAY),
        (_INTERVAL, prior.interval_days, code.DAY),
    ]
    return [
        sr.Measurement(name=concept(name), value=round(value, 3) + 0.0, unit=concept(unit))
        for name, value, unit in numbers
        if value is not None
    ]


def comparison_items(
    comparison: Comparison | None, registrations: Sequence[tuple[str, str]]
) -> list[sr.ContentItem]:
    """Return which study was compared with and what is gone: a report has no place to draw the latter.

    Parameters
    ----------
    registrations
        SOP Class and Instance UID of what lays the prior study on this one.
    """
    if comparison is None:
        return []
    compared = _with_properties(
        sr.CodeContentItem(
            name=concept(_COMPARISON),
            value=sr.CodedConcept("373066001", "SCT", "Yes"),
            relationship_type=sr.RelationshipTypeValues.CONTAINS,
        ),
        sr.UIDRefContentItem(
            name=concept(_STUDY_UID),
            value=comparison.study_instance_uid,
            relationship_type=_PROPERTIES,
        ),
        *(
            sr.CompositeContentItem(
                name=concept(_REGISTRATION),
                referenced_sop_class_uid=sop_class_uid,
                referenced_sop_instance_uid=uid,
                relationship_type=_PROPERTIES,
            )
            for sop_class_uid, uid in registrations
        ),
    )
    return [compared, *(_gone(one) for one in comparison.gone if one.status in STATUS_CODES)]


def _gone(one: GoneFinding) -> sr.ContentItem:
    properties: list[sr.ContentItem] = [
        sr.TextContentItem(name=concept(_COMMENT), value=gone_line(one), relationship_type=_PROPERTIES)
    ]
    if one.tracking_uid:
        properties.append(
            sr.UIDRefContentItem(
                name=concept(_TRACKING_UID), value=one.tracking_uid, relationship_type=_PROPERTIES
            )
        )
    item = sr.CodeContentItem(
        name=concept(_CHANGE),
        value=concept(STATUS_CODES[one.status]),
        relationship_type=sr.RelationshipTypeValues.CONTAINS,
    )
    return _with_properties(item, *properties)


def _with_properties(item: sr.ContentItem, *properties: sr.ContentItem) -> sr.ContentItem:
    item.ContentSequence = sr.ContentSequence(properties)
    return item


def prior_images(comparison: Comparison | None) -> PriorImages | None:
    """Return the images that were compared with, where they can be named."""
    images = comparison.images if comparison else None
    return images if images is not None and images.sop_class_uid and images.sop_instance_uids else None
