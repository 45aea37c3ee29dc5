"""Composed documents, as a browser shows them.

In: a document's number.  Out: PNG, text or PDF bytes.  Never: a document of another kind than asked for.
"""

from __future__ import annotations

import io

import pydicom
from fastapi import APIRouter, HTTPException, Response

from wetread.domain.document import Document, DocumentKind
from wetread.web.site import Site


def make_documents(site: Site) -> APIRouter:
    """Return the routes of the documents."""
    router = APIRouter(include_in_schema=False)

    @router.get("/documents/{document_id}/image")
    def image(document_id: int) -> Response:
        return Response(_load(site, document_id, DocumentKind.PNG).data, media_type="image/png")

    @router.get("/documents/{document_id}/text")
    def text(document_id: int) -> Response:
        return Response(_load(site, document_id, DocumentKind.TEXT).data, media_type="text/plain")

    @router.get("/documents/{document_id}/pdf")
    def pdf(document_id: int) -> Response:
        data = extract_pdf(_load(site, document_id, DocumentKind.PDF).data)
        headers = {"Content-Disposition": f'inline; filename="report-{document_id}.pdf"'}
        return Response(data, media_type="application/pdf", headers=headers)

    return router


def extract_pdf(part10: bytes) -> bytes:
    """Return the PDF within an Encapsulated PDF object (PS3.3 C.24), without its padding."""
    dataset = pydicom.dcmread(io.BytesIO(part10))
    data: bytes = dataset.EncapsulatedDocument
    length = dataset.get("EncapsulatedDocumentLength")
    return data[: int(length)] if length is not None else data


def _load(site: Site, document_id: int, kind: DocumentKind) -> Document:
    try:
        row = site.store.readings.get_document(document_id)
    except KeyError as error:
        raise HTTPException(404) from error
    if row.kind is not kind:
        raise HTTPException(404)
    return site.store.readings.load_document(row)
