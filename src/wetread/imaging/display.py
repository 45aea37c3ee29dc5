"""How an object wants its pixels to be shown.

In: the elements of a header, in their order.  Out: ``Display`` of one frame.
Never: pixels; presentation states; a window that shows nothing.

References
----------
PS3.3 C.11.1 (modality), C.11.2 (VOI), C.7.6.16 (functional groups), C.7.9 (palette).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from wetread.dicom.scan import Element
from wetread.dicom.values import Encoding, plain_value, to_float
from wetread.imaging.layout import PixelLayout
from wetread.imaging.lut import Lut, make_lut

_SHARED, _PER_FRAME = 0x52009229, 0x52009230
_MODALITY_LUT, _VOI_LUT = 0x00283000, 0x00283010
_DESCRIPTOR, _DATA = 0x00283002, 0x00283006
_INTERCEPT, _SLOPE = 0x00281052, 0x00281053
_CENTER, _WIDTH, _FUNCTION = 0x00281050, 0x00281051, 0x00281056
_PADDING, _PADDING_LIMIT = 0x00280120, 0x00280121
_ASPECT_RATIO = 0x00280034
#: Distances between rows and between columns, the best first.
_SPACINGS = (0x00280030, 0x00181164, 0x00182010)
_MAXIMUM_FRACTIONAL_VALUE = 0x0062000E
_PALETTE_DESCRIPTORS = (0x00281101, 0x00281102, 0x00281103)
_PALETTE_DATA, _PALETTE_SEGMENTED = 0x00281201, 0x00281221
_WANTED_OUTSIDE_0028 = frozenset({*_SPACINGS, _MAXIMUM_FRACTIONAL_VALUE})
_DEFAULT_VRS = {_PADDING: "US or SS", _PADDING_LIMIT: "US or SS", _FUNCTION: "CS", _ASPECT_RATIO: "IS"}
_MOST_ASPECT = 100.0

_Values = dict[int, tuple[str, bytes]]


class Shape(StrEnum):
    """VOI LUT Function."""

    LINEAR = "LINEAR"
    LINEAR_EXACT = "LINEAR_EXACT"
    SIGMOID = "SIGMOID"


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Which values are shown, in those of the modality; ValueError where it would show nothing."""

    center: float
    width: float
    shape: Shape = Shape.LINEAR

    def __post_init__(self) -> None:
        """Check that it is one."""
        least = 1.0 if self.shape is Shape.LINEAR else 0.0
        if not (math.isfinite(self.center) and math.isfinite(self.width)):
            raise ValueError("A window is finite numbers.")
        if self.width < least or self.width <= 0:
            raise ValueError("A window is wider than nothing.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Display:
    """What it takes to show one frame."""

    slope: float = 1.0
    intercept: float = 0.0
    modality_lut: Lut | None = None
    window: Window | None = None
    voi_lut: Lut | None = None
    palette: tuple[Lut, Lut, Lut] | None = None
    #: Stored values, inclusive, that are no image.
    padding: tuple[float, float] | None = None
    #: Height of a pixel by its width.
    pixel_aspect: float = 1.0


@dataclass(slots=True)
class DisplayReader:
    """Collects what is said of one frame, itself, for all frames, or for the object."""

    #: From 1.
    number: int
    _object: _Values = field(default_factory=dict)
    _shared: _Values = field(default_factory=dict)
    _frame: _Values = field(default_factory=dict)
    _modality_lut: _Values = field(default_factory=dict)
    _voi_lut: _Values = field(default_factory=dict)

    def take(self, element: Element) -> None:
        """Look at one element."""
        tag = element.tag
        if element.value is None or not (tag >> 16 == 0x0028 or tag in _WANTED_OUTSIDE_0028):
            return
        holder = self._holder(element)
        if holder is not None:
            holder[tag] = (element.vr, element.value)

    def finish(self, layout: PixelLayout) -> Display:
        """Return it.

        Raises
        ------
        UndecodablePixels
            If a lookup table is broken.
        """
        said = _Said({**self._object, **self._shared, **self._frame}, layout)
        slope, intercept = said.number(_SLOPE, 1.0), said.number(_INTERCEPT, 0.0)
        may_be_negative = layout.is_signed or intercept < 0
        return Display(
            slope=slope or 1.0,
            intercept=intercept,
            modality_lut=said.lut(self._modality_lut, is_signed=layout.is_signed),
            window=said.window(),
            voi_lut=said.lut(self._voi_lut, is_signed=may_be_negative),
            palette=said.palette() if layout.photometric == "PALETTE COLOR" else None,
            padding=said.padding(),
            pixel_aspect=said.pixel_aspect(),
        )

    def _holder(self, element: Element) -> _Values | None:
        path = element.path
        if not path:
            return self._object
        if any(item != 0 for _, item in path[1:]):
            return None
        if path[0] == (_SHARED, 0):
            holder = self._shared
        elif path[0] == (_PER_FRAME, self.number - 1):
            holder = self._frame
        elif path[0][1] == 0 and len(path) == 1:
            return {_MODALITY_LUT: self._modality_lut, _VOI_LUT: self._voi_lut}.get(path[0][0])
        else:
            return None
        if len(path) == 2:
            return holder
        return self._voi_lut if path[-1][0] == _VOI_LUT else None


@dataclass(frozen=True, slots=True)
class _Said:
    """Values of a header, as numbers."""

    values: Mapping[int, tuple[str, bytes]]
    layout: PixelLayout

    def numbers(self, tag: int) -> tuple[float, ...]:
        """Return the values of an attribute, none where one of them is no number."""
        vr, value = self.values.get(tag, ("", b""))
        if not value:
            return ()
        encoding = Encoding(is_little_endian=self.layout.is_little_endian, is_signed=self.layout.is_signed)
        plain = plain_value(_DEFAULT_VRS.get(tag, "DS") if vr == "UN" else vr, value, encoding)
        several = plain if isinstance(plain, tuple) else (plain,)
        found = tuple(to_float(one) for one in several)
        return found if all(math.isfinite(one) for one in found) else ()

    def number(self, tag: int, missing: float) -> float:
        """Return the first value of an attribute."""
        found = self.numbers(tag)
        return found[0] if found else missing

    def window(self) -> Window | None:
        """Return the first window; None where there is none that shows anything."""
        most = self.number(_MAXIMUM_FRACTIONAL_VALUE, 0.0)
        if most > 0:
            return Window(center=most / 2, width=most, shape=Shape.LINEAR_EXACT)
        center, width = self.numbers(_CENTER), self.numbers(_WIDTH)
        if not center or not width:
            return None
        text = self.values.get(_FUNCTION, ("", b""))[1].decode("ascii", "replace").strip("\0 ").upper()
        shape = Shape(text) if text in Shape.__members__ else Shape.LINEAR
        try:
            return Window(center=center[0], width=width[0], shape=shape)
        except ValueError:
            return None

    def lut(self, item: _Values, *, is_signed: bool) -> Lut | None:
        """Return the table of an item, None where there is none."""
        if _DATA not in item:
            return None
        vr, descriptor = item.get(_DESCRIPTOR, ("", b""))
        return make_lut(
            descriptor,
            item[_DATA][1],
            is_little_endian=self.layout.is_little_endian,
            is_signed=(is_signed and vr != "US") or vr == "SS",
        )

    def palette(self) -> tuple[Lut, Lut, Lut] | None:
        """Return the tables for red, green and blue; None where they are not all there."""
        luts = []
        for number, descriptor in enumerate(_PALETTE_DESCRIPTORS):
            plain, segmented = _PALETTE_DATA + number, _PALETTE_SEGMENTED + number
            data = self.values.get(plain) or self.values.get(segmented)
            if data is None or descriptor not in self.values:
                return None
            lut = make_lut(
                self.values[descriptor][1],
                data[1],
                is_little_endian=self.layout.is_little_endian,
                is_signed=self.layout.is_signed,
                is_segmented=plain not in self.values,
            )
            luts.append(lut)
        return luts[0], luts[1], luts[2]

    def padding(self) -> tuple[float, float] | None:
        """Return the range of padding."""
        value = self.numbers(_PADDING)
        if not value:
            return None
        limit = self.number(_PADDING_LIMIT, value[0])
        return min(value[0], limit), max(value[0], limit)

    def pixel_aspect(self) -> float:
        """Return the height of a pixel by its width."""
        for tag in (*_SPACINGS, _ASPECT_RATIO):
            found = self.numbers(tag)
            if len(found) == 2 and min(found) > 0:
                aspect = found[0] / found[1]
                return aspect if 1 / _MOST_ASPECT <= aspect <= _MOST_ASPECT else 1.0
        return 1.0
