"""Ask a modality worklist: what is scheduled where and when.

In: a ``Pacs`` that serves a worklist, a day, a station.  Out: ``ScheduledStep`` values.
Never: more entries than were granted; trust in an entry that lacks its keys.

References
----------
PS3.4 annex K (Modality Worklist Information Model).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pynetdicom import build_context
from pynetdicom.sop_class import ModalityWorklistInformationFind  # type: ignore[attr-defined]

from wetread.dicom.scu import open_association
from wetread.domain.study import Header, header_text
from wetread.fetch.find import iter_matches, read_header
from wetread.fetch.pacs import Pacs

_PATIENT_KEYS = (
    *("PatientID", "IssuerOfPatientID", "PatientName", "PatientBirthDate", "PatientSex"),
    *("AccessionNumber", "StudyInstanceUID", "RequestedProcedureID", "RequestedProcedureDescription"),
    *("RequestedProcedurePriority", "ReferringPhysicianName"),
)
_STEP_KEYS = (
    *("ScheduledStationAETitle", "ScheduledProcedureStepStartDate", "ScheduledProcedureStepStartTime"),
    *("Modality", "ScheduledProcedureStepDescription", "ScheduledProcedureStepID", "ScheduledStationName"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduledStep:
    """One entry of a worklist."""

    #: Of patient, request and order, by DICOM keyword.
    request: Header = field(repr=False)
    #: Of the scheduled procedure step.
    step: Header = field(repr=False)

    def text(self, keyword: str) -> str:
        """Return a value of either, ``""`` where it was not told."""
        return header_text(self.step, keyword) or header_text(self.request, keyword)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorklistQuestion:
    """What is looked for; ``""`` matches everything."""

    #: ``YYYYMMDD`` or a range of such.
    date: str = ""
    modality: str = ""
    station_aet: str = ""
    accession_number: str = ""
    patient_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Worklist:
    """What was answered."""

    steps: tuple[ScheduledStep, ...]
    #: There is more than is taken.
    is_cut: bool
    #: Entries without a step.
    dropped: int


def ask_worklist(pacs: Pacs, question: WorklistQuestion) -> Worklist:
    """Ask for scheduled procedure steps.

    Raises
    ------
    PeerError
        If it does not answer, or refuses.
    """
    steps: list[ScheduledStep] = []
    dropped = 0
    is_cut = False
    model = ModalityWorklistInformationFind
    with open_association(pacs.callee, [build_context(model)]) as association:
        for ds in iter_matches(pacs.callee, association, _query(question), model):
            is_cut = len(steps) + dropped >= pacs.maximum_matches
            if is_cut:
                break
            step = _read(ds)
            if step is None:
                dropped += 1
            else:
                steps.append(step)
    return Worklist(steps=tuple(steps), is_cut=is_cut, dropped=dropped)


def _query(question: WorklistQuestion) -> Dataset:
    step = _keys(
        _STEP_KEYS,
        {
            "ScheduledProcedureStepStartDate": question.date,
            "Modality": question.modality,
            "ScheduledStationAETitle": question.station_aet,
        },
    )
    matched = {"AccessionNumber": question.accession_number, "PatientID": question.patient_id}
    query = _keys(_PATIENT_KEYS, matched)
    query.ScheduledProcedureStepSequence = Sequence([step])
    return query


def _keys(keys: tuple[str, ...], matched: Mapping[str, str]) -> Dataset:
    ds = Dataset()
    for keyword in keys:
        setattr(ds, keyword, matched.get(keyword) or None)
    return ds


def _read(ds: Dataset) -> ScheduledStep | None:
    try:
        items = list(ds.get("ScheduledProcedureStepSequence") or ())
    except Exception:  # noqa: BLE001 - pydicom raises whatever a broken sequence leads to
        return None
    if not items or not isinstance(items[0], Dataset):
        return None
    return ScheduledStep(request=read_header(ds, _PATIENT_KEYS), step=read_header(items[0], _STEP_KEYS))
