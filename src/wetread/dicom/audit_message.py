"""An audit event as a DICOM audit message, and back to what it can be looked up by.

In: ``AuditEvent``.  Out: one line of XML after the schema of PS3.15 A.5.1.
Never: a control character, a line break, anything that acts on a terminal; a text without end.

References
----------
DICOM PS3.15 A.5 (audit trail message format profile), PS3.16 CID 400 to 403.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from xml.etree import ElementTree
from xml.sax.saxutils import escape, quoteattr

from wetread.domain.audit import Actor, AuditEvent

#: No value is longer: who can send us a text must not fill the trail with it.
LONGEST_VALUE = 1024
#: Application server (PS3.16 CID 404, RFC 3881 5.4.2).
_SOURCE_TYPE = "4"
#: Network access point type codes (PS3.15 Table A.5.2-1).
_MACHINE_NAME, _IP_ADDRESS = "1", "2"

#: What the codes mean (PS3.16 Annex D).
MEANINGS = {
    "110100": "Application Activity",
    "110101": "Audit Log Used",
    "110102": "Begin Transferring DICOM Instances",
    "110103": "DICOM Instances Accessed",
    "110104": "DICOM Instances Transferred",
    "110105": "DICOM Study Deleted",
    "110106": "Export",
    "110107": "Import",
    "110108": "Network Entry",
    "110109": "Order Record",
    "110110": "Patient Record",
    "110111": "Procedure Record",
    "110112": "Query",
    "110113": "Security Alert",
    "110114": "User Authentication",
    "110120": "Application Start",
    "110121": "Application Stop",
    "110122": "Login",
    "110123": "Logout",
    "110124": "Attach",
    "110125": "Detach",
    "110126": "Node Authentication",
    "110127": "Emergency Override Started",
    "110128": "Network Configuration",
    "110129": "Security Configuration",
    "110130": "Hardware Configuration",
    "110131": "Software Configuration",
    "110132": "Use of Restricted Function",
    "110133": "Audit Recording Stopped",
    "110134": "Audit Recording Started",
    "110135": "Object Security Attributes Changed",
    "110136": "Security Roles Changed",
    "110137": "User Security Attributes Changed",
    "110138": "Emergency Override Stopped",
    "110139": "Remote Service Operation Started",
    "110140": "Remote Service Operation Stopped",
    "110141": "Local Service Operation Started",
    "110142": "Local Service Operation Stopped",
    "110150": "Application",
    "110151": "Application Launcher",
    "110152": "Destination Role ID",
    "110153": "Source Role ID",
    "110154": "Destination Media",
    "110155": "Source Media",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What a message is looked up by."""

    #: Seconds since 1970.
    at: float
    event: str
    #: Code that says more, "" where there is none.
    subtype: str
    actor: str
    study_instance_uid: str


def encode_event(event: AuditEvent, source: str) -> str:
    """Return the message of an event.

    Parameters
    ----------
    source
        Who reports it: names this installation.
    """
    return "".join(
        [
            '<?xml version="1.0" encoding="UTF-8"?><AuditMessage>',
            _identification(event),
            # The schema wants at least one.
            *(_participant(actor) for actor in event.actors or (Actor(user_id=source, role="110150"),)),
            f"<AuditSourceIdentification AuditSourceID={_value(source)}>",
            f'<AuditSourceTypeCode csd-code="{_SOURCE_TYPE}"/></AuditSourceIdentification>',
            *(_study(uid, event.instance_count) for uid in event.studies),
            _patient(event.patient_id) if event.patient_id else "",
            "</AuditMessage>",
        ]
    )


def summarize(message: str) -> Summary:
    """Return what a message is looked up by.

    Raises
    ------
    ValueError
        If it is no audit message.
    """
    try:
        # Parsed are messages of ours, which hold no document type: nothing can be expanded.
        root = ElementTree.fromstring(message.encode())  # noqa: S314
        identification = root[0]
        users = [one for one in root if one.tag == "ActiveParticipant"]
        asking = [one for one in users if one.get("UserIsRequestor") == "true"]
        objects = [one for one in root if one.tag == "ParticipantObjectIdentification"]
        studies = [one.attrib["ParticipantObjectID"] for one in objects if one[0].get("csd-code") == "110180"]
        return Summary(
            at=datetime.fromisoformat(identification.attrib["EventDateTime"]).timestamp(),
            event=identification[0].attrib["csd-code"],
            subtype=next(
                (one.attrib["csd-code"] for one in identification if one.tag == "EventTypeCode"), ""
            ),
            actor=(asking or users)[0].attrib["UserID"][:128] if users else "",
            study_instance_uid=studies[0] if studies else "",
        )
    except (ElementTree.ParseError, KeyError, IndexError) as error:
        raise ValueError("It is no audit message.") from error


def describe(message: str) -> tuple[str, ...]:
    """Return a message in words: event, action and outcome, who, about which studies, sentence.

    Raises
    ------
    ValueError
        If it is no audit message.
    """
    found = summarize(message)
    root = ElementTree.fromstring(message.encode())  # noqa: S314 - ours, as above
    what = "/".join(code.attrib["originalText"] for code in root[0] if "originalText" in code.attrib)
    outcome = {"0": "ok", "4": "minor failure", "8": "serious failure", "12": "major failure"}
    return (
        what,
        f"{root[0].attrib['EventActionCode']} {outcome[root[0].attrib['EventOutcomeIndicator']]}",
        found.actor,
        found.study_instance_uid or "-",
        root[0].findtext("EventOutcomeDescription", ""),
    )


def printable(text: str) -> str:
    """Return a text with all that does not print (controls, line breaks, overrides) escaped, and cut."""
    cut = text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}..."
    if cut.isprintable():
        return cut
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in cut)


def _identification(event: AuditEvent) -> str:
    at = event.at.astimezone(UTC).isoformat(timespec="microseconds")
    description = printable(event.description)
    return "".join(
        [
            f'<EventIdentification EventActionCode="{event.action}" EventDateTime="{at}"'
            f' EventOutcomeIndicator="{event.outcome}">',
            _code("EventID", event.type),
            _code("EventTypeCode", event.subtype) if event.subtype else "",
            f"<EventOutcomeDescription>{escape(description)}</EventOutcomeDescription>"
            if description
            else "",
            "</EventIdentification>",
        ]
    )


def _participant(actor: Actor) -> str:
    address = ""
    if actor.address:
        kind = _IP_ADDRESS if _is_ip(actor.address) else _MACHINE_NAME
        address = f' NetworkAccessPointID={_value(actor.address)} NetworkAccessPointTypeCode="{kind}"'
    asks = "true" if actor.is_requestor else "false"
    titles = f" AlternativeUserID={_value(f'AETITLES={actor.ae_title}')}" if actor.ae_title else ""
    head = f'<ActiveParticipant UserID={_value(actor.user_id)}{titles} UserIsRequestor="{asks}"{address}'
    return f"{head}>{_code('RoleIDCode', actor.role)}</ActiveParticipant>" if actor.role else f"{head}/>"


def _is_ip(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _study(uid: str, instance_count: int) -> str:
    count = f'<SOPClass NumberOfInstances="{instance_count}"/>'
    more = f"<ParticipantObjectDescription>{count}</ParticipantObjectDescription>" if instance_count else ""
    return _object(uid, "2", "3", "110180", "DCM", "Study Instance UID", more)


def _patient(patient_id: str) -> str:
    return _object(patient_id, "1", "1", "2", "RFC-3881", "Patient Number")


def _object(name: str, kind: str, role: str, code: str, scheme: str, meaning: str, more: str = "") -> str:
    return (
        f"<ParticipantObjectIdentification ParticipantObjectID={_value(name)}"
        f' ParticipantObjectTypeCode="{kind}" ParticipantObjectTypeCodeRole="{role}">'
        f'<ParticipantObjectIDTypeCode csd-code="{code}" codeSystemName="{scheme}" originalText="{meaning}"/>'
        # The schema wants a name or a query: we name neither patients nor studies.
        f"<ParticipantObjectName/>{more}</ParticipantObjectIdentification>"
    )


def _code(element: str, code: str) -> str:
    if code in MEANINGS:
        return f'<{element} csd-code="{code}" codeSystemName="DCM" originalText="{MEANINGS[code]}"/>'
    # Ours: the word explains itself.
    value = _value(code)
    return f'<{element} csd-code={value} codeSystemName="99WETREAD" originalText={value}/>'


def _value(text: str) -> str:
    return quoteattr(printable(text))
