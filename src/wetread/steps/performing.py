"""Perform workitems that ask for one of our models (IHE AIW-I Task Performer).

In: open workitems, the index.  Out: workitems that are taken, told of and ended; wishes that reading follows.
Never: a second reading of a revision by a model; a step that a kill leaves half done.

Level-triggered as everything: each look compares a workitem with the index and does what is missing. A study
that rules have read already satisfies it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from pydicom.uid import generate_uid

from wetread.domain import workitem as w
from wetread.domain import workitem_rules as rules
from wetread.domain.document import DICOM_KINDS
from wetread.domain.fetching import Purpose
from wetread.domain.reading import Outcome, Priority
from wetread.domain.workitem import (
    Change,
    State,
    Workitem,
    WorkitemRefused,
    code_item,
    element,
    text_of,
    urgency_of,
    values_of,
)
from wetread.match import Rule
from wetread.registry.lineup import Lineup
from wetread.share.workitems import Asker, Worklist
from wetread.steps.order import ASKED_RULE, SCHEME, Order, Part, code_of, is_ready, read_order
from wetread.store import Store
from wetread.store.asked import AskedReading
from wetread.store.readings import ReadingRow
from wetread.store.studies import RevisionRow, StudyRow

#: No account and no AE title has this name.
PERFORMER = Asker(name="wetread, performing")
#: Asks for the images of a study that a workitem needs and that are not here.
FetchImages = Callable[[Workitem, Order, str], None]

_STOPPED = "The reading stopped: see the study's history."
_WAITS, _READS = ("0", "Waits for the study to be complete."), ("50", "Is being read.")
#: PS3.16 CID 9300.
_UNSPECIFIED = code_item("110513", "DCM", "Discontinued for unspecified reason")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Result:
    """What became of one model."""

    model: str
    study_instance_uid: str
    reading: ReadingRow | None = None
    #: Why there is none, in words.
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PerformingSteps:
    """What performing works with."""

    store: Store
    worklist: Worklist
    lineup: Lineup
    rules: tuple[Rule, ...]
    aet: str
    clock: Callable[[], datetime]
    #: Of DICOMweb, as others reach it; "": not known.
    base_url: str = ""
    fetch: FetchImages = lambda _workitem, _order, _study: None

    def iter_open(self) -> Iterator[tuple[Workitem, Order]]:
        """Yield the workitems that are ours to do, the urgent first."""
        found, models = [], self.lineup.now()
        for one in self.store.workitems.iter_all(states=(State.SCHEDULED, State.IN_PROGRESS)):
            is_ours = one.state is State.SCHEDULED or one.performer == PERFORMER.name
            order = read_order(one, models, self.rules, self.aet) if is_ours else None
            if order is not None:
                found.append((one, order))
        yield from sorted(found, key=lambda pair: list(Priority).index(urgency_of(pair[0])))

    def consider(self, one: Workitem, order: Order) -> tuple[str, int] | None:
        """Do what is due for a workitem; returns a study and revision that is to be read again for it."""
        try:
            if one.state is State.SCHEDULED:
                return self._begin(one, order) if is_ready(one, self.clock()) else None
            return self._follow(one, order)
        except WorkitemRefused:
            # Somebody else was first: the next look finds out what is left to do.
            return None

    def _begin(self, one: Workitem, order: Order) -> tuple[str, int] | None:
        missing = [part.study_instance_uid for part in order.parts if not self._is_held(one, part)]
        if missing and order.models:
            for study in missing:
                self.fetch(one, order, study)
            return None
        for part in order.parts:
            self._wish(one, order, part)
        change = self.worklist.change_state(PERFORMER, one.uid, State.IN_PROGRESS, generate_uid())
        return self._follow(change.workitem, order)

    def _wish(self, one: Workitem, order: Order, part: Part) -> None:
        study = self.store.studies.find(part.study_instance_uid)
        if study is None:
            return
        for model in order.models:
            wish = AskedReading(
                study_instance_uid=part.study_instance_uid,
                model_name=model,
                series=tuple(part.series),
                urgency=urgency_of(one),
            )
            self.store.asked.put(wish)
        # A prior is here to be compared with: now it is to be read.
        self.store.purposes.add(part.study_instance_uid, Purpose.LIVE)
        self._hasten(study, urgency_of(one))

    def _follow(self, one: Workitem, order: Order) -> tuple[str, int] | None:
        """Bring a workitem that we have taken up to what the index says."""
        if one.is_cancel_requested:
            self._cancel(one, order, "It was asked to be canceled.")
            return None
        if not order.models:
            reason = f"No model or rule {', '.join(order.unknown)[:64]!r} is registered here."
            self._cancel(one, order, reason)
            return None
        studies = [self.store.studies.find(part.study_instance_uid) for part in order.parts]
        held = [study for study in studies if study is not None]
        if len(held) < len(studies):
            self._cancel(one, order, "It names a study that is not here, or none.")
            return None
        if any(study.instance_count > study.covered_count for study in held):
            self._tell(one, *_WAITS)
            return None
        revisions = [self.store.studies.get_revision(row.study_instance_uid, row.revision) for row in held]
        if any(revision.finished_at is None for revision in revisions):
            self._tell(one, *_READS)
            return None
        return self._settle(one, order, revisions)

    def _settle(self, one: Workitem, order: Order, revisions: list[RevisionRow]) -> tuple[str, int] | None:
        results = []
        for part, revision in zip(order.parts, revisions, strict=True):
            study = revision.study_instance_uid
            current = self.store.readings.list_current([study]).get(study, [])
            standing = {row.model_name: row for row in current}
            for model in order.models:
                result = self._result(model, part, revision, standing.get(model))
                if result is None and self.store.asked.reopen(study, model, revision.revision):
                    # It was read before somebody wanted this: the other models' readings stand.
                    self._tell(one, *_READS)
                    return study, revision.revision
                results.append(result or _not_read(model, part, _STOPPED))
        if any(result.reading for result in results):
            self._complete(one, order, min(revision.begun_at for revision in revisions), results)
        else:
            self._cancel(one, order, " ".join(_reasons(results)))
        return None

    def _result(
        self, model: str, part: Part, revision: RevisionRow, standing: ReadingRow | None
    ) -> _Result | None:
        """Return what became of a model, None where it was not considered for this workitem yet."""
        matched: dict[str, Any] = next(
            (entry for entry in (revision.match or {}).get("models", ()) if entry["name"] == model), {}
        )
        chosen = matched.get("chosen_series", "")
        if standing is not None and standing.outcome is Outcome.READ and chosen:
            if part.series and chosen not in part.series:
                return _not_read(model, part, "It read another series than the one that was asked for.")
            if not self.store.readings.list_documents(standing.id):
                return _not_read(model, part, "Its documents could not be composed.")
            return _Result(model=model, study_instance_uid=part.study_instance_uid, reading=standing)
        if standing is not None and standing.revision == revision.revision:
            return _not_read(model, part, " ".join(one["message"] for one in standing.problems))
        if str(matched.get("rule", "")).startswith(ASKED_RULE):
            told = [problem["message"] for problem in matched.get("problems", ())]
            return _not_read(model, part, " ".join(told) or _STOPPED)
        return None

    def _is_held(self, one: Workitem, part: Part) -> bool:
        """Tell whether all that a workitem names of a study is here, and is for whoever created it."""
        if not part.study_instance_uid:
            # There is nothing to wait for: it is canceled once it is taken.
            return True
        study = self.store.studies.find(part.study_instance_uid)
        if study is None or (one.sources is not None and study.source not in one.sources):
            return False
        for series, uids in part.series.items():
            found = self.store.catalogue.list_held(study.study_instance_uid, series)
            held = {instance.sop_instance_uid for instance in found}
            if not held or not uids <= held:
                return False
        return True

    def _hasten(self, study: StudyRow, urgency: Priority) -> None:
        order = list(Priority)
        if order.index(urgency) < order.index(study.urgency):
            self.store.studies.set_urgency(study.study_instance_uid, urgency, ASKED_RULE)

    def _tell(self, one: Workitem, percent: str, text: str) -> None:
        item: dict[str, Any] = next(iter(values_of(one.attributes, w.PROGRESS)), {})
        if text_of(item, w.PROGRESS_TEXT) == text:
            return
        told = _progress(percent, text)

        def edit(held: Workitem) -> Change:
            return rules.update(held, told, held.transaction_uid, self.clock())

        self._change(one, "updated", edit)

    def _complete(self, one: Workitem, order: Order, begun_at: float, results: list[_Result]) -> None:
        begun = datetime.fromtimestamp(begun_at, UTC)
        reasons = _reasons(results)
        item: dict[str, Any] = {
            w.PERFORMED_STATION: element("SQ", code_item(self.aet, SCHEME, "Wetread")),
            w.PERFORMED_START: element("DT", rules.moment(begun)),
            w.PERFORMED_END: element("DT", rules.moment(self.clock())),
            w.PERFORMED_CODE: element("SQ", *code_of(one, order)),
            w.OUTPUTS: element("SQ", *self._outputs(results)),
        }
        if reasons:
            # Comments on the Performed Procedure Step.
            item["00400280"] = element("ST", " ".join(reasons)[:1024])
        done = {w.PERFORMED: element("SQ", item), **_progress("100", "Read.")}

        def edit(held: Workitem) -> Change:
            filled = rules.update(held, done, held.transaction_uid, self.clock())
            ended = rules.change_state(
                filled.workitem, State.COMPLETED, held.transaction_uid, PERFORMER.name, self.clock()
            )
            return replace(ended, reports=filled.reports + ended.reports)

        self._change(one, "made COMPLETED", edit)

    def _cancel(self, one: Workitem, order: Order, reason: str) -> None:
        why = {w.REASON: element("LT", reason[:1024]), w.REASON_CODE: element("SQ", _UNSPECIFIED)}
        self._change(one, "made CANCELED", lambda held: rules.end_canceled(held, why, self.clock()))
        for part in order.parts:
            for model in order.models:
                self.store.asked.remove(part.study_instance_uid, model)

    def _change(self, one: Workitem, told: str, edit: Callable[[Workitem], Change]) -> None:
        def ours(held: Workitem) -> Change:
            if held.state is not State.IN_PROGRESS or held.transaction_uid != one.transaction_uid:
                raise WorkitemRefused(w.Refusal.FINAL)
            return edit(held)

        self.worklist.change(PERFORMER, one.uid, told, ours)

    def _outputs(self, results: list[_Result]) -> list[dict[str, Any]]:
        """Return where our results are: one item for each series (PS3.3 10.13)."""
        by_series: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for result in results:
            for document in self.store.readings.list_documents(result.reading.id) if result.reading else ():
                if document.kind in DICOM_KINDS:
                    reference = {
                        "00081150": element("UI", document.sop_class_uid),
                        "00081155": element("UI", document.sop_instance_uid),
                    }
                    place = result.study_instance_uid, document.series_instance_uid
                    by_series.setdefault(place, []).append(reference)
        return [self._output(*place, references) for place, references in by_series.items()]

    def _output(self, study: str, series: str, references: list[dict[str, Any]]) -> dict[str, Any]:
        item = {
            "0040E020": element("CS", "DICOM"),
            w.STUDY_UID: element("UI", study),
            w.SERIES_UID: element("UI", series),
            "00081199": element("SQ", *references),
            "0040E021": element("SQ", {"00080054": element("AE", self.aet)}),
        }
        if self.base_url:
            url = f"{self.base_url}/studies/{study}/series/{series}"
            item["0040E025"] = element("SQ", {"00081190": element("UR", url)})
        return item


def _not_read(model: str, part: Part, reason: str) -> _Result:
    return _Result(model=model, study_instance_uid=part.study_instance_uid, reason=reason)


def _reasons(results: list[_Result]) -> list[str]:
    return list(dict.fromkeys(f"{result.model}: {result.reason}" for result in results if result.reason))


def _progress(percent: str, text: str) -> dict[str, Any]:
    item = {w.PERCENT: element("DS", float(percent)), w.PROGRESS_TEXT: element("ST", text)}
    return {w.PROGRESS: element("SQ", item)}
