"""Studies without who the patient is: for roles that need no names.

In: what is shown.  Out: the same without name, identifiers, birth date and exact dates of the patient.
Never: a promise of anonymity: pixels and rare findings can still be somebody's.

What is cut out is that of HIPAA 45 CFR 164.514(b)(2) as far as pages show it: names, numbers, all elements
of the study's date but the year, ages over 89. Sentences lose every word that the header says of the patient.
"""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from wetread.domain.document import Document, DocumentKind
from wetread.steps.queueing import QueueNow
from wetread.store.studies import StudyRow
from wetread.web import words
from wetread.web.letters import DestinationView, LetterView
from wetread.web.listing import Line
from wetread.web.queue_view import QueuedView, QueueView
from wetread.web.spots import without_uids
from wetread.web.stacks import Stack, without_words
from wetread.web.study import ReadingView, StudyView

T = TypeVar("T")

_HIDDEN = "…"
#: Shorter parts of names are also words.
_SHORTEST = 3
_OLDEST_YEARS = 89
#: The day of an earlier study, as our sentences name it: the year stays.
_PRIOR_DATE = r"(?<=study of \d{4})-\d{2}-\d{2}"


def hide_in_line(line: Line) -> Line:
    """Return a line of the list without who the patient is."""
    told = (line.patient_name, line.patient_id, line.accession_number, line.study_instance_uid)
    plain = replace(
        line,
        patient_name=f"Study {line.key[:8]}",
        patient_id="",
        patient_age=_coarse_age(line.patient_age),
        accession_number="",
        study_instance_uid="",
        study_date=line.study_date[:4],
        study_day="",
    )
    return hide_words(plain, _pattern_of(told))


def hide_in_view(view: StudyView, row: StudyRow) -> StudyView:
    """Return a study without who the patient is."""
    stacks = without_words(view.stacks)
    by_key = {one.key: one for one in stacks}
    plain = replace(
        view,
        line=hide_in_line(view.line),
        stacks=(),
        study_instance_uid="",
        readings=tuple(_hide_in_reading(one, by_key) for one in view.readings),
        # Free text: whom it names nobody can know.
        report=replace(view.report, signed=(), sections=(), draft_by=""),
    )
    return replace(hide_words(plain, identity_pattern(row)), stacks=stacks)


def _hide_in_reading(reading: ReadingView, stacks: dict[str, Stack]) -> ReadingView:
    cards = tuple(without_uids(one, stacks) for one in reading.cards)
    # The patient's name is on every page of a PDF.
    changes = reading.changes.without_days() if reading.changes else None
    return replace(reading, pdfs=(), cards=cards, changes=changes, segmentation_uid="")


def hide_in_letter(letter: LetterView, row: StudyRow) -> LetterView:
    """Return a dead letter without who the patient is."""
    described = row.study_description or "no description"
    plain = replace(letter, patient_name=f"Study {row.key[:8]}", study_words=f"{described} ")
    hidden = hide_words(plain, identity_pattern(row))
    return replace(hidden, study_words=words.join_words([hidden.study_words.strip(), row.study_date[:4]]))


def hide_in_queue(view: QueueView, line: QueueNow) -> QueueView:
    """Return the queue without who the patients are."""
    rows = {
        one.study.key: one.study
        for listed in (line.arriving, line.waiting, line.reading, line.stuck, line.failed)
        for one in listed
    }

    def hide(views: tuple[QueuedView, ...]) -> tuple[QueuedView, ...]:
        return tuple(_hide_in_queued(one, rows[one.key]) for one in views)

    return replace(
        view,
        reading=hide(view.reading),
        stuck=hide(view.stuck),
        waiting=hide(view.waiting),
        arriving=hide(view.arriving),
        failed=hide(view.failed),
    )


def _hide_in_queued(view: QueuedView, row: StudyRow) -> QueuedView:
    described = f"{row.study_description or 'no description'} "
    hidden = hide_words(replace(view, patient_name="", study_words=described), identity_pattern(row))
    told = words.join_words([hidden.study_words.strip(), row.study_date[:4]])
    return replace(hidden, patient_name=f"Study {row.key[:8]}", study_words=told)


def hide_in_destination(view: DestinationView, row: StudyRow | None) -> DestinationView:
    """Return a destination whose last problem, with this study, does not tell who the patient is."""
    return replace(view, message=identity_pattern(row).sub(_HIDDEN, view.message) if row else "")


def hide_in_document(document: Document, row: StudyRow) -> Document:
    """Return a document without who the patient is."""
    if document.kind is not DocumentKind.TEXT:
        return document
    text = document.data.decode("utf-8", "replace")
    return replace(document, data=identity_pattern(row).sub(_HIDDEN, text).encode())


def _coarse_age(age: str) -> str:
    number, _, unit = age.partition(" ")
    is_old = unit == "y" and number.isdigit() and int(number) > _OLDEST_YEARS
    return f"over {_OLDEST_YEARS} y" if is_old else age


def identity_pattern(row: StudyRow) -> re.Pattern[str]:
    """Return what finds the words that identify this patient."""
    born = words.format_date(row.patient_birth_date)
    told = (row.patient_name, row.patient_id, row.accession_number, row.study_instance_uid)
    return _pattern_of((*told, row.patient_birth_date, born))


def _pattern_of(told: tuple[str, ...]) -> re.Pattern[str]:
    """Return what finds each of these, and each part of a name."""
    parts = {part for one in told for part in (one, *re.split(r"[\^=,()\s]+", one))}
    chosen = sorted((part for part in parts if len(part) >= _SHORTEST), key=len, reverse=True)
    return re.compile("|".join([*map(re.escape, chosen), _PRIOR_DATE]), re.IGNORECASE)


def hide_words(value: T, pattern: re.Pattern[str]) -> T:
    """Return a value with the words cut out of every sentence in it; single words are ours."""
    return _walk(value, pattern)  # type: ignore[no-any-return]


def _walk(value: Any, pattern: re.Pattern[str]) -> Any:
    if isinstance(value, str):
        return pattern.sub(_HIDDEN, value) if " " in value else value
    if isinstance(value, tuple):
        return tuple(_walk(one, pattern) for one in value)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{one.name: _walk(getattr(value, one.name), pattern) for one in fields(value)})
    return value
