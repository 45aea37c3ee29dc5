"""Prove that documents landed.

In: SOP Instance UIDs and a destination.  Out: an outcome for each.
Never: "verified" without the destination having listed the UID.
"""

from __future__ import annotations

import io
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom import build_context
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind  # type: ignore[attr-defined]

from wetread.deliver.cstore import open_association
from wetread.deliver.destination import Destination, Verify
from wetread.deliver.outcome import Outcome, failed, sent
from wetread.deliver.secure import connection_error, destination_context
from wetread.domain.document import Document
from wetread.domain.progress import DeliveryState
from wetread.errors import NotFoundAtPeer, PeerError, PeerNotTrusted, PeerUnreachable

#: An answer about one instance is some kilobytes.
_ANSWER_LIMIT = 1 << 20


def verify_documents(destination: Destination, documents: Sequence[Document]) -> list[Outcome]:
    """Ask the destination for each DICOM document.

    Returns
    -------
    list of Outcome
        ``VERIFIED`` where it is listed; ``WAITING`` with ``not-found-at-peer`` where it is not, so that it
        is sent again; ``SENT`` with a code where the destination could not be asked now, without
        one where there is no way to ask.
    """
    if destination.verify is Verify.CFIND:
        return _ask_by_find(destination, documents)
    if destination.verify is Verify.QIDO:
        return [_ask_by_qido(destination, document) for document in documents]
    return [sent(document.sop_instance_uid) for document in documents]


def _outcome(destination: Destination, key: str, *, found: bool) -> Outcome:
    if found:
        return Outcome(sop_instance_uid=key, state=DeliveryState.VERIFIED)
    return failed(key, NotFoundAtPeer(destination=destination.name), transient=True)


def _not_asked(key: str, error: PeerError) -> Outcome:
    return Outcome(
        sop_instance_uid=key, state=DeliveryState.SENT, transient=True, code=error.code, message=str(error)
    )


def _study_uid(document: Document) -> str:
    tags = ["StudyInstanceUID"]
    return str(
        dcmread(io.BytesIO(document.data), specific_tags=tags, stop_before_pixels=True).StudyInstanceUID
    )


def _ask_by_find(destination: Destination, documents: Sequence[Document]) -> list[Outcome]:
    outcomes: list[Outcome] = []
    context = build_context(StudyRootQueryRetrieveInformationModelFind)
    try:
        with open_association(destination, [context]) as association:
            for document in documents:
                found = _find(association, document)
                outcomes.append(_outcome(destination, document.sop_instance_uid, found=found))
    except PeerError as error:
        rest = documents[len(outcomes) :]
        outcomes += [_not_asked(document.sop_instance_uid, error) for document in rest]
    return outcomes


def _find(association: Any, document: Document) -> bool:
    # Hierarchical search (PS3.4 C.4.1.2.1) wants the unique keys of the levels above.
    query = Dataset()
    query.QueryRetrieveLevel = "IMAGE"
    query.StudyInstanceUID = _study_uid(document)
    query.SeriesInstanceUID = document.series_instance_uid
    query.SOPInstanceUID = document.sop_instance_uid
    if not association.is_established:
        raise PeerUnreachable("The destination ended the association.")
    found = False
    code = None
    for status, answer in association.send_c_find(query, StudyRootQueryRetrieveInformationModelFind):
        code = status.get("Status")
        if answer is not None and str(answer.get("SOPInstanceUID", "")) == document.sop_instance_uid:
            found = True
    if code is None:
        association.abort()
        raise PeerUnreachable("The destination did not answer in time, or ended the association.")
    if code != 0 and not found:
        raise PeerError("The destination cannot be queried.", status=f"0x{int(code):04X}")
    return found


def _ask_by_qido(destination: Destination, document: Document) -> Outcome:
    key = document.sop_instance_uid
    study = urllib.parse.quote(_study_uid(document))
    series = urllib.parse.quote(document.series_instance_uid)
    url = (
        f"{destination.qido_url.rstrip('/')}/studies/{study}/series/{series}/instances"
        f"?SOPInstanceUID={urllib.parse.quote(key)}"
    )
    try:
        found = _lists(_get(url, destination), key)
    except PeerError as error:
        return _not_asked(key, error)
    except (OSError, ValueError) as error:
        return _not_asked(key, _qido_error(destination, error))
    return _outcome(destination, key, found=found)


def _qido_error(destination: Destination, error: Exception) -> PeerError:
    found = connection_error(destination, error)
    if isinstance(found, PeerNotTrusted):
        return found
    # Its text may quote what the destination answered.
    return PeerUnreachable(
        "The destination's DICOMweb service does not answer.",
        destination=destination.name,
        reason=type(error).__name__,
    )


def _get(url: str, destination: Destination) -> bytes:
    """Return the body of the answer, ``b""`` for "no content" and "not found"."""
    request = urllib.request.Request(url, headers={"Accept": "application/dicom+json"})  # noqa: S310 - http(s) only, by Destination
    context = destination_context(destination) if url.startswith("https://") else None
    try:
        with urllib.request.urlopen(request, timeout=destination.timeout_s, context=context) as answer:  # noqa: S310
            return bytes(answer.read(_ANSWER_LIMIT))
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 404:
                return b""
        raise


def _lists(body: bytes, sop_instance_uid: str) -> bool:
    # PS3.18 F.2: an array of objects, attributes by tag; (0008,0018) SOP Instance UID.
    if not body.strip():
        return False
    rows = json.loads(body)
    return any(sop_instance_uid in row.get("00080018", {}).get("Value", []) for row in rows)
