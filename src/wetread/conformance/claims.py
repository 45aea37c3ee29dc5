"""What is claimed, and which test holds each claim: the only table of the statement that is written by hand.

In: nothing.  Out: ``SERVICES``, ``RESOURCES``, ``PROFILES``.  Never: a claim without a test.

``tests/docs/test_conformance.py`` asserts that every registered SOP class and every DICOMweb resource stands
here, that nothing else does, and that each test is there. Who adds a service adds a row, then runs
``wetread conformance --out docs/conformance.md``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from pydicom import uid as uids


class Role(StrEnum):
    """Who asks and who serves."""

    SCU = "SCU"
    SCP = "SCP"


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One DIMSE service in one role."""

    #: SOP classes; empty: any storage SOP class.
    sop_classes: tuple[str, ...]
    role: Role
    #: For people, with its DIMSE messages.
    name: str
    #: Where it is used, or what is particular.
    about: str
    #: Where transfer syntaxes are not registered: in words.
    syntaxes: str = ""
    #: pytest node ids.
    tests: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """Resources of one DICOMweb service."""

    #: As the address of a request, e.g. ``/studies/{study}`` below ``/dicom-web``.
    operations: tuple[str, ...]
    service: str
    media_types: str
    tests: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """One IHE transaction."""

    #: E.g. ``RAD-8``.
    number: str
    name: str
    #: Our actor.
    actor: str
    how: str
    tests: tuple[str, ...]


_QR = "tests/share/test_query_retrieve.py"
_CSTORE = "tests/receive/test_cstore.py"
_DELIVER = "tests/deliver/test_cstore.py"
_NOTICES = "tests/receive/test_notices.py"
_WEB = "tests/web/test_dicomweb.py"
_STOW = "tests/web/test_stow.py"
_STUDY = "/dicom-web/studies/{study}"
_SERIES = f"{_STUDY}/series/{{series}}"
_INSTANCE = f"{_SERIES}/instances/{{instance}}"
_WAYS = "tests/fetch/test_ways.py"
_MOVED = "as stored, and Explicit VR Little Endian"

SERVICES: tuple[Service, ...] = (
    Service(
        sop_classes=("1.2.840.10008.1.1",),
        role=Role.SCP,
        name="Verification (C-ECHO)",
        about="Also answered where nothing else is asked for.",
        tests=(f"{_CSTORE}::test_echo_and_store_by_dcmtk",),
    ),
    Service(
        sop_classes=(),
        role=Role.SCP,
        name="Storage (C-STORE)",
        about="Every SOP class that is of no other service: standard, retired and private. Level 2 (full).",
        syntaxes="all of PS3.6, the sender's first choice; a private one where nothing else is offered",
        tests=(
            f"{_CSTORE}::test_echo_and_store_by_dcmtk",
            f"{_CSTORE}::test_compressed_and_big_endian_come_as_they_are",
            f"{_CSTORE}::test_private_sop_classes_are_stored",
            "tests/receive/test_peers.py::test_what_is_stored_is_what_storescp_stores",
        ),
    ),
    Service(
        sop_classes=("1.2.840.10008.5.1.4.1.2.2.1",),
        role=Role.SCP,
        name="Query, Study Root (C-FIND)",
        about="Levels STUDY, SERIES, IMAGE; hierarchical; keys as in the tables below; C-CANCEL.",
        tests=(f"{_QR}::test_studies_by_name_and_date", f"{_QR}::test_each_level"),
    ),
    Service(
        sop_classes=("1.2.840.10008.5.1.4.1.2.2.3",),
        role=Role.SCP,
        name="Retrieve, Study Root (C-GET)",
        about="The storage sub-operations go over the same association, as they are stored where that was"
        " accepted, else decoded.",
        tests=(
            f"{_QR}::test_objects_come_by_c_get",
            f"{_QR}::test_what_is_compressed_is_decoded_for_who_does_not_take_it",
        ),
    ),
    Service(
        sop_classes=("1.2.840.10008.5.1.4.1.2.2.2",),
        role=Role.SCP,
        name="Retrieve, Study Root (C-MOVE)",
        about="Only to systems that the configuration names (`retrieve_to` of a peer).",
        tests=(
            f"{_QR}::test_objects_go_by_c_move_to_a_system_that_is_configured",
            f"{_QR}::test_nothing_moves_to_where_nobody_has_configured",
        ),
    ),
    Service(
        sop_classes=("1.2.840.10008.3.1.2.3.3",),
        role=Role.SCP,
        name="Modality Performed Procedure Step (N-CREATE, N-SET)",
        about="A step that is over says which images there are: the study is read when they have arrived.",
        tests=(
            f"{_NOTICES}::test_a_step_is_begun_and_ended",
            f"{_NOTICES}::test_a_step_that_breaks_the_rules",
        ),
    ),
    Service(
        sop_classes=("1.2.840.10008.5.1.4.33",),
        role=Role.SCP,
        name="Instance Availability Notification (N-CREATE)",
        about="Says which images there are, as above.",
        tests=(f"{_NOTICES}::test_an_archive_says_what_can_be_had",),
    ),
    Service(
        sop_classes=(
            uids.Comprehensive3DSRStorage,
            uids.SegmentationStorage,
            uids.GrayscaleSoftcopyPresentationStateStorage,
            uids.SecondaryCaptureImageStorage,
            uids.EncapsulatedPDFStorage,
        ),
        role=Role.SCU,
        name="Storage (C-STORE)",
        about="Results to the configured destinations, until they are acknowledged.",
        syntaxes="Explicit VR Little Endian",
        tests=(
            f"{_DELIVER}::test_dcmtk_gets_every_kind_as_it_is",
            f"{_DELIVER}::test_orthanc_lists_what_it_got",
        ),
    ),
    Service(
        sop_classes=(),
        role=Role.SCU,
        name="Storage (C-STORE) as sub-operation",
        about="What C-MOVE asks for.",
        syntaxes=_MOVED,
        tests=(f"{_QR}::test_objects_go_by_c_move_to_a_system_that_is_configured",),
    ),
    Service(
        sop_classes=("1.2.840.10008.5.1.4.1.2.2.1",),
        role=Role.SCU,
        name="Query, Study Root (C-FIND)",
        about='Asks a destination whether a result landed (`verify = "cfind"`), by its unique keys; asks a PACS'
        " for new studies, for priors of a patient, and for what they hold.",
        tests=(f"{_DELIVER}::test_orthanc_lists_what_it_got", f"{_WAYS}::test_every_level_is_asked"),
    ),
    Service(
        sop_classes=("1.2.840.10008.5.1.4.1.2.2.3",),
        role=Role.SCU,
        name="Retrieve, Study Root (C-GET)",
        about="Fetches from a PACS; storage SOP classes are proposed in the SCP role.",
        syntaxes="of the objects: uncompressed, RLE and the JPEG family, each in a context of its own",
        tests=(f"{_WAYS}::test_a_study_comes_as_it_is_stored",),
    ),
    Service(
        sop_classes=("1.2.840.10008.5.1.4.1.2.2.2",),
        role=Role.SCU,
        name="Retrieve, Study Root (C-MOVE)",
        about="Fetches from a PACS, which sends to our own port.",
        tests=(f"{_WAYS}::test_a_study_comes_as_it_is_stored",),
    ),
    Service(
        sop_classes=("1.2.840.10008.5.1.4.31",),
        role=Role.SCU,
        name="Modality Worklist (C-FIND)",
        about="Asks which examinations are planned.",
        tests=("tests/fetch/test_modality_worklist.py::test_the_steps_of_a_day_are_listed",),
    ),
)

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
        media_types='`application/dicom+json`: whether a result landed (`verify = "qido"`); new studies, priors'
        " and what they hold",
        tests=(f"{_DELIVER}::test_orthanc_lists_what_it_got", f"{_WAYS}::test_every_level_is_asked"),
    ),
    Resource(
        operations=("GET {base}/studies/{study}",),
        service="Retrieve (WADO-RS)",
        media_types="`multipart/related; type=application/dicom; transfer-syntax=*`: fetches from a PACS",
        tests=(f"{_WAYS}::test_a_study_comes_as_it_is_stored",),
    ),
)

PROFILES: tuple[Transaction, ...] = (
    Transaction(
        number="RAD-8",
        name="Modality Images Stored",
        actor="Image Manager/Archive",
        how="C-STORE SCP",
        tests=("tests/receive/test_peers.py::test_dcmtk_sends_a_folder",),
    ),
    Transaction(
        number="RAD-18",
        name="Creator Images Stored",
        actor="Evidence Creator",
        how="C-STORE SCU: key images",
        tests=(f"{_DELIVER}::test_orthanc_lists_what_it_got",),
    ),
    Transaction(
        number="RAD-43",
        name="Evidence Documents Stored",
        actor="Evidence Creator",
        how="C-STORE SCU: SR, presentation states",
        tests=(f"{_DELIVER}::test_orthanc_lists_what_it_got",),
    ),
    Transaction(
        number="RAD-14",
        name="Query Images",
        actor="Image Manager/Archive",
        how="C-FIND SCP",
        tests=(f"{_QR}::test_each_level",),
    ),
    Transaction(
        number="RAD-16",
        name="Retrieve Images",
        actor="Image Manager/Archive",
        how="C-MOVE SCP",
        tests=(f"{_QR}::test_objects_go_by_c_move_to_a_system_that_is_configured",),
    ),
    Transaction(
        number="RAD-14",
        name="Query Images",
        actor="Image Display",
        how="C-FIND SCU, QIDO-RS",
        tests=(f"{_WAYS}::test_every_level_is_asked",),
    ),
    Transaction(
        number="RAD-16",
        name="Retrieve Images",
        actor="Image Display",
        how="C-MOVE and C-GET SCU, WADO-RS",
        tests=(f"{_WAYS}::test_a_study_comes_as_it_is_stored",),
    ),
    Transaction(
        number="RAD-6, RAD-20",
        name="Procedure Step In Progress",
        actor="Image Manager",
        how="MPPS SCP",
        tests=(f"{_NOTICES}::test_a_step_is_begun_and_ended",),
    ),
    Transaction(
        number="RAD-7, RAD-21",
        name="Procedure Step Completed",
        actor="Image Manager",
        how="MPPS SCP",
        tests=(f"{_NOTICES}::test_a_step_is_begun_and_ended",),
    ),
    Transaction(
        number="RAD-49",
        name="Instance Availability Notification",
        actor="receiver of the notification",
        how="IAN SCP",
        tests=(f"{_NOTICES}::test_an_archive_says_what_can_be_had",),
    ),
    Transaction(
        number="RAD-55",
        name="WADO Retrieve",
        actor="Image Manager/Archive",
        how="WADO-URI",
        tests=(f"{_WEB}::test_wado_uri",),
    ),
    Transaction(
        number="RAD-107",
        name="WADO-RS Retrieve",
        actor="Image Manager/Archive",
        how="WADO-RS",
        tests=(f"{_WEB}::test_objects_as_they_are_stored",),
    ),
    Transaction(
        number="RAD-108",
        name="Store Instances Over the Web",
        actor="Image Manager/Archive",
        how="STOW-RS",
        tests=(f"{_STOW}::test_dicomweb_client",),
    ),
    Transaction(
        number="RAD-129",
        name="QIDO-RS Query",
        actor="Image Manager/Archive",
        how="QIDO-RS",
        tests=(f"{_WEB}::test_search_at_each_level",),
    ),
    Transaction(
        number="RAD-136",
        name="Store Analysis Results (AIR)",
        actor="Evidence Creator",
        how="C-STORE SCU: SR (TID 1500), SEG, presentation states",
        tests=(f"{_DELIVER}::test_dcmtk_gets_every_kind_as_it_is",),
    ),
    Transaction(
        number="RAD-137",
        name="Query Analysis Results (AIR)",
        actor="Image Manager/Archive",
        how="C-FIND SCP, QIDO-RS: results are listed like images",
        tests=("tests/store/test_catalogue.py::test_a_result_is_found_until_it_is_superseded",),
    ),
    Transaction(
        number="RAD-138",
        name="Retrieve Analysis Results (AIR)",
        actor="Image Manager/Archive",
        how="C-MOVE SCP, WADO-RS",
        tests=("tests/store/test_catalogue.py::test_a_result_is_found_until_it_is_superseded",),
    ),
    Transaction(
        number="ITI-19",
        name="Authenticate Node",
        actor="Secure Application",
        how="TLS both ways",
        tests=("tests/network/test_network.py::test_both_ends_know_each_other",),
    ),
    Transaction(
        number="ITI-20",
        name="Record Audit Event",
        actor="Secure Application",
        how="syslog over TLS, messages of PS3.15 A.5",
        tests=(
            "tests/audit/test_syslog.py::test_every_entry_arrives_in_order",
            "tests/audit/test_message.py::test_every_message_keeps_the_schema",
        ),
    ),
)
