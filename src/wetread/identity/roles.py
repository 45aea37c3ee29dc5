"""Roles, and what each may do: one table.

In: a role.  Out: permissions.  Never: a permission by name of a person.
"""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType


class Role(StrEnum):
    """What somebody is here for."""

    RADIOLOGIST = "radiologist"
    LEAD = "lead"
    ADMINISTRATOR = "administrator"
    DATA_SCIENTIST = "data-scientist"
    SERVICE = "service"


class Permission(StrEnum):
    """What a route asks for; the value is the sentence in the documentation."""

    PAGES = "open pages and sign in with a browser"
    STUDIES = "see studies, readings and documents"
    IDENTITY = "see who the patient is"
    REPORT = "claim a study, judge findings, give a priority, mark it as reported"
    RETRY = "send a refused document again"
    READ_AGAIN = "have a study read again or called off"
    MODELS = "promote, retire, roll back and restore models"
    SEND = "hand in images"
    ORDER = "order readings, and take and finish workitems"
    ADMINISTER = "manage accounts, test connections, search the audit trail"


_P = Permission

#: An administrator keeps the service going and needs no names for that; whoever needs both has two accounts.
PERMISSIONS = MappingProxyType(
    {
        Role.RADIOLOGIST: frozenset({_P.PAGES, _P.STUDIES, _P.IDENTITY, _P.REPORT, _P.SEND, _P.ORDER}),
        Role.LEAD: frozenset(
            {
                *(_P.PAGES, _P.STUDIES, _P.IDENTITY, _P.REPORT, _P.RETRY, _P.READ_AGAIN, _P.SEND, _P.ORDER),
                _P.MODELS,
            }
        ),
        Role.ADMINISTRATOR: frozenset(
            {_P.PAGES, _P.STUDIES, _P.RETRY, _P.READ_AGAIN, _P.MODELS, _P.ADMINISTER}
        ),
        Role.DATA_SCIENTIST: frozenset({_P.PAGES, _P.STUDIES}),
        Role.SERVICE: frozenset({_P.STUDIES, _P.IDENTITY, _P.SEND, _P.ORDER}),
    }
)
