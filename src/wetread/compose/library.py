"""Which images were analysed: the Image Library of a report (TID 1600, PS3.16).

In: a draft.  Out: a container that names each image once.  Never: an image that the model did not see.

IHE AIR asks for it: who reads a report must be able to get what it was made from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

from highdicom import sr

from wetread.compose import header
from wetread.compose.draft import Draft
from wetread.compose.sr_change import prior_images
from wetread.domain.code import Code

_LIBRARY = Code(value="111028", scheme="DCM", meaning="Image Library")
_GROUP = Code(value="126200", scheme="DCM", meaning="Image Library Group")
_MODALITY = Code(value="121139", scheme="DCM", meaning="Modality")
_FRAME_OF_REFERENCE = Code(value="112227", scheme="DCM", meaning="Frame of Reference UID")
_STUDY_DATE = Code(value="111060", scheme="DCM", meaning="Study Date")
_SOURCE = Code(value="260753009", scheme="SCT", meaning="Source")
_CONTAINS = sr.RelationshipTypeValues.CONTAINS
_CONTEXT = sr.RelationshipTypeValues.HAS_ACQ_CONTEXT


def image_library(draft: Draft, frame_of_reference_uid: str) -> sr.ContainerContentItem:
    """Return the container: the images of the series that was read, then those that were compared with."""
    classes = {plane.sop_instance_uid: plane.sop_class_uid for plane in draft.source.planes}
    modality = draft.source.text("Modality") or "OT"
    groups = [_group(modality, frame_of_reference_uid, classes)]
    comparison = draft.reading.comparison
    prior = prior_images(comparison)
    if prior is not None and comparison is not None:
        classes = dict.fromkeys(prior.sop_instance_uids, prior.sop_class_uid)
        groups.append(_group(modality, prior.frame_of_reference_uid, classes, comparison.studied_on))
    return _container(_LIBRARY, groups)


def _group(
    modality: str, frame_of_reference_uid: str, classes: Mapping[str, str], studied_on: str = ""
) -> sr.ContainerContentItem:
    """Return a group of images of one series, TID 1602: UID to SOP class."""
    shared: list[sr.ContentItem] = [
        sr.CodeContentItem(
            name=_concept(_MODALITY),
            value=sr.CodedConcept(modality, "DCM", modality),
            relationship_type=_CONTEXT,
        )
    ]
    if studied_on:
        day = date.fromisoformat(studied_on)
        shared.append(sr.DateContentItem(name=_concept(_STUDY_DATE), value=day, relationship_type=_CONTEXT))
    if frame_of_reference_uid:
        shared.append(
            sr.UIDRefContentItem(
                name=_concept(_FRAME_OF_REFERENCE), value=frame_of_reference_uid, relationship_type=_CONTEXT
            )
        )
    images = [
        sr.ImageContentItem(
            name=_concept(_SOURCE),
            referenced_sop_class_uid=sop_class_uid,
            referenced_sop_instance_uid=uid,
            relationship_type=_CONTAINS,
        )
        for uid, sop_class_uid in classes.items()
    ]
    return _container(_GROUP, [*shared, *images])


def _container(name: Code, content: Sequence[sr.ContentItem]) -> sr.ContainerContentItem:
    container = sr.ContainerContentItem(
        name=_concept(name), is_content_continuous=False, relationship_type=_CONTAINS
    )
    container.ContentSequence = sr.ContentSequence(content)
    return container


def _concept(value: Code) -> sr.CodedConcept:
    return sr.CodedConcept(
        value=value.value, scheme_designator=value.scheme, meaning=header.long_string(value.meaning)
    )
