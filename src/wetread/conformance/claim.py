"""What a claim is: a service, a resource or a transaction, with the tests that hold it.

In: nothing.  Out: frozen values.  Never: a claim without a test.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


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
