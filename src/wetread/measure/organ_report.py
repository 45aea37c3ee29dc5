"""What masks of organs by somebody else say: densities, fat, calcium, body composition.

In: a CT in HU, marked organs, how it was taken, thresholds.  Out: numbers, what follows from them, and what
could not be judged and why.
Never: a threshold held against a CT that it was not found on; half an artery told as all; a mask corrected.

Liver: 40 HU and less go with 30 % fat and more (Kodama et al., AJR 2007;188:1307), 10 HU less than the
spleen likewise (Park et al., Radiology 2006;239:105); both without contrast agent, at 120 kV. First lumbar
vertebra: 110 HU and less are specific for osteoporosis (Pickhardt et al., Ann Intern Med 2013;158:588),
likewise. Calcium: 120 kV, slices of 2.5 to 3 mm, without contrast agent (``measure.calcium``; McCollough et
al., Radiology 2007;243:527).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from wetread.domain.mask import Mask
from wetread.domain.volume import Volume
from wetread.measure.body import SliceTissues, find_middle_plane, measure_slice
from wetread.measure.calcium import score_calcium
from wetread.measure.native import Acquisition, Phase, find_phase
from wetread.measure.organ import EDGE_MM, OrganDensity, measure_organ
from wetread.measure.organ_code import FIRST_LUMBAR, THIRD_LUMBAR, Known, Organ

#: Cortex and what lies behind the vertebral body: thinner than twice this.
_VERTEBRA_EDGE_MM = 5.0
_DENSE = (Organ.LIVER, Organ.SPLEEN, Organ.AORTA, Organ.VERTEBRA)
_FAT = (Organ.SUBCUTANEOUS_FAT, Organ.VISCERAL_FAT)
_TISSUES = (Organ.MUSCLE, *_FAT)
#: Thickness and voltage as written may differ by rounding.
_ROUNDING = 1.01
_KVP = 120.0
_CALCIUM_MM = (2.5, 3.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Numbers that decide something."""

    #: From the liver's density down it is fat; likewise its density less that of the spleen.
    fatty_liver_most_hu: float = 40.0
    fatty_liver_spleen_most_hu: float = -10.0
    #: Of the first lumbar vertebra.
    low_vertebra_most_hu: float = 110.0
    #: Of the aorta: up to the one without contrast agent, from the other on with it.
    native_aorta_most_hu: float = 70.0
    contrast_aorta_least_hu: float = 90.0
    #: Of this scanner, for the mass of calcium; 0: not calibrated.
    calcium_mg_per_ml_hu: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkedOrgan:
    """One segment."""

    known: Known
    mask: Mask


@dataclass(frozen=True, slots=True, kw_only=True)
class OrganNumbers:
    """What was measured of a segment, in its order."""

    #: Names of ``domain.measurement.MEASUREMENTS``.
    measurements: Mapping[str, float] = field(default_factory=dict)
    #: The only slice that counts; None: all.
    plane: int | None = None


class Sign(StrEnum):
    """What follows from numbers."""

    FATTY_LIVER = "fatty-liver"
    LOW_VERTEBRA = "low-vertebral-density"
    CALCIUM = "coronary-calcium"


@dataclass(frozen=True, slots=True, kw_only=True)
class Conclusion:
    """One of them."""

    sign: Sign
    #: Indices of the segments that show it.
    members: tuple[int, ...]
    measurements: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class OrganReport:
    """Everything that segments of organs say."""

    phase: Phase
    #: In words: where that is known from.
    phase_reason: str
    #: In the order of the segments.
    organs: tuple[OrganNumbers, ...]
    conclusions: tuple[Conclusion, ...]
    #: Sentences: what is not evaluable, and why.
    not_evaluable: tuple[str, ...]


def report_organs(
    volume: Volume, marked: Sequence[MarkedOrgan], acquisition: Acquisition, limits: Limits | None = None
) -> OrganReport:
    """Measure what is marked, and say what follows.

    Parameters
    ----------
    marked
        In any order, on the volume's grid. Of several livers, spleens or aortas the first one with a density
        is the one that is compared with.

    Raises
    ------
    LabelsDoNotFit, NotFinite
        If a mask is of another shape, or a value inside is no number.
    """
    return _Reporter(
        volume=volume, marked=tuple(marked), acquisition=acquisition, limits=limits or Limits()
    ).report()


@dataclass(slots=True, kw_only=True)
class _Reporter:
    volume: Volume
    marked: tuple[MarkedOrgan, ...]
    acquisition: Acquisition
    limits: Limits
    densities: dict[int, OrganDensity] = field(default_factory=dict)
    numbers: dict[int, dict[str, float]] = field(default_factory=dict)
    planes: dict[int, int] = field(default_factory=dict)
    conclusions: list[Conclusion] = field(default_factory=list)
    not_evaluable: list[str] = field(default_factory=list)

    def report(self) -> OrganReport:
        """Measure everything."""
        for index in self._list(*_DENSE):
            self._measure_density(index)
        phase, reason = find_phase(
            self.acquisition,
            self._density_of(Organ.AORTA),
            native_most_hu=self.limits.native_aorta_most_hu,
            contrast_least_hu=self.limits.contrast_aorta_least_hu,
        )
        why_not = "" if phase is Phase.NATIVE else reason
        self._judge_liver(why_not)
        self._judge_vertebra(why_not)
        self._score_calcium(why_not)
        self._measure_tissues(why_not)
        numbers = tuple(
            OrganNumbers(measurements=self.numbers.get(index, {}), plane=self.planes.get(index))
            for index in range(len(self.marked))
        )
        return OrganReport(
            phase=phase,
            phase_reason=reason,
            organs=numbers,
            conclusions=tuple(self.conclusions),
            not_evaluable=tuple(self.not_evaluable),
        )

    def _list(self, *organs: Organ) -> list[int]:
        return [index for index, one in enumerate(self.marked) if one.known.organ in organs]

    def _measure_density(self, index: int) -> None:
        one = self.marked[index]
        edge_mm = _VERTEBRA_EDGE_MM if one.known.organ is Organ.VERTEBRA else EDGE_MM
        found = measure_organ(self.volume, one.mask, edge_mm=edge_mm)
        if found is None:
            name = one.known.code.meaning
            self._say(f"Density of the {_low(name)}", "too little of it lies inside of its edge")
            return
        self.densities[index] = found
        self.numbers[index] = {
            "volume_ml": found.volume_ml,
            "mean_hu": found.mean_hu,
            "median_hu": found.median_hu,
            "spread_hu": found.spread_hu,
        }
        if one.known.organ is Organ.VERTEBRA:
            # Arches and processes are marked or not, as whoever segmented likes.
            del self.numbers[index]["volume_ml"]

    def _density_of(self, organ: Organ) -> float | None:
        return next((self.densities[one].mean_hu for one in self._list(organ) if one in self.densities), None)

    def _judge_liver(self, why_not: str) -> None:
        judged = [index for index in self._list(Organ.LIVER) if index in self.densities]
        why_not = why_not or self._wrong_voltage()
        if judged and why_not:
            self._say("Fat in the liver", why_not)
        if not judged or why_not:
            return
        spleen_hu = self._density_of(Organ.SPLEEN)
        for index in judged:
            liver_hu, told = self.densities[index].mean_hu, self.numbers[index]
            if spleen_hu is not None:
                told["liver_spleen_difference_hu"] = liver_hu - spleen_hu
            is_fatty = liver_hu <= self.limits.fatty_liver_most_hu
            if not is_fatty and spleen_hu is not None:
                is_fatty = liver_hu - spleen_hu <= self.limits.fatty_liver_spleen_most_hu
            if is_fatty:
                kept = ("mean_hu", "liver_spleen_difference_hu")
                self._conclude(
                    Sign.FATTY_LIVER, (index,), {name: told[name] for name in kept if name in told}
                )

    def _judge_vertebra(self, why_not: str) -> None:
        every = [index for index in self._list(Organ.VERTEBRA) if index in self.densities]
        judged = [index for index in every if self.marked[index].known.code.value == FIRST_LUMBAR]
        why_not = why_not or self._wrong_voltage()
        if every and not judged:
            why_not = "only that of the first lumbar vertebra has a threshold, and that one is not marked"
        if every and why_not:
            self._say("Loss of bone density", why_not)
        for index in () if why_not else judged:
            mean_hu = self.densities[index].mean_hu
            if mean_hu <= self.limits.low_vertebra_most_hu:
                self._conclude(Sign.LOW_VERTEBRA, (index,), {"mean_hu": mean_hu})

    def _score_calcium(self, why_not: str) -> None:
        scored = self._list(Organ.CORONARY, Organ.CALCIUM)
        if not scored:
            if self._list(Organ.HEART):
                reason = "a mask of the whole heart holds its valves and the root of the aorta too"
                self._say("Coronary calcium", f"{reason}: mark the coronary arteries")
            return
        why_not = why_not or self._wrong_voltage() or self._wrong_slices()
        if why_not:
            self._say("Coronary calcium", why_not)
            return
        for index in scored:
            self.numbers[index] = self._score(self.marked[index].mask)
        masks = [self.marked[index].mask for index in scored]
        # What several mark counts once.
        whole = self._score(masks[0] if len(masks) == 1 else _join(masks))
        if whole["agatston_score"] > 0:
            self._conclude(Sign.CALCIUM, tuple(scored), whole)
        if not self.limits.calcium_mg_per_ml_hu:
            self._say("Mass of coronary calcium", "the scanner is not calibrated for it")

    def _score(self, mask: Mask) -> dict[str, float]:
        factor = self.limits.calcium_mg_per_ml_hu or None
        found = score_calcium(self.volume, mask, calibration_mg_per_ml_hu=factor)
        told = {"agatston_score": found.agatston, "calcium_volume_mm3": found.volume_mm3}
        return told if found.mass_mg is None else told | {"calcium_mass_mg": found.mass_mg}

    def _measure_tissues(self, why_not: str) -> None:
        tissues = self._list(*_TISSUES)
        if not tissues:
            return
        levels = [
            plane
            for index in self._list(Organ.VERTEBRA)
            if self.marked[index].known.code.value == THIRD_LUMBAR
            and (plane := find_middle_plane(self.marked[index].mask)) is not None
        ]
        if not levels:
            self._say("Body composition", "it is measured at the third lumbar vertebra, which is not marked")
            return
        if why_not and self._list(Organ.MUSCLE):
            self._say("Density of the muscles", why_not)
        for index in tissues:
            one = self.marked[index]
            found = measure_slice(self.volume, one.mask, levels[0])
            if not found.area_cm2:
                self._say(
                    f"Area of the {_low(one.known.code.meaning)}",
                    "nothing of it is marked at the third lumbar vertebra",
                )
                continue
            self.planes[index] = levels[0]
            self.numbers[index] = _tell_tissue(one.known.organ, found, is_native=not why_not)

    def _wrong_voltage(self) -> str:
        kvp = self.acquisition.kvp
        if math.isnan(kvp):
            return "the header does not say the tube voltage, and the threshold was found at 120 kV"
        if abs(kvp - _KVP) > 1.0:
            return f"the tube voltage was {kvp:g} kV, and the threshold was found at 120 kV"
        return ""

    def _wrong_slices(self) -> str:
        low, high = _CALCIUM_MM
        thickness, step = self.acquisition.thickness_mm, self.volume.grid.spacing_mm[0]
        if math.isnan(thickness):
            return "the header does not say the slice thickness"
        if not low / _ROUNDING <= thickness <= high * _ROUNDING:
            return f"the slices are {thickness:g} mm thick, and the score is defined for 2.5 to 3 mm"
        if not low / _ROUNDING <= step <= high * _ROUNDING:
            return f"the slices are {step:.2f} mm apart, and the score is defined for 2.5 to 3 mm"
        return ""

    def _conclude(self, sign: Sign, members: tuple[int, ...], measurements: Mapping[str, float]) -> None:
        self.conclusions.append(Conclusion(sign=sign, members=members, measurements=dict(measurements)))

    def _say(self, what: str, reason: str) -> None:
        sentence = f"{what}: not evaluable, {reason}."
        if sentence not in self.not_evaluable:
            self.not_evaluable.append(sentence)


def _tell_tissue(organ: Organ, found: SliceTissues, *, is_native: bool) -> dict[str, float]:
    if organ in _FAT:
        return {"fat_area_cm2": found.fat_cm2}
    told = {"muscle_area_cm2": found.muscle_cm2}
    # Contrast agent makes muscle denser, and so less fatty than it is.
    if is_native and found.muscle_hu is not None:
        told["muscle_hu"] = found.muscle_hu
    return told


def _join(masks: Iterable[Mask]) -> Mask:
    first, *rest = masks
    whole = first.to_array()
    for one in rest:
        whole[one.box] |= one.voxels
    return Mask.from_array(whole)


def _low(name: str) -> str:
    # "L1 vertebra" stays as it is.
    return name if name[1:2].isdigit() else name[:1].lower() + name[1:]


def only_plane(mask: Mask, plane: int) -> Mask:
    """Return one slice of a mask."""
    array = np.zeros(mask.shape, dtype=bool)
    array[plane] = mask.plane(plane)
    return Mask.from_array(array)


def iter_parameters(parameters: Mapping[str, float]) -> Iterator[tuple[str, float]]:
    """Yield those of a package's numbers that are ``Limits``."""
    for name in Limits.__slots__:
        if name in parameters:
            yield name, parameters[name]
