"""Composed documents, as a browser shows them.

In: a document's number.  Out: PNG, text or PDF bytes.  Never: a document of another kind than asked for.
"""

from __future__ import annotations

import io

import pydicom
from fastapi import APIRouter, Response

from wetread.domain.document import DocumentKind
from wetread.identity import Permission
from wetread.web.access import needs
from wetread.web.eyes import Look
from wetread.web.pages import Number
from wetread.web.site import Site


def make_documents(_site: Site) -> APIRouter:
    """Return the routes of the documents."""
    router = APIRouter(include_in_schema=False)

    @router.get("/documents/{document_id}/image")
    @needs(Permission.STUDIES, is_background=True)
    def image(eyes: Look, document_id: Number) -> Response:
        return Response(eyes.load_document(document_id, DocumentKind.PNG).data, media_type="image/png")

    @router.get("/documents/{document_id}/text")
    @needs(Permission.STUDIES)
    def text(eyes: Look, document_id: Number) -> Response:
        return Response(eyes.load_document(document_id, DocumentKind.TEXT).data, media_type="text/plain")

    # The patient's name is on it.
    @router.get("/documents/{document_id}/pdf")
    @needs(Permission.STUDIES, Permission.IDENTITY)
    def pdf(eyes: Look, document_id: Number) -> Response:
        data = extract_pdf(eyes.load_document(document_id, DocumentKind.PDF, DocumentKind.REPORT_PDF).data)
        headers = {"Content-Disposition": f'inline; filename="report-{document_id}.pdf"'}
        return Response(data, media_type="application/pdf", headers=headers)

    return router


def extract_pdf(part10: bytes) -> bytes:
    """Return the PDF within an Encapsulated PDF object (PS3.3 C.24), without its padding."""
    dataset = pydicom.dcmread(io.BytesIO(part10))
    data: bytes = dataset.EncapsulatedDocument
    length = dataset.get("EncapsulatedDocumentLength")
    return data[: int(length)] if length is not None else data
