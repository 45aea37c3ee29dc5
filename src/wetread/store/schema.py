"""The tables of the index.

In: nothing.  Out: SQLAlchemy tables that ``migrations`` create.  Never: queries.

Times are seconds since 1970 (UTC), so that SQLite and PostgreSQL sort them alike.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from wetread.store.metadata import metadata as metadata
from wetread.store.schema_alerts import alert as alert
from wetread.store.schema_alerts import alert_call as alert_call
from wetread.store.schema_fetch import backfill as backfill
from wetread.store.schema_fetch import fetch as fetch
from wetread.store.schema_fetch import late_prior as late_prior
from wetread.store.schema_fetch import pacs_state as pacs_state
from wetread.store.schema_fetch import prior_search as prior_search
from wetread.store.schema_list import saved_view as saved_view
from wetread.store.schema_models import model_change as model_change
from wetread.store.schema_models import model_failure as model_failure
from wetread.store.schema_models import operating_point as operating_point
from wetread.store.schema_models import shadow_reading as shadow_reading
from wetread.store.schema_review import change as change
from wetread.store.schema_review import claim as claim
from wetread.store.schema_review import given_priority as given_priority
from wetread.store.schema_review import remark as remark
from wetread.store.schema_review import report as report
from wetread.store.schema_review import returned as returned
from wetread.store.schema_review import settling as settling
from wetread.store.schema_told import commitment_asked as commitment_asked
from wetread.store.schema_told import commitment_item as commitment_item
from wetread.store.schema_told import commitment_wanted as commitment_wanted
from wetread.store.schema_told import expectation as expectation
from wetread.store.schema_told import notice as notice
from wetread.store.schema_told import notice_instance as notice_instance
from wetread.store.schema_told import notice_study as notice_study
from wetread.store.schema_workitems import asked_reading as asked_reading
from wetread.store.schema_workitems import workitem as workitem
from wetread.store.schema_workitems import workitem_report as workitem_report
from wetread.store.schema_workitems import workitem_subscription as workitem_subscription

#: Ordered by the numbers of the letters, whatever the database's language is; SQLite does so anyway.
_KEY = Text().with_variant(Text(collation="C"), "postgresql")

#: One row per study; what a reading list shows without opening anything else.
study = Table(
    "study",
    metadata,
    Column("study_instance_uid", String(64), primary_key=True),
    # domain.study.study_key: names the study in addresses of pages.
    Column("key", String(16), nullable=False, unique=True),
    Column("patient_id", String(64), nullable=False, default="", index=True),
    Column("patient_name", Text, nullable=False, default=""),
    Column("patient_birth_date", String(8), nullable=False, default=""),
    Column("patient_sex", String(16), nullable=False, default=""),
    Column("accession_number", String(64), nullable=False, default="", index=True),
    Column("study_date", String(8), nullable=False, default="", index=True),
    Column("study_time", String(16), nullable=False, default=""),
    Column("study_description", Text, nullable=False, default=""),
    Column("modalities", JSON, nullable=False, default=list),
    Column("expected_instances", Integer),
    # Who told it: a destination's name or an AE title; "": its images' headers.
    Column("expected_by", String(64), nullable=False, default="", server_default=""),
    Column("instance_count", Integer, nullable=False, default=0),
    Column("first_received_at", Float, nullable=False),
    Column("last_received_at", Float, nullable=False, index=True),
    # Highest revision begun; 0 before the first. ``covered_count`` is the number of instances
    # it covers: work is due while it is below ``instance_count``.
    Column("revision", Integer, nullable=False, default=0),
    Column("covered_count", Integer, nullable=False, default=0),
    Column("state", String(16), nullable=False, default="arriving", index=True),
    # Urgency that a rule gives, before and beside what models find, and the rule's name.
    Column("urgency", String(16), nullable=False, default="routine"),
    Column("urgency_rule", Text, nullable=False, default=""),
    # When a person took it off the reading list; NULL while it waits.
    Column("reported_at", Float, index=True),
    # Who handed in its first image (``instance.source``): what an account may see can hang on it.
    Column("source", String(64), nullable=False, default="", server_default="", index=True),
    # Of its first image, to be found by: PS3.18 table 10.6.1-5.
    Column("study_id", String(64), nullable=False, default="", server_default=""),
    Column("referring_physician_key", _KEY, nullable=False, default="", server_default=""),
    # ``store.names``: how the patient's name is compared.
    Column("patient_key", _KEY, nullable=False, default="", server_default=""),
    # domain.fetching.Purpose: what it is here for.
    Column("purpose", String(16), nullable=False, default="live", server_default="live", index=True),
    # store.list_rank: what the reading list is ordered by.
    Column("list_priority", Integer, nullable=False, default=2, server_default="2"),
    Column("list_score", Float, nullable=False, default=0.0, server_default="0"),
    Column("list_findings", Integer, nullable=False, default=0, server_default="0"),
    # All that ordering and counting ask for: the table itself is not read.
    Index(
        "study_on_list",
        *("reported_at", "list_priority", "state", "first_received_at", "list_score", "list_findings"),
        *("source", "study_instance_uid"),
    ),
    Index("study_by_date", "study_date", "study_time", "study_instance_uid"),
    # With the UID beside it: a part of a name is looked for in the index alone.
    Index("study_by_patient_key", "patient_key", "study_instance_uid"),
)

#: One row per series, of images that arrived and of results of ours.
series = Table(
    "series",
    metadata,
    Column("study_instance_uid", ForeignKey("study.study_instance_uid"), primary_key=True),
    # Not by itself: two studies with one series UID are a sender's fault, and must not become one.
    Column("series_instance_uid", String(64), primary_key=True),
    Column("modality", String(16), nullable=False, default=""),
    Column("series_number", Integer),
    Column("performed_date", String(8), nullable=False, default=""),
    Column("performed_time", String(16), nullable=False, default=""),
    # Of its first request.
    Column("scheduled_step_id", String(64), nullable=False, default=""),
    Column("requested_procedure_id", String(64), nullable=False, default=""),
    Column("instance_count", Integer, nullable=False),
    # SOP Instance UID of the object whose header speaks for the series.
    Column("head", String(64), nullable=False),
    # The Reading that its objects were made from; NULL: images that arrived.
    Column("reading_id", ForeignKey("reading.id"), index=True),
    Index("series_by_uid", "series_instance_uid"),
    Index("series_by_modality", "modality", "study_instance_uid"),
)

#: One row per stored SOP instance.
instance = Table(
    "instance",
    metadata,
    Column("sop_instance_uid", String(64), primary_key=True),
    Column("study_instance_uid", ForeignKey("study.study_instance_uid"), nullable=False),
    Column("series_instance_uid", String(64), nullable=False, index=True),
    Column("sop_class_uid", String(64), nullable=False),
    Column("transfer_syntax_uid", String(64), nullable=False),
    # sha256 over the encoded data set, without preamble and file meta.
    Column("content_digest", String(64), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("header", JSON, nullable=False),
    Column("received_at", Float, nullable=False),
    # Its number in order of arrival within the study, from 1: what a revision covers never depends on
    # a clock. 0: a result of ours.
    Column("arrival", Integer, nullable=False),
    # AE title, "folder" or "stow": who handed it in.
    Column("source", String(64), nullable=False, default=""),
    # A result of ours that came back (a PACS may send everything on): stored beside the images,
    # never read again.
    Column("is_result", Boolean, nullable=False, default=False),
    Column("instance_number", Integer),
    # Its header in the DICOM JSON Model, packed (``store.catalogue``). NULL: not made yet (an earlier version
    # took it in), or too large; then the file is asked.
    Column("metadata", LargeBinary),
    Index("instance_by_study", "study_instance_uid", "arrival"),
)

#: Same UID, other content: kept aside, never overwriting.
conflict = Table(
    "conflict",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("sop_instance_uid", String(64), nullable=False, index=True),
    Column("study_instance_uid", String(64), nullable=False, index=True),
    Column("content_digest", String(64), nullable=False),
    Column("received_at", Float, nullable=False),
    Column("source", String(64), nullable=False, default=""),
    UniqueConstraint("sop_instance_uid", "content_digest"),
)

#: One row per revision of a study that was begun.
revision = Table(
    "revision",
    metadata,
    Column("study_instance_uid", ForeignKey("study.study_instance_uid"), primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("instance_count", Integer, nullable=False),
    # Why the study was taken as complete, in words.
    Column("cause", Text, nullable=False),
    Column("begun_at", Float, nullable=False, index=True),
    Column("finished_at", Float, index=True),
    # What ``match`` decided, for every model: shown by ``wetread explain``.
    Column("match", JSON),
)

#: One row per Reading: a model on a revision.
reading = Table(
    "reading",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("study_instance_uid", String(64), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("model_name", String(64), nullable=False),
    Column("model_version", String(64), nullable=False),
    Column("digest", String(64), nullable=False, unique=True),
    Column("outcome", String(16), nullable=False),
    Column("priority", String(16), nullable=False),
    Column("score", Float, nullable=False),
    Column("reasons", JSON, nullable=False),
    Column("problems", JSON, nullable=False),
    Column("finding_count", Integer, nullable=False),
    Column("made_at", Float, nullable=False),
    Column("superseded", Boolean, nullable=False, default=False),
    # How long its model took; NULL: not measured.
    Column("seconds", Float),
    # How long the answer that it awaits has been waited for, while a process ran; NULL: it awaits none yet.
    Column("waited_s", Float),
    UniqueConstraint("study_instance_uid", "revision", "model_name"),
    Index("reading_by_priority", "priority", "superseded"),
)

#: One row per composed document.
document = Table(
    "document",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("reading_id", ForeignKey("reading.id"), nullable=False, index=True),
    Column("kind", String(16), nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("sop_instance_uid", String(64), nullable=False, index=True),
    Column("sop_class_uid", String(64), nullable=False),
    Column("series_instance_uid", String(64), nullable=False),
    Column("title", Text, nullable=False),
    Column("content_digest", String(64), nullable=False),
    # As of an instance; NULL too where it is no DICOM object.
    Column("metadata", LargeBinary),
    UniqueConstraint("reading_id", "kind", "ordinal"),
)

#: One row per document and destination.
delivery = Table(
    "delivery",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("document_id", ForeignKey("document.id"), nullable=False),
    Column("destination", String(64), nullable=False, index=True),
    Column("study_instance_uid", String(64), nullable=False, index=True),
    Column("revision", Integer, nullable=False),
    Column("state", String(16), nullable=False, index=True),
    Column("attempts", Integer, nullable=False, default=0),
    Column("problem_code", String(64), nullable=False, default=""),
    Column("message", Text, nullable=False, default=""),
    Column("updated_at", Float, nullable=False, index=True),
    UniqueConstraint("document_id", "destination"),
)

#: What happened, in order: the history of every step.
event = Table(
    "event",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("study_instance_uid", String(64), nullable=False, default="", index=True),
    Column("revision", Integer, nullable=False, default=0),
    Column("at", Float, nullable=False),
    # A stage: receive, assemble, match, infer, compose, deliver ...
    Column("stage", String(16), nullable=False),
    # "info", "problem"
    Column("level", String(8), nullable=False, default="info"),
    Column("code", String(64), nullable=False, default=""),
    Column("message", Text, nullable=False),
)

#: Studies that must be kept, whatever retention says.
hold = Table(
    "hold",
    metadata,
    Column("study_instance_uid", String(64), primary_key=True),
    Column("placed_at", Float, nullable=False),
    Column("placed_by", String(64), nullable=False),
    Column("reason", Text, nullable=False),
)

#: Results of ours whose study was deleted: should one come back, it is still known as ours. No patient data.
forgotten = Table(
    "forgotten",
    metadata,
    # sha256 of the SOP Instance UID.
    Column("digest", String(64), primary_key=True),
    Column("forgotten_at", Float, nullable=False),
)

#: Files of deleted studies that are still there: without rows they would be taken in as new ones.
doomed = Table(
    "doomed",
    metadata,
    # Folder and name below the data folder; names are digests. No patient data.
    Column("path", String(160), primary_key=True),
)

#: The audit trail: each row's digest covers the row before it.
audit = Table(
    "audit",
    metadata,
    # From 1 without gaps.
    Column("sequence", Integer, primary_key=True, autoincrement=False),
    # The audit message (DICOM PS3.15 A.5) as written, byte for byte what the digest covers.
    Column("message", Text, nullable=False),
    Column("digest", String(64), nullable=False),
    # For looking up; the message is what counts.
    Column("at", Float, nullable=False, index=True),
    Column("event", String(32), nullable=False, index=True),
    Column("actor", String(128), nullable=False, default="", index=True),
    Column("study_instance_uid", String(64), nullable=False, default="", index=True),
)

#: One row: the end of the audit trail, and how far it was handed on to a collector.
audit_head = Table(
    "audit_head",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("sequence", Integer, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("forwarded", Integer, nullable=False, default=0),
)

#: People who may sign in.
account = Table(
    "account",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(64), nullable=False, unique=True),
    Column("display_name", Text, nullable=False, default=""),
    Column("role", String(32), nullable=False),
    # AE titles of the senders whose studies it may see; NULL: all.
    Column("sources", JSON),
    # argon2id in PHC form; "": signs in by OpenID Connect only.
    Column("password_hash", Text, nullable=False, default=""),
    # "issuer subject" of OpenID Connect; NULL: a local one.
    Column("subject", Text, unique=True),
    Column("totp_secret", Text, nullable=False, default=""),
    # The last time step that a code was taken for: no code works twice.
    Column("totp_step", Integer, nullable=False, default=0),
    # What it must do before anything else: choose a password of its own, set up TOTP.
    Column("must_change_password", Boolean, nullable=False, default=False),
    Column("must_use_totp", Boolean, nullable=False, default=False),
    Column("is_active", Boolean, nullable=False, default=True),
    Column("failures", Integer, nullable=False, default=0),
    Column("locked_until", Float),
    Column("created_at", Float, nullable=False),
)

#: Who is signed in.
session = Table(
    "session",
    metadata,
    # sha256 of what the cookie holds.
    Column("digest", String(64), primary_key=True),
    Column("account_id", ForeignKey("account.id"), nullable=False, index=True),
    Column("created_at", Float, nullable=False),
    Column("seen_at", Float, nullable=False),
)

#: Keys of programs.
token = Table(
    "token",
    metadata,
    Column("id", Integer, primary_key=True),
    # sha256 of the token.
    Column("digest", String(64), nullable=False, unique=True),
    Column("name", String(64), nullable=False, unique=True),
    Column("role", String(32), nullable=False),
    Column("sources", JSON),
    Column("created_at", Float, nullable=False),
    Column("created_by", String(64), nullable=False),
    Column("expires_at", Float),
    Column("revoked_at", Float),
    Column("used_at", Float),
)

#: Processes that work on a shared database, and when each was last heard of.
worker = Table(
    "worker",
    metadata,
    Column("id", String(128), primary_key=True),
    Column("started_at", Float, nullable=False),
    Column("beat_at", Float, nullable=False),
)
