"""Rows of studies and series that a first instance makes.

In: headers.  Out: values of columns.  Never: queries.
"""

from __future__ import annotations

import re
from typing import Any

from wetread.domain.progress import StudyState
from wetread.domain.study import Header, Instance, header_text, study_key
from wetread.store import schema
from wetread.store.catalogued import column_text, series_values, study_values
from wetread.store.text import clean_text

#: What a list shows of a study, by column.
_SHOWN = {
    "patient_id": "PatientID",
    "patient_name": "PatientName",
    "patient_birth_date": "PatientBirthDate",
    "patient_sex": "PatientSex",
    "accession_number": "AccessionNumber",
    "study_date": "StudyDate",
    "study_time": "StudyTime",
    "study_description": "StudyDescription",
}


def series_row(one: Instance) -> dict[str, Any]:
    """Return what is noted of the series of its first instance."""
    return {
        "study": one.study_instance_uid,
        "series": one.series_instance_uid,
        "head": one.sop_instance_uid,
    } | series_values(one.header)


def new_study_row(uid: str, header: Header, now: float) -> dict[str, Any]:
    """Return what is noted of a study with its first instance."""
    return {
        **{name: column_text(header, keyword, schema.study.c[name]) for name, keyword in _SHOWN.items()},
        **study_values(header),
        "study_instance_uid": uid,
        "key": study_key(uid),
        "modalities": list_modalities(header),
        "expected_instances": expected_instances(header),
        "instance_count": 1,
        "first_received_at": now,
        "last_received_at": now,
        "revision": 0,
        "covered_count": 0,
        "state": StudyState.ARRIVING.value,
    }


def list_modalities(header: Header) -> list[str]:
    """Return the modality of an instance, none where it says none."""
    modality = clean_text(header_text(header, "Modality"))
    return [modality[:16]] if modality else []


def expected_instances(header: Header) -> int | None:
    """Return how many instances the study has, where a sender says so."""
    # Number of Study Related Instances (0020,1208), where a sender fills it in.
    text = header_text(header, "NumberOfStudyRelatedInstances")
    # What no study has is no number to wait for (and none that the index could hold).
    return int(text) if re.fullmatch(r"[0-9]{1,6}", text) and int(text) > 0 else None
