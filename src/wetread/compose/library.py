"""Which images were analysed: the Image Library of a report (TID 1600, PS3.16).

In: a draft.  Out: a container that names each image once.  Never: an image that the model did not see.

IHE AIR asks for it: who reads a report must be able to get what it was made from.
"""

from __future__ import annotations

from highdicom import sr

from wetread.compose import header
from wetread.compose.draft import Draft
from wetread.domain.code import Code

_LIBRARY = Code(value="111028", scheme="DCM", meaning="Image Library")
_GROUP = Code(value="126200", scheme="DCM", meaning="Image Library Group")
_MODALITY = Code(value="121139", scheme="DCM", meaning="Modality")
_FRAME_OF_REFERENCE = Code(value="112227", scheme="DCM", meaning="Frame of Reference UID")
_SOURCE = Code(value="260753009", scheme="SCT", meaning="Source")
_CONTAINS = sr.RelationshipTypeValues.CONTAINS
_CONTEXT = sr.RelationshipTypeValues.HAS_ACQ_CONTEXT


def image_library(draft: Draft, frame_of_reference_uid: str) -> sr.ContainerContentItem:
    """Return the container; all images are of the one series that was read."""
    classes = {plane.sop_instance_uid: plane.sop_class_uid for plane in draft.source.planes}
    modality = draft.source.text("Modality") or "OT"
    shared: list[sr.ContentItem] = [
        sr.CodeContentItem(
            name=_concept(_MODALITY),
            value=sr.CodedConcept(modality, "DCM", modality),
            relationship_type=_CONTEXT,
        )
    ]
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
    return _container(_LIBRARY, [_container(_GROUP, [*shared, *images])])


def _container(name: Code, content: list[sr.ContentItem]) -> sr.ContainerContentItem:
    container = sr.ContainerContentItem(
        name=_concept(name), is_content_continuous=False, relationship_type=_CONTAINS
    )
    container.ContentSequence = sr.ContentSequence(content)
    return container


def _concept(value: Code) -> sr.CodedConcept:
    return sr.CodedConcept(
        value=value.value, scheme_designator=value.scheme, meaning=header.long_string(value.meaning)
    )
