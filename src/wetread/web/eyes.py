"""The store as one principal sees it: the only way from a route to a study.

In: a principal and what they ask for.  Out: what they may see; the rest is as if it were not there.
Never: a study from a sender that is not theirs; a patient's name for whom it is not.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Annotated

from fastapi import Depends, HTTPException, Request

from wetread.contract.shadow import ShadowComparison
from wetread.domain.audit import Actor
from wetread.domain.document import Document, DocumentKind
from wetread.domain.reading import NO_MODEL
from wetread.domain.report import Report
from wetread.errors import DamagedFile
from wetread.identity import Permission, Principal, trail
from wetread.registry.comparing import compare
from wetread.steps.queueing import QueueNow, look_at_queue
from wetread.store.deliveries import DEAD, DeliveryRow
from wetread.store.reading_list import Wanted
from wetread.store.readings import ReadingRow
from wetread.store.studies import StudyRow
from wetread.store.together import let_go
from wetread.web import pseudonym
from wetread.web.access import Who, address_of, read_needs
from wetread.web.letters import DestinationView, LetterView, view_destination, view_letter
from wetread.web.listing import Listed, list_lines
from wetread.web.queue_view import SHOWN, QueueView, view_queue
from wetread.web.site import Site
from wetread.web.stacks import Stack, without_words
from wetread.web.study import StudyView
from wetread.web.trail import Visitor


@dataclass(frozen=True, slots=True, kw_only=True)
class Eyes:
    """What one principal sees during one request."""

    site: Site
    visitor: Visitor

    @property
    def principal(self) -> Principal:
        """Who looks."""
        return self.visitor.principal

    @property
    def actor(self) -> Actor:
        """The same, for the audit trail."""
        return Actor(user_id=self.principal.name, is_requestor=True, address=self.visitor.address)

    def look_at_queue(self) -> QueueNow:
        """Return the queue of readings, of studies that are theirs."""
        site = self.site
        jobs = site.jobs.list_open("read/") if site.jobs is not None else None
        return look_at_queue(site.store, jobs, site.now(), failures=SHOWN, sources=self.principal.sources)

    def view_queue(self) -> QueueView:
        """Return the queue as it is shown."""
        self.site.trail.listed(self.visitor, "queue of readings")
        line = self.look_at_queue()
        view = view_queue(line, self.site.now())
        return view if self.knows_names else pseudonym.hide_in_queue(view, line)

    def list_lines(self, wanted: Wanted, page: int = 1) -> Listed:
        """Return a page of a list, most urgent first; of what is wanted nothing else than is theirs."""
        site, who = self.site, self.principal
        told = f"reading list, {'reported' if wanted.is_reported else 'waiting'}"
        site.trail.listed(self.visitor, f"{told}, searched" if wanted.text else told)
        wanted = replace(wanted, sources=who.sources, who=who.name, knows_names=self.knows_names)
        listed = list_lines(site.store, wanted, site.now(), site.reading_list, page)
        if self.knows_names:
            return listed
        return replace(listed, lines=tuple(pseudonym.hide_in_line(line) for line in listed.lines))

    def find_study(self, key: str) -> StudyRow:
        """Return a study's row.

        Raises
        ------
        HTTPException
            404, if it is not there or not theirs.
        """
        row = self.site.store.studies.find_by_key(key)
        return self._require(row)

    def find_study_by_uid(self, study_instance_uid: str) -> StudyRow:
        """Return a study's row by its UID; raises like ``find_study``."""
        return self._require(self.site.store.studies.find(study_instance_uid))

    def find_reading(self, reading_id: int) -> tuple[ReadingRow, StudyRow]:
        """Return a Reading and its study; raises like ``find_study``."""
        try:
            reading = self.site.store.readings.get(reading_id)
        except KeyError as error:
            raise HTTPException(404) from error
        if reading.model_name == NO_MODEL.name:
            # A report stands with it; it says nothing itself.
            raise HTTPException(404)
        return reading, self.find_study_by_uid(reading.study_instance_uid)

    def note_query(self, what: str) -> None:
        """Record that somebody searched."""
        self.site.trail.listed(self.visitor, what)

    def noting_query(self, what: str) -> AbstractContextManager[None]:
        """Record that somebody searches, while it is done: nothing is told before it is recorded."""
        return self.site.trail.meanwhile(self.note_query, what)

    def note_opened(self, study: StudyRow, what: str) -> None:
        """Record that somebody looks into a study; once for the many requests of one viewer.

        Call it when everything was looked up: what follows is files.
        """
        let_go()
        self.site.trail.opened(replace(self.visitor, is_background=True), study, what)

    def noting_retrieved(self, study: StudyRow, count: int) -> AbstractContextManager[None]:
        """Record that somebody takes objects away, while they are made ready; see ``note_opened``."""
        let_go()
        return self.site.trail.meanwhile(self.site.trail.retrieved, self.visitor, study, count)

    def view_study(self, key: str, written: Report | None = None) -> StudyView:
        """Return everything that is shown of a study; raises like ``find_study``.

        Parameters
        ----------
        written
            What somebody wrote and could not save.
        """
        row = self.find_study(key)
        self.site.trail.opened(self.visitor, row, "the study")
        views, sources = self.site.views, self.principal.sources
        view = views.make(row, self.site.now(), sources=sources, written=written)
        return view if self.knows_names else pseudonym.hide_in_view(view, row)

    def list_stacks(self, row: StudyRow) -> tuple[Stack, ...]:
        """Return a study's images as stacks: for whom names are not, without those that may hold them."""
        stacks = self.site.pictures.list_stacks(row)
        return stacks if self.knows_names else without_words(stacks)

    def load_document(self, document_id: int, *kinds: DocumentKind) -> Document:
        """Return a document of one of these kinds; raises like ``find_study``."""
        readings = self.site.store.readings
        try:
            row = readings.get_document(document_id)
            reading = readings.get(row.reading_id)
        except KeyError as error:
            raise HTTPException(404) from error
        study = self._require(self.site.store.studies.find(reading.study_instance_uid))
        if row.kind not in kinds:
            raise HTTPException(404)
        self.site.trail.opened(self.visitor, study, f"{row.kind.value} document")
        try:
            document = readings.load_document(row)
        except OSError as error:
            raise DamagedFile from error
        return document if self.knows_names else pseudonym.hide_in_document(document, study)

    def compare_shadow(self, name: str, version: str) -> ShadowComparison:
        """Return how a version in the shadow compares with the live one; of theirs, which studies differ.

        Raises
        ------
        UnknownModel
            If no such version is registered.
        """
        site = self.site
        compared = compare(site.store, site.lineup, name, version)
        site.trail.listed(self.visitor, f"{name} {compared.version} in the shadow")
        if compared.priorities is None:
            return compared
        cases = tuple(
            one if self.knows_names else replace(one, study_instance_uid="", series_instance_uid="")
            for one in compared.priorities.cases
            if self._may_see(one.study_instance_uid)
        )
        return replace(compared, priorities=replace(compared.priorities, cases=cases))

    def _may_see(self, study_instance_uid: str) -> bool:
        row = self.site.store.studies.find(study_instance_uid)
        return row is not None and self.principal.may_see(row)

    def find_delivery(self, delivery_id: int) -> tuple[DeliveryRow, StudyRow]:
        """Return a delivery and its study; raises like ``find_study``."""
        delivery = self.site.store.deliveries.find(delivery_id)
        if delivery is None:
            raise HTTPException(404)
        return delivery, self._require(self.site.store.studies.find(delivery.study_instance_uid))

    def list_dead(self, destination: str, limit: int | None = None) -> list[DeliveryRow]:
        """Return what a destination refused or what could not be brought there, oldest first."""
        deliveries, sources = self.site.store.deliveries, self.principal.sources
        return deliveries.list_by_state(*DEAD, destination=destination, sources=sources, limit=limit)

    def list_destinations(self, *, letters: int) -> tuple[DestinationView, ...]:
        """Return what each destination lacks, with at most so many dead letters each."""
        site = self.site
        if letters:
            site.trail.listed(self.visitor, "deliveries")
        views = []
        for lack in site.store.deliveries.list_lacks(self.principal.sources):
            dead = self.list_dead(lack.destination, letters) if letters else []
            shown = [letter for row in dead for letter in self._letters(row)]
            view = view_destination(lack, shown, site.now())
            study = site.store.studies.find(lack.problem_study_instance_uid)
            # The words of the destination may name the patient they are about.
            views.append(view if self.knows_names else pseudonym.hide_in_destination(view, study))
        return tuple(views)

    def _letters(self, row: DeliveryRow) -> list[LetterView]:
        study = self.site.store.studies.find(row.study_instance_uid)
        if study is None or not self.principal.may_see(study):
            return []
        letter = view_letter(row, self.site.store.readings.get_document(row.document_id), study)
        return [letter if self.knows_names else pseudonym.hide_in_letter(letter, study)]

    @property
    def knows_names(self) -> bool:
        """Whether they may see who the patient is."""
        return self.principal.may(Permission.IDENTITY)

    def _require(self, row: StudyRow | None) -> StudyRow:
        if row is None:
            raise HTTPException(404)
        if not self.principal.may_see(row):
            # To them it is not there; the audit trail knows better.
            identity = self.site.identity
            told = "Asked for a study of another sender."
            identity.record(trail.refused(self.principal.name, self.visitor.address, identity.now(), told))
            raise HTTPException(404)
        return row


def look(request: Request, who: Principal) -> Eyes:
    """Return what somebody sees during a request."""
    declared = read_needs(request.scope.get("endpoint"))
    visitor = Visitor(
        principal=who,
        address=address_of(request),
        is_background=declared is not None and declared.is_background,
    )
    return Eyes(site=request.app.state.site, visitor=visitor)


# Asynchronous as ``_get_principal`` is.
async def _look(request: Request, who: Who) -> Eyes:
    return look(request, who)


#: What who calls may see: a parameter of a route.
Look = Annotated[Eyes, Depends(_look)]
