"""What readers changed and added, as it is shown: their values with the model's beside them.

In: a Reading, the changes of it.  Out: views, the words for a report.  Never: a mask.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from wetread.compose.prefill import Readers, revise_text
from wetread.compose.wording import measurement_text
from wetread.domain import code
from wetread.domain.change import (
    LONG,
    SHORT,
    TEXTURES,
    Change,
    ChangeKind,
    added,
    revise,
    standing,
)
from wetread.domain.code import Code
from wetread.domain.finding import Finding
from wetread.domain.measurement import MEASUREMENTS
from wetread.domain.model import Model
from wetread.domain.reading import Reading
from wetread.domain.returned import Return, Returned
from wetread.domain.review import Remark
from wetread.store import Store
from wetread.store.slices import ImageSeries
from wetread.web import words

#: What readers of chests look for, where the package does not say what its model does.
_CHEST = {
    "lung nodule": code.NODULE,
    "pleural effusion": code.PLEURAL_EFFUSION,
    "pneumothorax": code.PNEUMOTHORAX,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StepView:
    """One change that stands."""

    words: str
    who: str
    at: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeView:
    """One finding as readers have it, and what its form begins with."""

    uid: str = ""
    name: str = ""
    #: Number of the newest change, one that was taken back as well; 0: none.
    seen: int = 0
    #: Oldest first.
    steps: tuple[StepView, ...] = ()
    #: What, as the model has it, as readers have it.
    differences: tuple[tuple[str, str, str], ...] = ()
    label: str = ""
    side: str = ""
    texture: str = ""
    has_texture: bool = False
    #: Millimetres, ``""``: not measured.
    long: str = ""
    short: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AddedView:
    """A finding that a reader added."""

    uid: str
    name: str
    seen: int
    label: str
    side: str
    place: str
    long: str
    short: str
    step: StepView


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """Everything that readers changed in one Reading."""

    #: Of each finding, changed or not.
    findings: tuple[ChangeView, ...]
    added: tuple[AddedView, ...]
    #: What a reader can call a finding with a code.
    vocabulary: tuple[str, ...]

    def of(self, uid: str) -> ChangeView:
        """Return what was changed in a finding."""
        return next((one for one in self.findings if one.uid == uid), ChangeView())

    @property
    def changed(self) -> tuple[ChangeView, ...]:
        """Those that are not as the model has them."""
        return tuple(one for one in self.findings if one.steps)


@dataclass(frozen=True, slots=True, kw_only=True)
class SaidOfStudy:
    """What readers said and changed, and the series that they can point into."""

    remarks: tuple[Remark, ...]
    changes: tuple[Change, ...]
    series: tuple[ImageSeries, ...]

    def changes_of(self, reading_digest: str) -> list[Change]:
        """Return those of one Reading."""
        return [one for one in self.changes if one.reading_digest == reading_digest]


def load_said(store: Store, study_instance_uid: str) -> SaidOfStudy:
    """Return what the store has of it."""
    return SaidOfStudy(
        remarks=tuple(store.room.list_remarks(study_instance_uid)),
        changes=tuple(store.changes.list_for_study(study_instance_uid)),
        series=tuple(store.slices.list_series(study_instance_uid)),
    )


def vocabulary_of(model: Model | None, reading: Reading) -> Mapping[str, Code]:
    """Return the names that a reader can give with a code: those of the model and of its findings."""
    output = model.output if model else None
    if output is not None:
        own = {output.label: Code(value=output.code, scheme=output.scheme, meaning=output.meaning)}
    else:
        own = dict(_CHEST)
    return own | {one.label: one.code for one in reading.findings}


def view_changes(
    reading: Reading,
    names: Sequence[str],
    changes: Sequence[Change],
    series: Iterable[ImageSeries],
    model: Model | None,
) -> Changed:
    """Return what was changed in a Reading.

    Parameters
    ----------
    changes
        Of this Reading, all of them, oldest first.
    """
    stands = standing(changes, changes[0].reading_digest) if changes else {}
    newest = {one.tracking_uid: one.id for one in changes}
    theirs = revise(reading, stands).findings
    described = {one.series_instance_uid: one.description for one in series}
    return Changed(
        findings=tuple(
            _finding(name, before, after, stands.get(before.tracking_uid, ()), newest)
            for name, before, after in zip(names, reading.findings, theirs, strict=True)
        ),
        added=tuple(_added(name, one, described, newest) for name, one in added(stands)),
        vocabulary=tuple(sorted(vocabulary_of(model, reading))),
    )


def revise_texts(texts: Iterable[str], reading: Reading, changed: Changed) -> tuple[str, ...]:
    """Return text reports of a Reading as readers have it.

    Parameters
    ----------
    reading
        With their values.
    """
    readers = Readers(
        changed={
            one.name: (finding, one.steps[-1].who)
            for one, finding in zip(changed.findings, reading.findings, strict=True)
            if one.steps
        },
        added=tuple(_report_lines(one) for one in changed.added),
    )
    return tuple(revise_text(text, readers) for text in texts)


def _report_lines(one: AddedView) -> tuple[str, str]:
    size = " × ".join(value for value in (one.long, one.short) if value)
    size = f"{size} mm" if size else ""
    line = words.join_words([one.label, one.side, one.place, size], ", ")
    brief = words.join_words([one.name, one.label, one.side, size], ", ")
    return f"{one.name}: {line}. Added by {one.step.who}.", f"{brief}."


def _finding(
    name: str, before: Finding, after: Finding, stands: Sequence[Change], newest: Mapping[str, int]
) -> ChangeView:
    return ChangeView(
        uid=before.tracking_uid,
        name=name,
        seen=newest.get(before.tracking_uid, 0),
        steps=tuple(map(view_step, stands)),
        differences=tuple(_differences(before, after)),
        label=after.label,
        side=after.laterality.meaning.lower() if after.laterality else "",
        texture=next((word for word, value in TEXTURES.items() if value == after.texture), ""),
        has_texture=after.texture is not None or after.code == code.NODULE,
        long=millimetres(after.measurements, LONG),
        short=millimetres(after.measurements, SHORT),
    )


def millimetres(measurements: Mapping[str, float], name: str) -> str:
    """Return a length as a form shows it."""
    return f"{measurements[name]:.1f}" if name in measurements else ""


def _differences(before: Finding, after: Finding) -> Iterable[tuple[str, str, str]]:
    told = [
        ("finding", before.label, after.label),
        ("side", _word(before.laterality), _word(after.laterality)),
    ]
    told.append(("type", _word(before.texture), _word(after.texture)))
    for name in MEASUREMENTS:
        if name in before.measurements or name in after.measurements:
            had, has = (
                measurement_text(name, one.measurements[name]) if name in one.measurements else "not measured"
                for one in (before, after)
            )
            told.append((MEASUREMENTS[name].title, had, has))
    if before.prior is not None and after.prior is None:
        told.append(("change since prior", "measured", "not compared: it is another outline"))
    return (one for one in told if one[1] != one[2])


def _word(value: Code | None) -> str:
    return value.meaning.lower() if value else "not said"


def view_step(one: Change) -> StepView:
    """Return a change as it is told."""
    how = "by a segmentation" if one.kind is ChangeKind.OUTLINED else ""
    return StepView(
        words=words.join_words([one.kind.value, how], " "),
        who=one.who,
        at=words.format_time(one.at),
        text=one.text,
    )


def _added(name: str, one: Change, described: Mapping[str, str], newest: Mapping[str, int]) -> AddedView:
    place, said = one.said.place, one.said
    return AddedView(
        uid=one.tracking_uid,
        name=name,
        seen=newest[one.tracking_uid],
        label=said.label or "",
        side=said.laterality.meaning.lower() if said.laterality else "",
        place=(
            f"slice {place.number} of {described.get(place.series_instance_uid, 'its series')}"
            if place
            else ""
        ),
        long=millimetres(said.measurements, LONG),
        short=millimetres(said.measurements, SHORT),
        step=view_step(one),
    )


def view_returned(several: Iterable[Returned]) -> tuple[tuple[str, str, str, str], ...]:
    """Return what became of segmentations that are about ours: code, sentence, sender, time."""
    return tuple(
        (one.code.value if one.code else "", one.message, one.source, words.format_time(one.at))
        for one in several
        if one.outcome is not Return.FOREIGN
    )
