"""Words of other vendors' reports: which of ours they are.

In: codes, numbers with units.  Out: our names and values, or that there is none.
Never: a unit guessed; a number taken for another one because its name sounds alike.

References
----------
PS3.16 TID 1500, 1419, 4000, 4100 and CID 42; UCUM.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from wetread.dicom.content import Content
from wetread.domain import code
from wetread.domain.code import Code
from wetread.domain.problem import ProblemCode, RefusedAnswer

_HARMLESS = re.compile(r"[^\w.:'-]", re.ASCII)
_PRINTED = re.compile(r"[^\w .,()/'-]")
_LONGEST_LABEL = 64


@dataclass(frozen=True, slots=True)
class Word:
    """A concept by all the codes that it is written with: SNOMED CT has changed its own."""

    values: frozenset[tuple[str, str]]

    def __contains__(self, said: Code | None) -> bool:
        """Tell whether a code is this concept."""
        return said is not None and (_scheme(said.scheme), said.value) in self.values


def _scheme(name: str) -> str:
    # PS3.16 section 8.1: SNOMED-RT style values go by SRT, SNM3 or 99SDM.
    return "SRT" if name in ("SRT", "SNM3", "99SDM") else name


def _word(*said: str) -> Word:
    return Word(frozenset((one.partition(" ")[0], one.partition(" ")[2]) for one in said))


# Root, containers, what a finding is
MEASUREMENT_REPORT, IMAGING_MEASUREMENTS = _word("DCM 126000"), _word("DCM 126010")
MEASUREMENT_GROUP, IMAGE_LIBRARY = _word("DCM 125007"), _word("DCM 111028")
FINDING, CATEGORY = _word("DCM 121071"), _word("SCT 276214006", "SRT G-C4D4")
SITE = _word("SCT 363698007", "SRT G-C0E3")
SIDE = _word("SCT 272741003", "SRT G-C171")
ANATOMY = _word("SCT 123037004", "SCT 91723000", "SRT T-D0050", "SRT R-42019")
TRACKING_UID = _word("DCM 112040")
PROBABILITY = _word("DCM 122157", "DCM 111012")
TEXTURE = _word("NCIt C41144")
DERIVATION = _word("DCM 121401")
MEAN = _word("SCT 373098007", "SRT R-00317")
LONG_AXIS = _word("SCT 103339001", "SRT G-A185")
SHORT_AXIS = _word("SCT 103340004", "SRT G-A186")
# CAD
CHEST_CAD, MAMMOGRAPHY_CAD = _word("DCM 112000"), _word("DCM 111036")
SUMMARY = _word("DCM 111017")
COMPOSITE, SINGLE = _word("DCM 111015"), _word("DCM 111059")
INTENT, NOT_PRESENTED = _word("DCM 111056"), _word("DCM 111152")
CENTER, OUTLINE = _word("DCM 111010"), _word("DCM 111041")
ALL_WITHOUT, ALL_WITH = _word("DCM 111241"), _word("DCM 111242")
SOME_WITH = _word("DCM 111244")
SOME_WITHOUT = _word("DCM 111243", "DCM 111245")
#: What is said of the algorithm, the visit, the method: nothing that a finding would lack.
ASIDE = _word(
    *("DCM 112039", "DCM 111000", "DCM 111001", "DCM 111002", "DCM 111003", "DCM 126070", "DCM 126071"),
    *("DCM 126072", "DCM 126073", "DCM 126074", "DCM 121049", "DCM 121046", "DCM 121058", "DCM 111056"),
    *("SCT 370129005", "SRT G-C036", "UMLS C1272706", "DCM 126100"),
)

_LEFT, _RIGHT = _word("SCT 7771000", "SRT G-A101"), _word("SCT 24028007", "SRT G-A100")
_TEXTURES = (
    (_word("RADLEX RID50151", "SCT 35702001"), code.SOLID),
    (_word("RADLEX RID50152"), code.PART_SOLID),
    (_word("RADLEX RID50153", "SCT 1217294009", "DCM 112120"), code.GROUND_GLASS),
)
_LENGTHS = {"mm": 1.0, "cm": 10.0, "um": 1e-3}
_AREAS = {"mm2": 1.0, "cm2": 100.0}
_VOLUMES = {
    "mm3": 1.0,
    "cm3": 1e3,
    "ml": 1e3,
    "mL": 1e3,
    "ul": 1.0,
    "uL": 1.0,
    "dm3": 1e6,
    "l": 1e6,
    "L": 1e6,
}
#: What it is -> its name here, units, what a number of that unit is multiplied by.
_QUANTITIES: tuple[tuple[Word, str, Mapping[str, float]], ...] = (
    (_word("SCT 118565006", "SRT G-D705", "IBSI RNU0", "IBSI YEKZ"), "volume_mm3", _VOLUMES),
    (LONG_AXIS, "long_axis_mm", _LENGTHS),
    (SHORT_AXIS, "short_axis_mm", _LENGTHS),
    (_word("SCT 81827009", "SRT M-02550"), "mean_diameter_mm", _LENGTHS),
    (_word("SCT 42798000", "SRT G-A166"), "area_mm2", _AREAS),
)
_ATTENUATION = _word("DCM 112031", "SCT 112031", "SRT R-41B23")


def measured(item: Content) -> tuple[str, float] | None:
    """Return our name and value of a NUM item; None: there is none.

    Raises
    ------
    RefusedAnswer
        If it is a size that is no number, or in a unit of another kind.
    """
    derived = [one.code for one in item.children if one.concept in DERIVATION]
    is_mean = bool(derived) and all(one in MEAN for one in derived)
    if item.concept in _ATTENUATION:
        is_taken = is_mean and _unit(item) == "[hnsf'U]" and math.isfinite(item.number)
        return ("mean_hu", item.number) if is_taken else None
    for word, name, units in _QUANTITIES:
        if item.concept not in word:
            continue
        if derived and not is_mean:
            # A largest or smallest one is another number.
            return None
        factor = units.get(_unit(item))
        if factor is None or not math.isfinite(item.number) or item.number < 0:
            raise not_understood(f"{told(item.concept)} is no size in a unit of UCUM that fits it")
        return name, item.number * factor
    return None


def share(item: Content) -> float:
    """Return a certainty, in percent or of 1, as 0 to 1.

    Raises
    ------
    RefusedAnswer
        If it is neither.
    """
    factor = {"%": 0.01, "1": 1.0, "{0:1}": 1.0, "": math.nan}.get(_unit(item), math.nan)
    value = item.number * factor
    # Written so that what is no number is refused as well.
    if not 0 <= value <= 1:
        raise not_understood(f"{told(item.concept)} is no certainty between 0 and 1")
    return value


def _unit(item: Content) -> str:
    unit = item.code
    return unit.value if unit is not None and unit.scheme == "UCUM" else ""


def find_texture(said: Code | None) -> Code | None:
    """Return how solid something is."""
    return next((ours for word, ours in _TEXTURES if said in word), None)


def find_side(said: Code | None) -> Code | None:
    """Return left or right; None: neither."""
    return code.LEFT if said in _LEFT else code.RIGHT if said in _RIGHT else None


def told(said: Code | None) -> str:
    """Return a code as a sentence may name it: value and scheme, never words that somebody made up."""
    if said is None:
        return "an item without a code"
    return f"{_HARMLESS.sub('?', said.scheme)} {_HARMLESS.sub('?', said.value)}"


def label_of(said: Code, otherwise: str) -> str:
    """Return what people read for a code."""
    words = " ".join(_PRINTED.sub(" ", said.meaning).split())[:_LONGEST_LABEL]
    return words.lower() or otherwise


def not_understood(what: str) -> RefusedAnswer:
    """Return the refusal of something that is not understood."""
    message = f"The answer of the other vendor's AI is not understood: {what}. Show this to the vendor."
    return RefusedAnswer(ProblemCode.ANSWER_NOT_UNDERSTOOD, message)


def other_images(what: str) -> RefusedAnswer:
    """Return the refusal of an answer about other images."""
    message = f"The answer of the other vendor's AI is about other images: {what}. Look there."
    return RefusedAnswer(ProblemCode.ANSWER_OTHER_IMAGES, message)
