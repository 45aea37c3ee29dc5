"""What readers changed and added, as content of a report: who, and which values are theirs.

In: what a reader changed in a finding, or added.  Out: content items.
Never: a number by hand as an algorithm's; a measurement group without coordinates.

A finding that a reader added has a slice and no outline. OHIF 3.13 stops at a measurement group without
coordinates, so it stands among the evaluations: its code, with the reader, the sizes and the image below.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from highdicom import sr

from wetread.compose import header
from wetread.compose.draft import Addition, Draft, Revised
from wetread.compose.sr_change import concept
from wetread.domain.change import UNNAMED
from wetread.domain.code import Code
from wetread.domain.measurement import MEASUREMENTS

_OBSERVER_TYPE = Code(value="121005", scheme="DCM", meaning="Observer Type")
_PERSON = Code(value="121006", scheme="DCM", meaning="Person")
_PERSON_NAME = Code(value="121008", scheme="DCM", meaning="Person Observer Name")
#: Recording of data by a human operator (PS3.16 annex D).
_MANUAL_ENTRY = Code(value="113857", scheme="DCM", meaning="Manual Entry")
_FINDING = Code(value="121071", scheme="DCM", meaning="Finding")
_COMMENT = Code(value="121106", scheme="DCM", meaning="Comment")
_TRACKING_UID = Code(value="112040", scheme="DCM", meaning="Tracking Unique Identifier")
_LATERALITY = Code(value="272741003", scheme="SCT", meaning="Laterality")
_SOURCE_IMAGE = Code(value="121112", scheme="DCM", meaning="Source of Measurement")
_CONTEXT = sr.RelationshipTypeValues.HAS_OBS_CONTEXT
_PROPERTY = sr.RelationshipTypeValues.HAS_PROPERTIES


def observer(person: str) -> list[sr.ContentItem]:
    """Return the context of what a person observed (TID 1002, 1003): it holds below its parent."""
    if not person:
        return []
    return [
        sr.CodeContentItem(name=concept(_OBSERVER_TYPE), value=concept(_PERSON), relationship_type=_CONTEXT),
        sr.PnameContentItem(
            # The caret says that a name of one component is meant.
            name=concept(_PERSON_NAME),
            value=f"{header.person_name(person)}^",
            relationship_type=_CONTEXT,
        ),
    ]


def by_whom(revised: Revised | None, name: str, algorithm: sr.AlgorithmIdentification) -> dict[str, Any]:
    """Return who a measurement of a finding is by, where its group does not say it for all of them."""
    if revised is None or (revised.is_outlined and name not in revised.by_hand):
        return {}
    if name in revised.by_hand:
        return {"method": concept(_MANUAL_ENTRY)}
    return {"algorithm_id": algorithm}


def added_items(draft: Draft) -> Iterator[sr.ContentItem]:
    """Return the findings that readers added."""
    for one in draft.by_readers.added if draft.by_readers else ():
        item = sr.CodeContentItem(
            name=concept(_FINDING),
            value=concept(one.said.code or UNNAMED),
            relationship_type=sr.RelationshipTypeValues.CONTAINS,
        )
        item.ContentSequence = sr.ContentSequence([*observer(one.person), *_properties(one)])
        yield item


def _properties(one: Addition) -> Iterator[sr.ContentItem]:
    yield sr.TextContentItem(
        name=concept(_COMMENT), value=f"{one.name}: {one.said.label}", relationship_type=_PROPERTY
    )
    yield sr.UIDRefContentItem(
        name=concept(_TRACKING_UID), value=one.tracking_uid, relationship_type=_PROPERTY
    )
    if one.said.laterality is not None:
        yield sr.CodeContentItem(
            name=concept(_LATERALITY), value=concept(one.said.laterality), relationship_type=_PROPERTY
        )
    for name, value in one.said.measurements.items():
        yield sr.NumContentItem(
            name=concept(MEASUREMENTS[name].concept),
            value=round(value, 3) + 0.0,
            unit=concept(MEASUREMENTS[name].unit),
            relationship_type=_PROPERTY,
        )
    if one.said.place is not None and one.sop_class_uid:
        yield sr.ImageContentItem(
            name=concept(_SOURCE_IMAGE),
            referenced_sop_class_uid=one.sop_class_uid,
            referenced_sop_instance_uid=one.said.place.sop_instance_uid,
            relationship_type=sr.RelationshipTypeValues.INFERRED_FROM,
        )
