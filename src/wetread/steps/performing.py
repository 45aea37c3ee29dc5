"""Perform workitems that ask for one of our models (IHE AIW-I Task Performer).

In: open workitems, the index.  Out: workitems that are taken, told of and ended; wishes that reading follows.
Never: a second reading of a revision by a model; a step that a kill leaves half done.

Level-triggered as everything: each look compares a workitem with the index and does what is missing. A study
that rules have read already satisfies it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from pydicom.uid import generate_uid

from wetread.domain import workitem as w
from wetread.domain import workitem_rules as rules
from wetread.domain.document import DICOM_KINDS
from wetread.domain.fetching import Purpose
from wetread.domain.model import Model
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
from wetread.share.workitems import Asker, Worklist
from wetread.steps.order import ASKED_RULE, SCHEME, Order, code_of, is_ready, read_order
from wetread.store import Store
from wetread.store.asked import AskedReading
from wetread.store.readings import ReadingRow
from wetread.store.studies import RevisionRow, StudyRow

#: No account and no AE title has this name.
PERFORMER = Asker(name="wetread, performing")
#: Asks for images that a workitem needs and that are not here.
FetchImages = Callable[[Workitem, Order], None]

_STOPPED = "The reading stopped: see the study's history."
_WAITS, _READS = ("0", "Waits for the study to be complete."), ("50", "Is being read.")
#: PS3.16 CID 9300.
_UNSPECIFIED = code_item("110513", "DCM", "Discontinued for unspecified reason")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Result:
    """What became of one model."""

    model: str
    reading: ReadingRow | None = None
    #: Why there is none, in words.
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PerformingSteps:
    """What performing works with."""

    store: Store
    worklist: Worklist
    models: Mapping[str, Model]
    rules: tuple[Rule, ...]
    aet: str
    clock: Callable[[], datetime]
    #: Of DICOMweb, as others reach it; "": not known.
    base_url: str = ""
    fetch: FetchImages = lambda _workitem, _order: None

    def iter_open(self) -> Iterator[tuple[Workitem, Order]]:
        """Yield the workitems that are ours to do, the urgent first."""
        found = []
        for one in self.store.workitems.iter_all(states=(State.SCHEDULED, State.IN_PROGRESS)):
            is_ours = one.state is State.SCHEDULED or one.performer == PERFORMER.name
            order = read_order(one, self.models, self.rules, self.aet) if is_ours else None
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
        study = self.store.studies.find(order.study_instance_uid)
        if order.study_instance_uid and order.models and not self._is_held(one, order, study):
            self.fetch(one, order)
            return None
        if study is not None:
            for model in order.models:
                wish = AskedReading(
                    study_instance_uid=order.study_instance_uid,
                    model_name=model,
                    series=tuple(order.series),
                    urgency=urgency_of(one),
                )
                self.store.asked.put(wish)
            # A prior is here to be compared with: now it is to be read.
            self.store.purposes.add(order.study_instance_uid, Purpose.LIVE)
            self._hasten(study, urgency_of(one))
        change = self.worklist.change_state(PERFORMER, one.uid, State.IN_PROGRESS, generate_uid())
        return self._follow(change.workitem, order)

    def _follow(self, one: Workitem, order: Order) -> tuple[str, int] | None:
        """Bring a workitem that we have taken up to what the index says."""
        if one.is_cancel_requested:
            self._cancel(one, order, "It was asked to be canceled.")
            return None
        if not order.models:
            reason = f"No model or rule {', '.join(order.unknown)[:64]!r} is registered here."
            self._cancel(one, order, reason)
            return None
        study = self.store.studies.find(order.study_instance_uid)
        if study is None:
            self._cancel(one, order, "It names no study that is here.")
            return None
        if study.instance_count > study.covered_count:
            self._tell(one, *_WAITS)
            return None
        revision = self.store.studies.get_revision(study.study_instance_uid, study.revision)
        if revision.finished_at is None:
            self._tell(one, *_READS)
            return None
        return self._settle(one, order, revision)

    def _settle(self, one: Workitem, order: Order, revision: RevisionRow) -> tuple[str, int] | None:
        study = revision.study_instance_uid
        current = self.store.readings.list_current([study]).get(study, [])
        standing = {row.model_name: row for row in current}
        results = []
        for model in order.models:
            result = self._result(model, order, revision, standing.get(model))
            if result is None and self.store.asked.reopen(study, model, revision.revision):
                # It was read before somebody wanted this: the other models' readings stand.
                self._tell(one, *_READS)
                return study, revision.revision
            results.append(result or _Result(model=model, reason=_STOPPED))
        if any(result.reading for result in results):
            self._complete(one, order, revision, results)
        else:
            self._cancel(one, order, " ".join(f"{result.model}: {result.reason}" for result in results))
        return None

    def _result(
        self, model: str, order: Order, revision: RevisionRow, standing: ReadingRow | None
    ) -> _Result | None:
        """Return what became of a model, None where it was not considered for this workitem yet."""
        matched: dict[str, Any] = next(
            (entry for entry in (revision.match or {}).get("models", ()) if entry["name"] == model), {}
        )
        chosen = matched.get("chosen_series", "")
        if standing is not None and standing.outcome is Outcome.READ and chosen:
            if order.series and chosen not in order.series:
                return _Result(model=model, reason="It read another series than the one that was asked for.")
            if not self.store.readings.list_documents(standing.id):
                return _Result(model=model, reason="Its documents could not be composed.")
            return _Result(model=model, reading=standing)
        if standing is not None and standing.revision == revision.revision:
            return _Result(model=model, reason=" ".join(one["message"] for one in standing.problems))
        if str(matched.get("rule", "")).startswith(ASKED_RULE):
            told = [problem["message"] for problem in matched.get("problems", ())]
            return _Result(model=model, reason=" ".join(told) or _STOPPED)
        return None

    def _is_held(self, one: Workitem, order: Order, study: StudyRow | None) -> bool:
        """Tell whether all that a workitem names is here, and is for whoever created it."""
        if study is None or (one.sources is not None and study.source not in one.sources):
            return False
        for series, uids in order.series.items():
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

    def _complete(self, one: Workitem, order: Order, revision: RevisionRow, results: list[_Result]) -> None:
        begun = datetime.fromtimestamp(revision.begun_at, UTC)
        reasons = [f"{result.model}: {result.reason}" for result in results if result.reason]
        item: dict[str, Any] = {
            w.PERFORMED_STATION: element("SQ", code_item(self.aet, SCHEME, "Wetread")),
            w.PERFORMED_START: element("DT", rules.moment(begun)),
            w.PERFORMED_END: element("DT", rules.moment(self.clock())),
            w.PERFORMED_CODE: element("SQ", *code_of(one, order)),
            w.OUTPUTS: element("SQ", *self._outputs(revision.study_instance_uid, results)),
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
        for model in order.models:
            self.store.asked.remove(order.study_instance_uid, model)

    def _change(self, one: Workitem, told: str, edit: Callable[[Workitem], Change]) -> None:
        def ours(held: Workitem) -> Change:
            if held.state is not State.IN_PROGRESS or held.transaction_uid != one.transaction_uid:
                raise WorkitemRefused(w.Refusal.FINAL)
            return edit(held)

        self.worklist.change(PERFORMER, one.uid, told, ours)

    def _outputs(self, study: str, results: list[_Result]) -> list[dict[str, Any]]:
        """Return where our results are: one item for each series (PS3.3 10.13)."""
        by_series: dict[str, list[dict[str, Any]]] = {}
        for result in results:
            for document in self.store.readings.list_documents(result.reading.id) if result.reading else ():
                if document.kind in DICOM_KINDS:
                    reference = {
                        "00081150": element("UI", document.sop_class_uid),
                        "00081155": element("UI", document.sop_instance_uid),
                    }
                    by_series.setdefault(document.series_instance_uid, []).append(reference)
        return [self._output(study, series, references) for series, references in by_series.items()]

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


def _progress(percent: str, text: str) -> dict[str, Any]:
    item = {w.PERCENT: element("DS", float(percent)), w.PROGRESS_TEXT: element("ST", text)}
    return {w.PROGRESS: element("SQ", item)}
