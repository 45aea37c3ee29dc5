"""Deliveries as the API tells them.

In: nothing.  Out: values.  Never: a patient's name.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from wetread.contract.answers import Page
from wetread.domain.document import DocumentKind
from wetread.domain.progress import DeliveryState


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryLine:
    """One document on its way to one destination."""

    id: int
    document_id: int
    destination: str
    study_key: str
    #: Empty for who may not see who the patient is.
    study_instance_uid: str
    revision: int
    kind: DocumentKind
    state: DeliveryState
    attempts: int
    problem_code: str
    #: What the destination said.
    message: str
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryPage(Page):
    """A page of deliveries."""

    items: tuple[DeliveryLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Retried:
    """How many deliveries wait again."""

    count: int
