"""What another vendor's AI has answered about a series so far.

In: a study, a series, a package of kind ``dicom-peer``.  Out: the newest answer, with what it refers to.
Never: an object of anybody else or of ours; an answer that a later one corrects; a pixel.
"""

from __future__ import annotations

from dataclasses import dataclass

from wetread.dicom.content import Report, read_report
from wetread.domain.model import Model
from wetread.domain.reading import Reading
from wetread.domain.study import Instance, Series, header_text
from wetread.errors import UnreadableInstance
from wetread.imaging.segmentation import SEGMENTATION_STORAGE, find_referenced_series
from wetread.store import Store
from wetread.store.senders import list_senders

#: PS3.4 B.5: Enhanced, Comprehensive, Comprehensive 3D, Extensible; Mammography and Chest CAD.
REPORTS = frozenset(f"1.2.840.10008.5.1.4.1.1.88.{number}" for number in ("22", "33", "34", "35", "50", "65"))
#: Basic Text, Colon CAD: no answer that could be understood, so only where there is no other.
_OTHERS = frozenset(f"1.2.840.10008.5.1.4.1.1.88.{number}" for number in ("11", "69"))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    """An object that may be the answer."""

    instance: Instance
    #: None: a Segmentation, or a report that cannot be read.
    report: Report | None = None

    @property
    def rank(self) -> tuple[object, ...]:
        """The greatest is the answer: what was made last; a report before a Segmentation of that second."""
        words = ("ContentDate", "ContentTime", "InstanceNumber", "SOPInstanceUID")
        day, time, number, uid = (header_text(self.instance.header, one) for one in words)
        is_answer = self.instance.sop_class_uid not in _OTHERS
        # TM may have a fraction or none.
        is_report = self.instance.sop_class_uid != SEGMENTATION_STORAGE
        return is_answer, day, time.partition(".")[0], is_report, time, number.zfill(12), uid


def find_answer(store: Store, study_instance_uid: str, series: Series, model: Model) -> tuple[Instance, ...]:
    """Return the answer of a peer about a series, then the Segmentations that it refers to; (): none yet.

    A report is about the series whose images it names; one that names no series of the study is taken for
    the answer as well, so that it is refused with a reason instead of being passed over.
    """
    study = store.studies.load(study_instance_uid)
    if study is None:
        return ()
    senders = list_senders(store.studies.engine, study_instance_uid)
    wanted = model.runtime.answers_from or model.runtime.peer.partition("@")[0]
    mine = [
        one for held in study.series for one in held.instances if senders.get(one.sop_instance_uid) == wanted
    ]
    known = {held.series_instance_uid: held for held in study.series}
    candidates = [one for one in map(_candidate, mine) if one is not None and _is_about(one, series, known)]
    corrected = {uid for one in candidates if one.report is not None for uid in one.report.predecessors}
    last = [one for one in candidates if one.instance.sop_instance_uid not in corrected]
    found = max(last or candidates, key=lambda one: one.rank, default=None)
    if found is None:
        return ()
    images = found.report.images if found.report is not None else ()
    marked = {one.sop_instance_uid for one in images if one.sop_class_uid == SEGMENTATION_STORAGE}
    segmentations = [
        one for one in mine if one.sop_class_uid == SEGMENTATION_STORAGE and one.sop_instance_uid in marked
    ]
    return (found.instance, *segmentations)


def is_of_last_answer(store: Store, reading: Reading, series: Series, model: Model) -> bool:
    """Tell whether no answer came since a Reading was made; always so of what no peer reads."""
    if model.runtime.kind != "dicom-peer":
        return True
    found = find_answer(store, reading.study_instance_uid, series, model)
    held = reading.answer.sop_instance_uids if reading.answer is not None else ()
    return held == tuple(one.sop_instance_uid for one in found)


def _candidate(instance: Instance) -> _Candidate | None:
    if instance.sop_class_uid == SEGMENTATION_STORAGE:
        return _Candidate(instance=instance)
    if instance.sop_class_uid not in REPORTS | _OTHERS:
        return None
    try:
        return _Candidate(instance=instance, report=read_report(instance))
    except UnreadableInstance:
        return _Candidate(instance=instance)


def _is_about(one: _Candidate, series: Series, known: dict[str, Series]) -> bool:
    if one.instance.sop_class_uid == SEGMENTATION_STORAGE:
        return find_referenced_series(one.instance) == series.series_instance_uid
    if one.report is None:
        return True
    named = {uid for _, uid, _ in one.report.evidence} & set(known)
    if not named:
        images = {image.sop_instance_uid for image in one.report.images}
        named = {
            uid
            for uid, held in known.items()
            if any(instance.sop_instance_uid in images for instance in held.instances)
        }
    # Segmentations that it refers to are no images that were sent.
    named -= {
        uid
        for uid, held in known.items()
        if all(instance.sop_class_uid == SEGMENTATION_STORAGE for instance in held.instances)
    }
    return not named or series.series_instance_uid in named
