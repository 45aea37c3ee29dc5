"""The images of a study as stacks: what a reader scrolls through, in the order and the turn of a light box.

In: headers of a study.  Out: ``Stack`` values: slices, their place in the patient, how they are turned.
Never: pixels; an order or a side guessed where the header does not say it.

Axial stacks begin at the head, coronal ones in front, sagittal ones at the patient's right.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from threading import Lock

import numpy as np

from wetread.compose.view import View, choose_view
from wetread.dicom.planes import Plane, image_type, is_localizer, read_planes
from wetread.domain.study import Instance, Series, Study, header_text, study_key
from wetread.domain.volume import FloatArray, Triple
from wetread.imaging.display import Window
from wetread.store.studies import Studies, StudyRow
from wetread.web.words import format_count

#: Slices are scrolled from right to left, from front to back, from the head to the feet.
_ONWARD = (1.0, 1.0, -1.0)
_AXES = ("x", "y", "z")
#: Windows by name, for Hounsfield units; ``stored``: the object's own.
WINDOWS = {
    "lung": Window(center=-600, width=1500),
    "soft": Window(center=40, width=400),
    "bone": Window(center=480, width=2500),
    "stored": None,
}
WINDOW_TITLES = {"lung": "Lung", "soft": "Soft tissue", "bone": "Bone", "stored": "As stored"}
#: What is no picture of the patient, or only together with one.
_NO_IMAGES = ("SEG", "RTDOSE", "RTSTRUCT", "PR", "KO", "SR")
#: Scanners do not write words into slices.
_WITHOUT_WORDS = frozenset({"CT", "MR", "PT"})
_MADE_OF_OTHERS = frozenset({"DERIVED", "SECONDARY"})
_KEPT_STUDIES = 32
#: Images come by the hundred: so long the stacks of before will do.
_FRESH_S = 3.0
_SAYING = ("BodyPartExamined", "StudyDescription", "SeriesDescription", "ProtocolName")
_CHEST = ("CHEST", "THORA", "LUNG")
# Of a cosine: 0.1 degrees.
_SAME_ORIENTATION = 2e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """One picture of a stack."""

    sop_instance_uid: str
    #: From 1.
    frame: int
    #: Centre of the first pixel; None where the header does not say it.
    position_lps_mm: Triple | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How all slices of a stack lie in the patient."""

    #: Directions in which the column and the row index grow.
    across: Triple
    down: Triple
    #: Distance between rows, between columns.
    spacing_mm: tuple[float, float]
    #: Rows, columns.
    size: tuple[int, int]
    view: View

    @property
    def normal(self) -> FloatArray:
        """Unit vector, across x down."""
        normal: FloatArray = np.cross(self.across, self.down)
        return normal / np.linalg.norm(normal)

    @property
    def axis(self) -> int:
        """The patient's axis along which the slices follow each other: 0, 1, 2 for x, y, z."""
        return int(np.argmax(np.abs(self.normal)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """Pictures that are scrolled through."""

    #: In addresses, where no UID of a patient's images belongs; another one when a slice came or went, since
    #: browsers keep pictures by it.
    key: str
    series_instance_uid: str
    frame_of_reference_uid: str
    title: str
    modality: str
    slices: tuple[Slice, ...]
    #: None where the images do not say where they lie.
    layout: Layout | None
    #: Whether words of a patient may be part of the picture.
    may_hold_words: bool
    #: Whether its headers speak of the chest.
    is_chest: bool = False

    @property
    def windows(self) -> tuple[str, ...]:
        """Names of ``WINDOWS`` that mean something here."""
        return tuple(WINDOWS) if self.modality == "CT" else ("stored",)

    @property
    def first_window(self) -> str:
        """The window to begin with."""
        return "lung" if self.modality == "CT" and self.is_chest else "stored"

    @property
    def letters(self) -> tuple[str, str, str, str]:
        """What lies left, right, at the top and at the bottom; ``""`` where that is not known."""
        return self.layout.view.letters if self.layout else ("", "", "", "")

    def place_words(self, number: int) -> str:
        """Return where a slice lies, e.g. ``"z +34.5 mm"``."""
        position = self.slices[number - 1].position_lps_mm
        if self.layout is None or position is None:
            return ""
        axis = self.layout.axis
        rows, columns = self.layout.size
        middle = np.multiply(self.layout.across, self.layout.spacing_mm[1] * columns / 2)
        middle = middle + np.multiply(self.layout.down, self.layout.spacing_mm[0] * rows / 2)
        return f"{_AXES[axis]} {position[axis] + float(middle[axis]):+.1f} mm"

    def find_slice(self, point_lps_mm: Sequence[float], sop_instance_uid: str = "") -> int | None:
        """Return the number of the slice that is nearest to a point, None where that cannot be said.

        Parameters
        ----------
        sop_instance_uid
            Of the image that shows it: asked first where it has one frame.
        """
        named = [
            number for number, one in enumerate(self.slices, 1) if one.sop_instance_uid == sop_instance_uid
        ]
        if len(named) == 1:
            return named[0]
        if self.layout is None:
            return None
        normal = self.layout.normal
        along = [float(np.dot(one.position_lps_mm, normal)) for one in self.slices if one.position_lps_mm]
        return int(np.argmin(np.abs(np.array(along) - float(np.dot(point_lps_mm, normal))))) + 1


def list_stacks(study: Study) -> tuple[Stack, ...]:
    """Return the stacks of a study: the longest CT first, then by number of series."""
    stacks = [stack for series in study.series for stack in _stacks_of(series)]
    return tuple(
        sorted(stacks, key=lambda one: (one.modality != "CT", one.layout is None, -len(one.slices), one.key))
    )


class StudyStacks:
    """Stacks of studies; kept in memory, since they are asked for with each picture."""

    def __init__(self, studies: Studies) -> None:
        self._studies = studies
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._lock = Lock()

    def of(self, row: StudyRow) -> tuple[Stack, ...]:
        """Return the stacks of a study as it is now."""
        uid, count = row.study_instance_uid, (row.instance_count, row.first_received_at)
        with self._lock:
            kept = self._kept.get(uid)
            if kept and (kept.count == count or (kept.count[1] == count[1] and _is_fresh(kept))):
                self._kept.move_to_end(uid)
                return kept.stacks
        study = self._studies.load(uid)
        stacks = list_stacks(study) if study else ()
        with self._lock:
            self._kept[uid] = _Kept(count=count, stacks=stacks, at_s=time.monotonic())
            while len(self._kept) > _KEPT_STUDIES:
                self._kept.popitem(last=False)
        return stacks


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    #: Number of images, and when the first came: deleted and sent again, a study is another.
    count: tuple[int, float]
    stacks: tuple[Stack, ...]
    at_s: float


def _is_fresh(kept: _Kept) -> bool:
    return time.monotonic() - kept.at_s < _FRESH_S


def without_words(stacks: Iterable[Stack]) -> tuple[Stack, ...]:
    """Return the stacks for whom names are not: without what may hold them, without what a person typed."""
    return tuple(
        replace(one, title=f"{one.modality} · {format_count(len(one.slices), 'slice')}")
        for one in stacks
        if not one.may_hold_words
    )


def _stacks_of(series: Series) -> list[Stack]:
    images = [one for one in series.instances if _is_image(one)]
    # Asked apart: beside slices, localizers would be left out.
    localizers = [one for one in images if is_localizer(one)]
    slices = [one for one in images if not is_localizer(one)]
    return [stack for some in (slices, localizers) if some for stack in _stacks_of_images(series, some)]


def _stacks_of_images(series: Series, images: list[Instance]) -> list[Stack]:
    planes, _ = read_planes(Series(series_instance_uid=series.series_instance_uid, instances=tuple(images)))
    placed = {plane.instance.sop_instance_uid for plane in planes}
    groups: list[list[Plane]] = []
    for plane in planes:
        alike = next((group for group in groups if _are_alike(group[0], plane)), None)
        if alike is None:
            groups.append([plane])
        else:
            alike.append(plane)
    stacks = [_placed_stack(series, group) for group in groups]
    rest = [one for one in images if one.sop_instance_uid not in placed]
    return [*stacks, *([_plain_stack(series, rest)] if rest else [])]


def _is_image(instance: Instance) -> bool:
    header = instance.header
    is_picture = all(isinstance(header.get(name), int) for name in ("Rows", "Columns"))
    return is_picture and header_text(header, "Modality") not in _NO_IMAGES


def _are_alike(one: Plane, other: Plane) -> bool:
    """Tell whether two planes may lie in one stack: pixel upon pixel, but for rounding."""
    first = np.array([*one.row_cosine, *one.column_cosine])
    second = np.array([*other.row_cosine, *other.column_cosine])
    frames = [header_text(plane.instance.header, "FrameOfReferenceUID") for plane in (one, other)]
    return (
        one.size == other.size
        and frames[0] == frames[1]
        and float(np.abs(first - second).max()) <= _SAME_ORIENTATION
        and bool(np.allclose(one.pixel_spacing_mm, other.pixel_spacing_mm, rtol=1e-3))
    )


def _placed_stack(series: Series, planes: list[Plane]) -> Stack:
    first = planes[0]
    layout = Layout(
        across=first.row_cosine,
        down=first.column_cosine,
        spacing_mm=first.pixel_spacing_mm,
        size=first.size,
        view=choose_view(first.column_cosine, first.row_cosine),
    )
    onward = layout.normal * np.sign(layout.normal[layout.axis]) * _ONWARD[layout.axis]

    def place(plane: Plane) -> tuple[float, int, int]:
        along = round(float(np.dot(plane.position_lps_mm, onward)), 3)
        return along, _number(plane.instance), plane.frame

    ordered = sorted(planes, key=place)
    slices = [
        Slice(
            sop_instance_uid=one.instance.sop_instance_uid,
            frame=one.frame + 1,
            position_lps_mm=one.position_lps_mm,
        )
        for one in ordered
    ]
    return _stack(series, [one.instance for one in planes], slices, layout)


def _plain_stack(series: Series, instances: list[Instance]) -> Stack:
    ordered = sorted(instances, key=lambda one: (_number(one), one.sop_instance_uid))
    slices = [
        Slice(sop_instance_uid=one.sop_instance_uid, frame=frame, position_lps_mm=None)
        for one in ordered
        for frame in range(1, _frames(one) + 1)
    ]
    return _stack(series, instances, slices, None)


def _stack(series: Series, instances: list[Instance], slices: list[Slice], layout: Layout | None) -> Stack:
    header = instances[0].header
    described = header_text(header, "SeriesDescription").strip() or "no description"
    count = len(slices)
    told = [series.series_instance_uid, *(f"{one.sop_instance_uid}:{one.frame}" for one in slices)]
    return Stack(
        key=study_key("/".join(told)),
        series_instance_uid=series.series_instance_uid,
        frame_of_reference_uid=header_text(header, "FrameOfReferenceUID"),
        title=f"{described} · {header_text(header, 'Modality') or '?'} · {format_count(count, 'slice')}",
        modality=header_text(header, "Modality"),
        slices=tuple(slices),
        layout=layout,
        may_hold_words=any(_may_hold_words(one) for one in instances),
        is_chest=any(word in header_text(header, name).upper() for name in _SAYING for word in _CHEST),
    )


def _may_hold_words(instance: Instance) -> bool:
    header = instance.header
    is_burned_in = header_text(header, "BurnedInAnnotation").upper() == "YES"
    is_made = bool(_MADE_OF_OTHERS & set(image_type(header)[:2]))
    return is_burned_in or is_made or header_text(header, "Modality") not in _WITHOUT_WORDS


def _number(instance: Instance) -> int:
    value = instance.header.get("InstanceNumber", 0)
    return value if isinstance(value, int) else 0


def _frames(instance: Instance) -> int:
    value = instance.header.get("NumberOfFrames", 1)
    return value if isinstance(value, int) and 1 <= value <= 8192 else 1
