"""What is claimed of DIMSE: by hand, like ``resources`` and ``profiles``; all else is read from the code.

In: nothing.  Out: ``SERVICES``.  Never: a service that is not registered.

``tests/docs/test_conformance.py`` asserts that every registered SOP class and every DICOMweb resource is
claimed, that nothing else is, and that each test is there. Who adds a service adds a row, then runs
``wetread conformance --out docs/conformance.md``.
"""

from __future__ import annotations

from pydicom import uid as uids

from wetread.conformance.claim import Role, Service

_QR = "tests/share/test_query_retrieve.py"
_COMMIT = "tests/share/test_commitment.py"
_CSTORE = "tests/receive/test_cstore.py"
_DELIVER = "tests/deliver/test_cstore.py"
_NOTICES = "tests/receive/test_notices.py"
_UPS = "tests/share/test_ups.py"
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
        sop_classes=("1.2.840.10008.1.1",),
        role=Role.SCU,
        name="Verification (C-ECHO)",
        about="When an administrator tests a connection.",
        tests=("tests/web/test_admin.py::test_a_destination_is_tried_from_the_page",),
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
        sop_classes=("1.2.840.10008.1.20.1",),
        role=Role.SCP,
        name="Storage Commitment, Push Model (N-ACTION, N-EVENT-REPORT)",
        about="Reports on the same association, or later on one of our own, until the peer has heard.",
        tests=(
            f"{_COMMIT}::test_what_is_held_is_committed_and_the_rest_says_why",
            f"{_COMMIT}::test_on_the_same_association",
            f"{_COMMIT}::test_orthanc_asks",
        ),
    ),
    Service(
        sop_classes=("1.2.840.10008.5.1.4.34.6.1",),
        role=Role.SCP,
        name="Unified Procedure Step, Push (N-CREATE, N-GET, N-ACTION)",
        about="Others order readings; a request to cancel is an action.",
        tests=(
            f"{_UPS}::test_a_workitem_from_its_creation_to_its_end",
            f"{_UPS}::test_what_is_asked_for_wrongly",
        ),
    ),
    Service(
        sop_classes=("1.2.840.10008.5.1.4.34.6.2",),
        role=Role.SCP,
        name="Unified Procedure Step, Watch (N-GET, N-ACTION, C-FIND)",
        about="Subscriptions to one, to all and to filtered workitems.",
        tests=(f"{_UPS}::test_subscribers_are_told", f"{_UPS}::test_find"),
    ),
    Service(
        sop_classes=("1.2.840.10008.5.1.4.34.6.3",),
        role=Role.SCP,
        name="Unified Procedure Step, Pull (C-FIND, N-GET, N-SET, N-ACTION)",
        about="Others may perform them as well as our own models.",
        tests=(f"{_UPS}::test_a_workitem_from_its_creation_to_its_end", f"{_UPS}::test_find"),
    ),
    Service(
        sop_classes=("1.2.840.10008.5.1.4.34.6.5",),
        role=Role.SCP,
        name="Unified Procedure Step, Query (C-FIND)",
        about="As Pull and Watch.",
        tests=(f"{_UPS}::test_find",),
    ),
    Service(
        sop_classes=("1.2.840.10008.5.1.4.34.6.4",),
        role=Role.SCU,
        name="Unified Procedure Step, Event (N-EVENT-REPORT)",
        about="Tells subscribers on associations of our own, on which we have the SCP role.",
        tests=(
            f"{_UPS}::test_subscribers_are_told",
            f"{_UPS}::test_who_is_away_is_told_later_and_after_a_restart",
        ),
    ),
    Service(
        sop_classes=(
            uids.Comprehensive3DSRStorage,
            uids.BasicTextSRStorage,
            uids.SegmentationStorage,
            uids.SpatialRegistrationStorage,
            uids.DeformableSpatialRegistrationStorage,
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
        about='Asks a destination whether a result landed (`verify = "cfind"`), by its unique keys; asks'
        " a PACS for new studies, for priors of a patient, and for what they hold.",
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
