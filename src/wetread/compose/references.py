"""What a report refers to: the objects its content names, and the report it takes the place of.

In: a composed SR and its draft.  Out: its reference sequences.  Never: a reference that the content lacks.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from wetread.compose import header
from wetread.compose.draft import Draft
from wetread.compose.reg import (
    DEFORMABLE_SPATIAL_REGISTRATION_STORAGE,
    SPATIAL_REGISTRATION_STORAGE,
)
from wetread.compose.sr_change import prior_images
from wetread.compose.uid import derive_series_uid
from wetread.domain.document import DocumentKind

#: Series Instance UID -> items that name an instance of it.
_BySeries = Mapping[str, list[Dataset]]
_REGISTRATIONS = (SPATIAL_REGISTRATION_STORAGE, DEFORMABLE_SPATIAL_REGISTRATION_STORAGE)


def add_predecessors(ds: Dataset, draft: Draft) -> None:
    """Name the reports that this one supersedes (PS3.3 C.17.2.2)."""
    by_series: dict[str, list[Dataset]] = {}
    for one in draft.source.predecessors:
        if one.kind is DocumentKind.SR:
            item = header.reference_item(one.sop_class_uid, one.sop_instance_uid)
            by_series.setdefault(one.series_instance_uid, []).append(item)
    if by_series:
        ds.PredecessorDocumentsSequence = _hierarchy(draft, by_series)


def add_evidence(ds: Dataset, draft: Draft) -> None:
    """List every instance that the content refers to (PS3.3 C.17.2.3); those of the prior study apart."""
    found: dict[str, str] = {}
    _collect(ds, found)
    comparison = draft.reading.comparison
    prior = prior_images(comparison)
    before = set(prior.sop_instance_uids) if prior else set()
    by_series: dict[str, list[Dataset]] = {}
    compared: list[Dataset] = []
    places = [draft.segment_place(one.number) for one in draft.reading.segments]
    series_of = {one.sop_instance_uid: one.series_instance_uid for one in places}
    added = [one.said.place for one in draft.by_readers.added] if draft.by_readers else []
    series_of |= {one.sop_instance_uid: one.series_instance_uid for one in added if one is not None}
    for uid, sop_class_uid in found.items():
        item = header.reference_item(sop_class_uid, uid)
        if uid in before:
            compared.append(item)
            continue
        series_uid = series_of.get(uid, draft.source.series_instance_uid)
        if sop_class_uid in _REGISTRATIONS:
            series_uid = derive_series_uid(draft.model_digest, DocumentKind.REG)
        by_series.setdefault(series_uid, []).append(item)
    if by_series:
        ds.CurrentRequestedProcedureEvidenceSequence = _hierarchy(draft, by_series)
    if compared and prior is not None and comparison is not None:
        ds.PertinentOtherEvidenceSequence = hierarchy(
            comparison.study_instance_uid, {prior.series_instance_uid: compared}
        )


def _hierarchy(draft: Draft, by_series: _BySeries) -> Sequence:
    return hierarchy(draft.reading.study_instance_uid, by_series)


def hierarchy(study_instance_uid: str, by_series: _BySeries) -> Sequence:
    """Return a Hierarchical SOP Instance Reference (PS3.3 C.17.2.1) within a study."""
    study = Dataset()
    study.StudyInstanceUID = study_instance_uid
    study.ReferencedSeriesSequence = Sequence()
    for series_uid, items in by_series.items():
        series = Dataset()
        series.SeriesInstanceUID = series_uid
        series.ReferencedSOPSequence = Sequence(items)
        study.ReferencedSeriesSequence.append(series)
    return Sequence([study])


def _collect(item: Dataset, found: dict[str, str]) -> None:
    for child in item.get("ContentSequence") or ():
        for reference in child.get("ReferencedSOPSequence") or ():
            found[str(reference.ReferencedSOPInstanceUID)] = str(reference.ReferencedSOPClassUID)
        _collect(child, found)
