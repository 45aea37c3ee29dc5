"""Readings, and the documents made from them.

In: requests.  Out: values of ``wetread.contract``; a document's bytes.  Never: a study past ``Eyes``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Request, Response

from wetread.compose.wording import sum_up
from wetread.contract.readings import (
    ComparisonSaid,
    DocumentLine,
    FindingSaid,
    GoneSaid,
    PriorSaid,
    ReadingDetail,
    ReadingPage,
    RegionSaid,
)
from wetread.domain.change import Change, added, standing
from wetread.domain.comparison import Status
from wetread.domain.document import DICOM_KINDS, DocumentKind
from wetread.domain.finding import Finding, Region
from wetread.domain.reading import Reading
from wetread.identity import Permission
from wetread.store.readings import DocumentRow, ReadingRow
from wetread.web.access import needs
from wetread.web.api.asked import ReadingsAsked, RowNumber
from wetread.web.api.failure import PREFIX
from wetread.web.api.paging import link_next, split
from wetread.web.api.reading_changes import tell_added, tell_changed
from wetread.web.api.studies import teller_of
from wetread.web.eyes import Eyes, Look
from wetread.web.site import Site

_DICOM = "application/dicom"
_TYPES = {
    DocumentKind.PNG: "image/png",
    DocumentKind.TEXT: "text/plain; charset=utf-8",
    DocumentKind.ORU: "application/hl7-v2",
    DocumentKind.RESULT: "application/hl7-v2",
}
#: Who the patient is does not stand in these.
_NAMELESS = frozenset({DocumentKind.PNG, DocumentKind.TEXT})
_BYTES: dict[str, Any] = {
    "description": "Its bytes: DICOM, PNG, text or HL7.",
    "content": {
        name: {"schema": {"type": "string", "format": "binary"}}
        for name in (_DICOM, "image/png", "text/plain", "application/hl7-v2")
    },
}


def add_readings(router: APIRouter, site: Site) -> None:
    """Add the routes."""
    _add_list(router, site)
    _add_one(router, site)


def _add_list(router: APIRouter, site: Site) -> None:
    @router.get("/readings", tags=["readings"])
    @needs(Permission.STUDIES)
    def list_readings(
        request: Request, response: Response, eyes: Look, asked: Annotated[ReadingsAsked, Query()]
    ) -> ReadingPage:
        """List Readings, the last made first."""
        eyes.note_query("readings, by the API")
        after = int(asked.after) if asked.after else None
        found = site.store.pages.readings(asked.to_filter(), asked.limit + 1, after, eyes.principal.sources)
        rows, has_more = split(found, asked.limit)
        studies = site.store.pages.rows_of({row.study_instance_uid for row in rows})
        cursor = str(rows[-1].id) if has_more else None
        return ReadingPage(
            items=teller_of(eyes).readings(rows, studies),
            after=cursor,
            next=link_next(request, response, asked, cursor),
        )


def _add_one(router: APIRouter, site: Site) -> None:
    @router.get("/readings/{reading_id}", tags=["readings"])
    @needs(Permission.STUDIES)
    def get_reading(eyes: Look, reading_id: RowNumber) -> ReadingDetail:
        """Return one Reading with what it found."""
        row, study = eyes.find_reading(reading_id)
        eyes.site.trail.opened(eyes.visitor, study, "a reading")
        teller = teller_of(eyes)
        reading = site.store.readings.load(row.digest)
        stands = standing(site.store.changes.list_for_study(row.study_instance_uid), row.digest)
        detail = ReadingDetail(
            reading=teller.reading(row, study),
            model_digest=reading.model.digest,
            operating_point=reading.operating_point,
            series_instance_uid=reading.series_instance_uid if eyes.knows_names else "",
            findings=_findings(reading, stands),
            added=tuple(tell_added(name, one) for name, one in added(stands)),
            regions=tuple(map(_region, reading.regions)),
            measurements=dict(reading.measurements),
            documents=_documents(site, eyes, row),
            comparison=_comparison(site, eyes, reading),
        )
        return teller.hide(detail, study)

    @router.get(
        "/readings/{reading_id}/documents/{document_id}",
        tags=["readings"],
        response_class=Response,
        responses={200: _BYTES},
    )
    @needs(Permission.STUDIES)
    def get_document(eyes: Look, reading_id: RowNumber, document_id: RowNumber) -> Response:
        """Return a document of a Reading; but for pictures and text only for who may see names."""
        reading, _study = eyes.find_reading(reading_id)
        held = {one.id: one for one in site.store.readings.list_documents(reading.id)}
        if document_id not in held:
            raise HTTPException(404)
        kind = held[document_id].kind
        if kind not in _NAMELESS and not eyes.knows_names:
            raise HTTPException(403)
        data = eyes.load_document(document_id, kind).data
        return Response(data, media_type=_TYPES.get(kind, _DICOM))


def _documents(site: Site, eyes: Eyes, row: ReadingRow) -> tuple[DocumentLine, ...]:
    held = site.store.readings.list_documents(row.id)
    shown = [one for one in held if eyes.knows_names or one.kind in _NAMELESS]
    return tuple(_document(one, is_named=eyes.knows_names) for one in shown)


def _document(row: DocumentRow, *, is_named: bool) -> DocumentLine:
    return DocumentLine(
        id=row.id,
        kind=row.kind,
        title=row.title,
        sop_instance_uid=row.sop_instance_uid if is_named and row.kind in DICOM_KINDS else "",
        href=f"{PREFIX}/readings/{row.reading_id}/documents/{row.id}",
    )


def _findings(reading: Reading, stands: Mapping[str, Sequence[Change]]) -> tuple[FindingSaid, ...]:
    named = zip(reading.findings, reading.finding_names, strict=True)
    return tuple(
        replace(
            _finding(finding, name, reading.status_of(finding)),
            reader=tell_changed(finding, stands.get(finding.tracking_uid, ())),
        )
        for finding, name in named
    )


def _finding(one: Finding, name: str, status: Status | None) -> FindingSaid:
    prior = one.prior
    return FindingSaid(
        name=name,
        label=one.label,
        code=one.code,
        probability=one.probability,
        center_lps_mm=one.center_lps_mm,
        box_lps_mm=one.box_lps_mm,
        measurements=dict(one.measurements),
        laterality=one.laterality,
        site=one.site,
        texture=one.texture,
        status=status,
        prior=PriorSaid(
            volume_change_percent=prior.volume_change_percent,
            volume_change_ci95=prior.volume_change_ci95,
            doubling_time_days=prior.doubling_time_days,
            interval_days=prior.interval_days,
            volume_mm3=prior.volume_mm3,
            mean_diameter_mm=prior.mean_diameter_mm,
        )
        if prior
        else None,
    )


def _comparison(site: Site, eyes: Eyes, reading: Reading) -> ComparisonSaid | None:
    comparison = reading.comparison
    if comparison is None:
        return None
    prior = site.store.studies.find(comparison.study_instance_uid)
    may_see = prior is not None and eyes.principal.may_see(prior)
    return ComparisonSaid(
        study_key=prior.key if prior is not None and may_see else "",
        interval_days=comparison.interval_days,
        summary=sum_up(reading),
        gone=tuple(
            GoneSaid(
                label=one.label,
                status=one.status,
                center_lps_mm=one.center_lps_mm,
                volume_mm3=one.volume_mm3,
                mean_diameter_mm=one.mean_diameter_mm,
            )
            for one in comparison.gone
        ),
    )


def _region(one: Region) -> RegionSaid:
    return RegionSaid(
        label=one.label,
        code=one.code,
        laterality=one.laterality,
        measurements=dict(one.measurements),
    )
