"""The statement as one text, in the order of PS3.2.

In: what is registered, what is claimed.  Out: Markdown.  Never: a number that the code does not have.
"""

from __future__ import annotations

from pynetdicom import DEFAULT_TRANSFER_SYNTAXES

from wetread.config import Config
from wetread.conformance.claim import Role, Service
from wetread.conformance.keys import write_keys
from wetread.conformance.markdown import name_of, named, table, tests
from wetread.conformance.profiles import PROFILES
from wetread.conformance.registered import list_resources, list_served
from wetread.conformance.resources import RESOURCES, USED
from wetread.conformance.services import SERVICES
from wetread.network import CIPHERS
from wetread.receive.cstore import ReceiverOptions
from wetread.receive.negotiate import STORAGE_CLASSES, TRANSFER_SYNTAXES
from wetread.receive.spool import IMPLEMENTATION_CLASS_UID
from wetread.share.qido import MOST_RESULTS
from wetread.share.query_retrieve import MOST_MATCHES
from wetread.share.wado import FRAME_TYPES

_HEAD = """# DICOM Conformance Statement

Wetread receives images, lets AI models read them, and sends what they found: structured reports,
segmentations, presentation states, key images and PDF. It archives what it receives and what it makes, and
answers who asks for either.

This page is written by `wetread conformance` from what the program registers; a test asserts that it is up to
date, and that each claim is held by the tests that stand beside it (names below `tests/`). It follows the
order of PS3.2.

Wetread is not a medical device. Not for clinical use until validated at your site.
"""


def write_statement() -> str:
    """Return the statement as Markdown."""
    parts = (
        _HEAD.strip(),
        "## 1 Overview",
        _overview(),
        "## 2 Networking",
        _application_entity(),
        _sop_classes(Role.SCP, "### 2.2 Services provided"),
        _sop_classes(Role.SCU, "### 2.3 Services used"),
        "### 2.4 Attributes that are matched and returned",
        "By C-FIND and QIDO-RS alike. C-FIND returns what was asked for as far as the header has it; keys"
        " that are not matched are returned, with the status 0xFF01. An empty key matches everything.",
        write_keys(),
        "## 3 DICOMweb",
        _dicomweb(),
        "## 4 Media interchange",
        "None: no application profile of PS3.11 is claimed. Folders, files and zip archives are read by"
        " `wetread analyze` and `wetread send` as Part 10 files, without DICOMDIR.",
        "## 5 Character sets",
        _CHARACTER_SETS.strip(),
        "## 6 Security",
        _security(),
        "## 7 IHE",
        _profiles(),
        "## Annex A: storage SOP classes",
        "Any other standard, retired or private SOP class is stored as well: these are the ones that PS3.4"
        " names.",
        table(("SOP class", "UID"), ((name_of(uid), f"`{uid}`") for uid in _by_name(STORAGE_CLASSES))),
        "## Annex B: transfer syntaxes that are stored",
        table(
            ("transfer syntax", "UID"), ((name_of(uid), f"`{uid}`") for uid in _by_name(TRANSFER_SYNTAXES))
        ),
    )
    return "\n\n".join(parts) + "\n"


def _by_name(uids: frozenset[str]) -> list[str]:
    return sorted(uids, key=lambda uid: (name_of(uid), uid))


def _overview() -> str:
    roles: dict[str, set[Role]] = {}
    for one in SERVICES:
        for name in map(name_of, one.sop_classes):
            roles.setdefault(name, set()).add(one.role)
        if not one.sop_classes:
            roles.setdefault("any storage SOP class (annex A)", set()).add(one.role)
    rows = (
        (name, *("yes" if role in known else "" for role in (Role.SCU, Role.SCP)))
        for name, known in roles.items()
    )
    return table(("SOP class", "SCU", "SCP"), rows)


def _application_entity() -> str:
    config, options = Config(), ReceiverOptions()
    facts = (
        ("AE title", f"`{config.dicom.aet}`, configurable"),
        ("port", f"{config.dicom.port}, configurable"),
        ("application context", "`1.2.840.10008.3.1.1.1`"),
        ("implementation class UID", f"`{IMPLEMENTATION_CLASS_UID}`"),
        ("implementation version name", "`WETREAD_` and the version"),
        ("largest PDU received", f"{options.maximum_pdu_size} bytes"),
        ("associations at once", f"{config.dicom.maximum_associations}, configurable; more are rejected"),
        ("asynchronous operations", "none: one operation after the other"),
        ("role selection", "only where a service needs it"),
        ("user identity", "not looked at"),
        ("silence within an association", f"at most {options.network_timeout_s:g} s"),
        ("wait for the association request", f"at most {options.acse_timeout_s:g} s"),
        ("longest data set", f"{config.dicom.maximum_instance_mb} MiB, configurable"),
    )
    return "\n\n".join(
        (
            "### 2.1 The application entity",
            "One application entity provides and uses all services, on one port. Associations are accepted"
            " from the peers of the configuration by title, address and certificate; without such a list only"
            " on this machine. For each presentation context the first transfer syntax of the proposal that"
            " is accepted is chosen. An image is acknowledged when file, folder and index are durable.",
            table(("", ""), facts),
        )
    )


def _sop_classes(role: Role, title: str) -> str:
    served = list_served()
    rows = [
        (one.name, _classes(one), one.syntaxes or _syntaxes(one, served), one.about, tests(one.tests))
        for one in SERVICES
        if one.role is role
    ]
    return f"{title}\n\n{table(('service', 'SOP classes', 'transfer syntaxes', 'notes', 'tests'), rows)}"


def _classes(one: Service) -> str:
    return "<br>".join(map(named, one.sop_classes)) or "any storage SOP class (annex A)"


def _syntaxes(one: Service, served: dict[str, tuple[str, ...]]) -> str:
    if one.role is Role.SCU:
        # What we propose where nothing else is said.
        return "<br>".join(name_of(uid) for uid in DEFAULT_TRANSFER_SYNTAXES)
    found = [syntax for uid in one.sop_classes for syntax in served.get(uid, ())]
    return "<br>".join(name_of(uid) for uid in dict.fromkeys(found))


def _dicomweb() -> str:
    does = list_resources()
    parts = [
        "Below `/dicom-web` (WADO-URI: `/wado`), on the port of the pages; with a bearer token or a session.",
    ]
    for one in RESOURCES:
        rows = [(f"`{operation}`", does.get(operation, "").rstrip(".")) for operation in one.operations]
        parts += [
            f"**{one.service}**: {one.media_types}. Tests: {tests(one.tests)}",
            table(("resource", "what it does"), rows),
        ]
    frames = [(name_of(uid), f"`{uid}`", f"`{kind}`") for uid, kind in FRAME_TYPES.items()]
    parts += [
        f"**Parameters of a search**: each attribute of 2.4 by keyword or tag (`ModalitiesInStudy=CT`,"
        f" `0020000D=...`, of a sequence's item `RequestAttributesSequence.RequestedProcedureID=...`),"
        f" `includefield` (also `all`), `limit` (at most {MOST_RESULTS}), `offset`, `fuzzymatching`,"
        f" `emptyvaluematching`. What cannot be matched is told in a `Warning` header. By C-FIND at most"
        f" {MOST_MATCHES} matches are answered.",
        "**Services used**, of a PACS that the configuration names:",
        table(
            ("service", "requests", "notes", "tests"),
            (
                (
                    one.service,
                    "<br>".join(f"`{op}`" for op in one.operations),
                    one.media_types,
                    tests(one.tests),
                )
                for one in USED
            ),
        ),
        "**Frames as stored** have these media types, everything else `application/octet-stream`:",
        table(("transfer syntax", "UID", "media type"), frames),
    ]
    return "\n\n".join(parts)


_CHARACTER_SETS = """
Every Specific Character Set that PS3.3 C.12.1.1.2 defines is read, with and without code extensions. What is
stored is handed out as it is. What Wetread makes, and what C-FIND answers, is in UTF-8 (`ISO_IR 192`); DICOM
JSON and XML are in UTF-8. Tests: `compose/test_documents.py::test_other_character_sets_become_utf_8`
"""


def _security() -> str:
    return (
        f"**TLS** on every port and to every destination, from version 1.2 with the ciphers `{CIPHERS}` and"
        " those of 1.3, without compression and renegotiation, as BCP 195 (RFC 9325) and the profiles of"
        " PS3.15 annex B that refer to it ask. Peers can be bound to certificates; certificates can be"
        " revoked by a CRL. Tests: `network/test_network.py::test_protocols_and_ciphers`\n\n"
        "**Audit**: messages of PS3.15 A.5, chained by digests in the index, handed to a collector by syslog"
        " over TLS (RFC 5425). Tests: `audit/test_message.py::test_every_message_keeps_the_schema`,"
        " `audit/test_syslog.py::test_every_entry_arrives_in_order`\n\n"
        "**Accounts**: passwords with TOTP, OpenID Connect, tokens; see"
        " [users and roles](how-to/users-and-roles.md)."
    )


def _profiles() -> str:
    rows = [(one.number, one.name, one.actor, one.how, tests(one.tests)) for one in PROFILES]
    return (
        "These transactions are supported; no integration statement is made, which needs a Connectathon.\n\n"
        + table(("transaction", "name", "actor", "how", "tests"), rows)
    )
