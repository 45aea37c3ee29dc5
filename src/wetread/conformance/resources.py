"""What is claimed of DICOMweb: what is served, and what is asked of others.

In: nothing.  Out: ``RESOURCES``, ``USED``.  Never: a resource that has no route.
"""

from __future__ import annotations

from wetread.conformance.claim import Resource

_DELIVER = "tests/deliver/test_cstore.py"
_WEB = "tests/web/test_dicomweb.py"
_STOW = "tests/web/test_stow.py"
_STUDY = "/dicom-web/studies/{study}"
_SERIES = f"{_STUDY}/series/{{series}}"
_UPS = "tests/web/test_workitems.py"
_WORKITEM = "/dicom-web/workitems/{uid}"
_INSTANCE = f"{_SERIES}/instances/{{instance}}"
_WAYS = "tests/fetch/test_ways.py"

RESOURCES: tuple[Resource, ...] = (
    Resource(
        operations=(
            "GET /dicom-web/studies",
            "GET /dicom-web/series",
            "GET /dicom-web/instances",
            f"GET {_STUDY}/series",
            f"GET {_STUDY}/instances",
            f"GET {_SERIES}/instances",
        ),
        service="Search (QIDO-RS)",
        media_types="`application/dicom+json`, `multipart/related; type=application/dicom+xml`",
        tests=(f"{_WEB}::test_search_at_each_level", f"{_WEB}::test_xml_where_it_is_accepted"),
    ),
    Resource(
        operations=(f"GET {_STUDY}", f"GET {_SERIES}", f"GET {_INSTANCE}"),
        service="Retrieve (WADO-RS)",
        media_types="`multipart/related; type=application/dicom`, of one object also `application/dicom`;"
        " transfer syntax as stored, or Explicit VR Little Endian (the default)",
        tests=(
            f"{_WEB}::test_objects_as_they_are_stored",
            f"{_WEB}::test_another_transfer_syntax_becomes_the_default_one",
        ),
    ),
    Resource(
        operations=(f"GET {_STUDY}/metadata", f"GET {_SERIES}/metadata", f"GET {_INSTANCE}/metadata"),
        service="Retrieve metadata (WADO-RS)",
        media_types="`application/dicom+json`, `multipart/related; type=application/dicom+xml`",
        tests=(f"{_WEB}::test_headers_with_addresses_that_lead_to_the_values",),
    ),
    Resource(
        operations=(f"GET {_INSTANCE}/frames/{{frames}}", f"GET {_INSTANCE}/bulkdata/{{place:path}}"),
        service="Retrieve frames and bulk data (WADO-RS)",
        media_types="`multipart/related; type=application/octet-stream` (decoded), or as stored: see the"
        " table below; of one frame also as a single part",
        tests=(f"{_WEB}::test_frames",),
    ),
    Resource(
        operations=(
            f"GET {_INSTANCE}/rendered",
            f"GET {_INSTANCE}/frames/{{frame}}/rendered",
            f"GET {_STUDY}/thumbnail",
            f"GET {_SERIES}/thumbnail",
            f"GET {_INSTANCE}/thumbnail",
        ),
        service="Retrieve rendered (WADO-RS)",
        media_types="`image/jpeg`, `image/png`; parameters `window`, `viewport`, `quality`",
        tests=(f"{_WEB}::test_pictures",),
    ),
    Resource(
        operations=("POST /dicom-web/studies", f"POST {_STUDY}"),
        service="Store (STOW-RS)",
        media_types="`application/dicom` alone or in `multipart/related`; `application/dicom+json` or"
        " `application/dicom+xml` with bulk data",
        tests=(
            f"{_STOW}::test_dicomweb_client",
            f"{_STOW}::test_metadata_and_bulk_data",
            f"{_STOW}::test_orthanc_sends_its_study",
        ),
    ),
    Resource(
        operations=(
            "GET /dicom-web/workitems",
            f"GET {_WORKITEM}",
            "POST /dicom-web/workitems",
            f"POST {_WORKITEM}",
            f"PUT {_WORKITEM}/state",
            f"POST {_WORKITEM}/cancelrequest",
        ),
        service="Worklist (UPS-RS)",
        media_types="`application/dicom+json`, `application/dicom+xml`",
        tests=(
            f"{_UPS}::test_a_workitem_from_its_creation_to_its_end",
            f"{_UPS}::test_search",
            f"{_UPS}::test_xml_both_ways",
            f"{_UPS}::test_a_request_to_cancel",
        ),
    ),
    Resource(
        operations=(
            f"POST {_WORKITEM}/subscribers/{{aet}}",
            f"DELETE {_WORKITEM}/subscribers/{{aet}}",
            f"POST {_WORKITEM}/subscribers/{{aet}}/suspend",
        ),
        service="Subscriptions (UPS-RS)",
        media_types="event reports by WebSocket, `application/dicom+json`",
        tests=(
            f"{_UPS}::test_event_reports_come_on_a_websocket",
            f"{_UPS}::test_subscriptions_to_all_and_to_some",
        ),
    ),
    Resource(
        operations=("GET /wado",),
        service="Retrieve (WADO-URI)",
        media_types="`application/dicom`, `image/jpeg`, `image/png`",
        tests=(f"{_WEB}::test_wado_uri",),
    ),
)

#: DICOMweb services that we ask others for.
USED: tuple[Resource, ...] = (
    Resource(
        operations=("GET {base}/studies", "GET {base}/instances"),
        service="Search (QIDO-RS)",
        media_types='`application/dicom+json`: whether a result landed (`verify = "qido"`); new studies,'
        " priors and what they hold",
        tests=(f"{_DELIVER}::test_orthanc_lists_what_it_got", f"{_WAYS}::test_every_level_is_asked"),
    ),
    Resource(
        operations=("GET {base}/studies/{study}",),
        service="Retrieve (WADO-RS)",
        media_types="`multipart/related; type=application/dicom; transfer-syntax=*`: fetches from a PACS",
        tests=(f"{_WAYS}::test_a_study_comes_as_it_is_stored",),
    ),
)
