"""What readers change: a finding's name, type, side and size; a finding that the model does not have.

In: forms.  Out: changes, kept with who and when beside what the model said; the page again.
Never: a volume by hand; a change over a newer one; a slice that is not there; a study past ``Eyes``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Literal

from fastapi import APIRouter, Form, HTTPException, Response
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, Field

from wetread.domain.change import (
    LONG,
    SHORT,
    SIDES,
    TEXTURES,
    Change,
    ChangeKind,
    Said,
    Slice,
    apply,
    lengths,
    new_tracking_uid,
    standing,
)
from wetread.domain.code import Code
from wetread.domain.finding import Finding
from wetread.domain.reading import Reading
from wetread.errors import NotNow
from wetread.identity import Permission
from wetread.store.changes import LONGEST_LABEL, LONGEST_WORDS
from wetread.store.studies import StudyRow
from wetread.web.access import needs
from wetread.web.change_view import millimetres, vocabulary_of
from wetread.web.eyes import Eyes, Look
from wetread.web.pages import PAGE, Key
from wetread.web.review import change_and_show
from wetread.web.site import Site

_Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
_Uid = Annotated[str, Field(pattern=r"^[0-9.]{1,64}$")]
#: Millimetres as people write them; ``""``: not said.
_Length = Annotated[str, Field(pattern=r"^(\d{1,3}([.,]\d{1,2})?)?$")]
_Label = Annotated[str, Field(max_length=LONGEST_LABEL)]
_Words = Annotated[str, Field(max_length=LONGEST_WORDS)]
_Side = Literal["", "right", "left"]
_Texture = Literal["", "solid", "part-solid", "ground-glass"]
_NOTHING = Said()


class Edit(BaseModel):
    """What the form of a finding holds; what is as it was is no change."""

    reading: _Digest
    finding: _Uid
    seen: int = Field(default=0, ge=0, lt=2**31)
    label: _Label = ""
    side: _Side = ""
    texture: _Texture = ""
    long: _Length = ""
    short: _Length = ""
    text: _Words = ""


class Missed(BaseModel):
    """What the form of a missed finding holds."""

    reading: _Digest
    label: _Label
    side: _Side = ""
    series: _Uid
    number: int = Field(ge=-(2**31), lt=2**31)
    long: _Length = ""
    short: _Length = ""
    text: _Words = ""


class Undo(BaseModel):
    """What the button beside a change holds."""

    reading: _Digest
    finding: _Uid
    seen: int = Field(ge=1, lt=2**31)


def make_edit(site: Site) -> APIRouter:
    """Return the routes."""
    router = APIRouter(default_response_class=HTMLResponse, include_in_schema=False)

    @router.post("/studies/{key}/edits")
    @needs(*PAGE, Permission.REPORT)
    def edit(eyes: Look, key: Key, form: Annotated[Edit, Form()]) -> Response:
        return change_and_show(site, eyes, key, lambda row: _edit(site, eyes, row, form))

    @router.post("/studies/{key}/missed")
    @needs(*PAGE, Permission.REPORT)
    def add_missed(eyes: Look, key: Key, form: Annotated[Missed, Form()]) -> Response:
        return change_and_show(site, eyes, key, lambda row: _add(site, eyes, row, form))

    @router.post("/studies/{key}/undo")
    @needs(*PAGE, Permission.REPORT)
    def undo(eyes: Look, key: Key, form: Annotated[Undo, Form()]) -> Response:
        def take_back(row: StudyRow) -> None:
            change = _change((form.reading, form.finding), ChangeKind.UNDONE)
            _keep(site, eyes, row, change, form.seen)

        return change_and_show(site, eyes, key, take_back)

    return router


def _edit(site: Site, eyes: Eyes, row: StudyRow, form: Edit) -> None:
    reading = _reading(site, row, form.reading)
    before = next((one for one in reading.findings if one.tracking_uid == form.finding), None)
    if before is None:
        raise HTTPException(404)
    stands = standing(site.store.changes.list_for_study(row.study_instance_uid), form.reading)
    finding = apply(before, stands.get(form.finding, ()))
    said = _said(site, reading, finding, form)
    if said == _NOTHING and not form.text.strip():
        raise NotNow("Nothing was changed.")
    change = _change((form.reading, form.finding), ChangeKind.EDITED, said, form.text)
    _require_lengths(apply(finding, [change]))
    _keep(site, eyes, row, change, form.seen)


def _said(site: Site, reading: Reading, finding: Finding, form: Edit) -> Said:
    """Return what differs from what the page showed."""
    label = " ".join(form.label.split())
    label = label if label and label != finding.label else ""
    side, texture = SIDES.get(form.side), TEXTURES.get(form.texture)
    given = {
        name: _millimetres(text)
        for name, text in ((LONG, form.long), (SHORT, form.short))
        if text.replace(",", ".") != millimetres(finding.measurements, name)
    }
    return Said(
        label=label or None,
        code=_vocabulary(site, reading).get(label) if label else None,
        laterality=side if side != finding.laterality else None,
        texture=texture if texture != finding.texture else None,
        measurements=_lengths(given.get(LONG), given.get(SHORT)),
    )


def _add(site: Site, eyes: Eyes, row: StudyRow, form: Missed) -> None:
    reading = _reading(site, row, form.reading)
    study, label = row.study_instance_uid, " ".join(form.label.split())
    if not label:
        raise NotNow("Say what it is.")
    object_uid = site.store.slices.find(study, form.series, form.number)
    if not object_uid:
        raise NotNow(f"The series has no slice {form.number}, or several: look at its number again.")
    said = Said(
        label=label,
        code=_vocabulary(site, reading).get(label),
        laterality=SIDES.get(form.side),
        measurements=_lengths(_millimetres(form.long), _millimetres(form.short)),
        place=Slice(series_instance_uid=form.series, sop_instance_uid=object_uid, number=form.number),
    )
    # The same form sent twice is the same finding.
    uid = new_tracking_uid(form.reading, object_uid, label, form.side, form.long, form.short)
    changes = site.store.changes.list_for_study(study)
    if uid in standing(changes, form.reading):
        raise NotNow("This finding was added already.")
    seen = max((one.id for one in changes if one.tracking_uid == uid), default=0)
    change = _change((form.reading, uid), ChangeKind.ADDED, said, form.text)
    _keep(site, eyes, row, change, seen)


def _lengths(long_mm: float | None, short_mm: float | None) -> dict[str, float]:
    if 0.0 in (long_mm, short_mm):
        raise NotNow("A length is more than nothing.")
    if long_mm is not None and short_mm is not None and short_mm > long_mm:
        raise NotNow("The short axis is longer than the long one.")
    return lengths(long_mm, short_mm)


def _require_lengths(finding: Finding) -> None:
    measured = finding.measurements
    if measured.get(SHORT, 0.0) > measured.get(LONG, float("inf")):
        raise NotNow("The short axis is longer than the long one.")


def _millimetres(text: str) -> float | None:
    return float(text.replace(",", ".")) if text else None


def _vocabulary(site: Site, reading: Reading) -> Mapping[str, Code]:
    return vocabulary_of(site.lineup.now().get(reading.model.name), reading)


def _reading(site: Site, row: StudyRow, digest: str) -> Reading:
    mine = site.store.readings.list_for_study(row.study_instance_uid)
    if digest not in {one.digest for one in mine}:
        raise NotNow("There is no such reading of this study any more: look at the new one.")
    return site.store.readings.load(digest)


def _change(place: tuple[str, str], kind: ChangeKind, said: Said = _NOTHING, text: str = "") -> Change:
    """Return a change of a finding of a Reading; when, who and of which study is added when it is kept."""
    reading, finding = place
    return Change(
        study_instance_uid="",
        reading_digest=reading,
        tracking_uid=finding,
        kind=kind,
        said=said,
        text=text.strip(),
        at=0.0,
        who="",
    )


def _keep(site: Site, eyes: Eyes, row: StudyRow, change: Change, seen: int) -> None:
    change = replace(
        change,
        study_instance_uid=row.study_instance_uid,
        at=site.now().timestamp(),
        who=eyes.principal.name,
    )
    # What was changed stays with the study, and goes with it.
    event = site.trail.change(eyes.visitor, row, f"Changed a finding: {change.kind.value}.")
    site.store.changes.add(change, seen=seen, event=event)
