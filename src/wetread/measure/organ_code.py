"""Which organ a segment marks, by its coded property type.

In: a code as whoever segmented wrote it, and its anatomic region.  Out: an organ, or nothing.
Never: a label read, which is free text; a code that could be two organs.

SNOMED CT as TotalSegmentator (resources/totalsegmentator_snomed_mapping.csv), highdicom and dcmqi write it;
the older SRT values of the same concepts (PS3.16 Annex O).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from wetread.domain.code import Code


class Organ(StrEnum):
    """What is measured, each in its way."""

    LIVER = "liver"
    SPLEEN = "spleen"
    AORTA = "aorta"
    VERTEBRA = "vertebra"
    #: The whole heart: with its valves and the root of the aorta.
    HEART = "heart"
    #: One coronary artery or all, with what is in their walls.
    CORONARY = "coronary"
    #: Calcified plaque in them.
    CALCIUM = "calcium"
    MUSCLE = "muscle"
    SUBCUTANEOUS_FAT = "subcutaneous-fat"
    VISCERAL_FAT = "visceral-fat"


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """An organ as documents and pages call it: never by somebody's label."""

    organ: Organ
    code: Code


_SCT = "SCT"
#: As others call SNOMED CT in DICOM.
_SAME_SCHEME = {"SNOMED-CT": _SCT, "SCT": _SCT, "SRT": "SRT", "99SDM": "SRT", "SNM3": "SRT"}


def _known(organ: Organ, value: str, meaning: str) -> Known:
    return Known(organ=organ, code=Code(value=value, scheme=_SCT, meaning=meaning))


#: SNOMED CT, SRT, organ, meaning.
_ROWS = (
    ("10200004", "T-62000", Organ.LIVER, "Liver"),
    ("78961009", "T-C3000", Organ.SPLEEN, "Spleen"),
    ("15825003", "T-42000", Organ.AORTA, "Aorta"),
    ("80891009", "T-32000", Organ.HEART, "Heart"),
    ("41801008", "T-43000", Organ.CORONARY, "Coronary artery"),
    ("3227004", "T-43107", Organ.CORONARY, "Left main coronary artery"),
    ("50018008", "T-43100", Organ.CORONARY, "Left coronary artery"),
    ("59438005", "T-43110", Organ.CORONARY, "Left anterior descending coronary artery"),
    ("57396003", "T-43120", Organ.CORONARY, "Circumflex coronary artery"),
    ("13647002", "T-43200", Organ.CORONARY, "Right coronary artery"),
    ("127954009", "T-D0684", Organ.MUSCLE, "Skeletal muscle"),
    ("67769002", "", Organ.SUBCUTANEOUS_FAT, "Subcutaneous fatty tissue"),
    ("64864005", "T-11710", Organ.VERTEBRA, "T1 vertebra"),
    ("53733008", "T-11720", Organ.VERTEBRA, "T2 vertebra"),
    ("1626008", "T-11730", Organ.VERTEBRA, "T3 vertebra"),
    ("73071006", "T-11740", Organ.VERTEBRA, "T4 vertebra"),
    ("56401006", "T-11750", Organ.VERTEBRA, "T5 vertebra"),
    ("45296009", "T-11760", Organ.VERTEBRA, "T6 vertebra"),
    ("62487009", "T-11770", Organ.VERTEBRA, "T7 vertebra"),
    ("11068009", "T-11780", Organ.VERTEBRA, "T8 vertebra"),
    ("82687006", "T-11790", Organ.VERTEBRA, "T9 vertebra"),
    ("7610001", "T-117A0", Organ.VERTEBRA, "T10 vertebra"),
    ("12989004", "T-117B0", Organ.VERTEBRA, "T11 vertebra"),
    ("23215003", "T-117C0", Organ.VERTEBRA, "T12 vertebra"),
    ("66794005", "T-11910", Organ.VERTEBRA, "L1 vertebra"),
    ("14293000", "T-11920", Organ.VERTEBRA, "L2 vertebra"),
    ("36470004", "T-11930", Organ.VERTEBRA, "L3 vertebra"),
    ("11994002", "T-11940", Organ.VERTEBRA, "L4 vertebra"),
    ("49668003", "T-11950", Organ.VERTEBRA, "L5 vertebra"),
)
FIRST_LUMBAR, THIRD_LUMBAR = "66794005", "36470004"

_BY_CODE: Mapping[tuple[str, str], Known] = MappingProxyType(
    {
        (scheme, value): _known(organ, sct, meaning)
        for sct, srt, organ, meaning in _ROWS
        for scheme, value in ((_SCT, sct), ("SRT", srt))
        if value
    }
)
#: What is an organ only in a certain place: fat in the trunk or the abdomen is what lies around the bowels
#: (TotalSegmentator's ``torso_fat``), calcification in a coronary artery is plaque.
_FAT = frozenset({(_SCT, "55603005"), (_SCT, "256674009"), ("SRT", "T-D008A")})
_INSIDE = frozenset(
    {
        *((_SCT, value) for value in ("22943007", "818981001", "818983003", "113345001", "83670000")),
        *(("SRT", value) for value in ("T-D4000", "T-D2000")),
    }
)
_CALCIFIED = frozenset({(_SCT, "18115005"), (_SCT, "237897009"), ("SRT", "M-55420"), ("SRT", "D6-34737")})
_VISCERAL_FAT = _known(Organ.VISCERAL_FAT, "55603005", "Fat")
_CALCIUM = _known(Organ.CALCIUM, "18115005", "Calcification of a coronary artery")


def find_organ(kind: Code | None, site: Code | None = None) -> Known | None:
    """Return the organ that a segment marks, None where it is none that is measured.

    Parameters
    ----------
    kind
        Segmented Property Type Code (0062,000F).
    site
        Anatomic Region (0008,2218).
    """
    what, where = _key(kind), _key(site)
    if what in _FAT:
        return _VISCERAL_FAT if where in _INSIDE else None
    if what in _CALCIFIED:
        place = _BY_CODE.get(where) if where else None
        return _CALCIUM if place is not None and place.organ is Organ.CORONARY else None
    return _BY_CODE.get(what) if what else None


def _key(one: Code | None) -> tuple[str, str] | None:
    return (_SAME_SCHEME.get(one.scheme, one.scheme), one.value) if one is not None else None
