"""What is claimed of IHE: transactions of Radiology and of audit trail and node authentication.

In: nothing.  Out: ``PROFILES``.  Never: an integration statement.
"""

from __future__ import annotations

from wetread.conformance.claim import Transaction

_QR = "tests/share/test_query_retrieve.py"
_DELIVER = "tests/deliver/test_cstore.py"
_NOTICES = "tests/receive/test_notices.py"
_UPS = "tests/web/test_workitems.py"
_WEB = "tests/web/test_dicomweb.py"
_STOW = "tests/web/test_stow.py"
_WAYS = "tests/fetch/test_ways.py"

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
        number="RAD-10",
        name="Storage Commitment",
        actor="Image Manager/Archive",
        how="Storage Commitment SCP",
        tests=("tests/share/test_commitment.py::test_orthanc_asks",),
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
        number="RAD-80",
        name="Create UPS Workitem (AIW-I)",
        actor="Task Manager",
        how="UPS Push SCP, UPS-RS",
        tests=(f"{_UPS}::test_a_workitem_from_its_creation_to_its_end",),
    ),
    Transaction(
        number="RAD-81",
        name="Query UPS Workitems (AIW-I)",
        actor="Task Manager",
        how="UPS C-FIND SCP, UPS-RS",
        tests=(f"{_UPS}::test_search",),
    ),
    Transaction(
        number="RAD-82",
        name="Claim UPS Workitem (AIW-I)",
        actor="Task Manager",
        how="UPS Pull SCP, UPS-RS",
        tests=(f"{_UPS}::test_a_workitem_from_its_creation_to_its_end",),
    ),
    Transaction(
        number="RAD-83",
        name="Get UPS Workitem Status and Details (AIW-I)",
        actor="Task Manager",
        how="UPS Pull SCP, UPS-RS",
        tests=(f"{_UPS}::test_a_workitem_from_its_creation_to_its_end",),
    ),
    Transaction(
        number="RAD-84",
        name="Update UPS Workitem (AIW-I)",
        actor="Task Manager",
        how="UPS Pull SCP, UPS-RS",
        tests=(f"{_UPS}::test_a_workitem_from_its_creation_to_its_end",),
    ),
    Transaction(
        number="RAD-85",
        name="Complete UPS Workitem (AIW-I)",
        actor="Task Manager",
        how="UPS Pull SCP, UPS-RS",
        tests=(f"{_UPS}::test_a_workitem_from_its_creation_to_its_end",),
    ),
    Transaction(
        number="RAD-86",
        name="Manage UPS Subscription (AIW-I)",
        actor="Task Manager",
        how="UPS Watch SCP, UPS-RS",
        tests=(f"{_UPS}::test_subscriptions_to_all_and_to_some",),
    ),
    Transaction(
        number="RAD-87",
        name="Send UPS Notification (AIW-I)",
        actor="Task Manager",
        how="UPS Event, WebSocket",
        tests=(f"{_UPS}::test_event_reports_come_on_a_websocket",),
    ),
    Transaction(
        number="RAD-88",
        name="Request UPS Workitem Cancelation (AIW-I)",
        actor="Task Manager",
        how="UPS Push SCP, UPS-RS",
        tests=(f"{_UPS}::test_a_request_to_cancel",),
    ),
    Transaction(
        number="RAD-82, RAD-84, RAD-85",
        name="Claim, update and complete (AIW-I)",
        actor="Task Performer",
        how="our own models, within the same system",
        tests=("tests/path/test_performing.py::test_it_is_read_because_a_workitem_asks",),
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
        tests=(
            f"{_DELIVER}::test_dcmtk_gets_every_kind_as_it_is",
            "tests/compose/test_air.py::test_root_is_an_imaging_measurement_report_of_tid_1500",
            "tests/compose/test_air.py::test_each_result_is_a_tid_1501_group_with_tracking_identifier_and_uid",
        ),
    ),
    Transaction(
        number="RAD-137",
        name="Query Analysis Results (AIR)",
        actor="Image Manager/Archive",
        how="C-FIND SCP, QIDO-RS: results are listed like images; keys of their content (Concept Name Code"
        " Sequence) are not matched",
        tests=("tests/store/test_catalogue.py::test_a_result_is_found_until_it_is_superseded",),
    ),
    Transaction(
        number="RAD-138",
        name="Retrieve Analysis Results (AIR)",
        actor="Image Manager/Archive",
        how="C-MOVE SCP, WADO-RS",
        tests=("tests/path/test_performing.py::test_it_is_read_because_a_workitem_asks",),
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
