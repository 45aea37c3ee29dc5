"""Clinical words as coded concepts.

In: nothing.  Out: the vocabulary that every document is written in.  Never: local words without a code.

Sources: DICOM PS3.16 (2026b), SNOMED CT codes as listed there, UCUM.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """A coded concept (PS3.3 section 8)."""

    #: Code Value, e.g. ``"39607008"``.
    value: str
    #: Coding Scheme Designator, e.g. ``"SCT"``, ``"DCM"``, ``"UCUM"``.
    scheme: str
    #: Code Meaning, e.g. ``"Lung"``.
    meaning: str


def _sct(value: str, meaning: str) -> Code:
    return Code(value=value, scheme="SCT", meaning=meaning)


def _unit(value: str, meaning: str) -> Code:
    return Code(value=value, scheme="UCUM", meaning=meaning)


# Categories of segmented properties (PS3.16 CID 7150)
ANATOMICAL_STRUCTURE = _sct("123037004", "Anatomical Structure")
MORPHOLOGICALLY_ABNORMAL_STRUCTURE = _sct("49755003", "Morphologically Abnormal Structure")

# Anatomy
LUNG = _sct("39607008", "Lung")
PLEURAL_CAVITY = _sct("3120008", "Pleura")
CHEST = _sct("816094009", "Chest")
CORONARY_ARTERY = _sct("41801008", "Coronary artery")
RIGHT = _sct("24028007", "Right")
LEFT = _sct("7771000", "Left")

# Findings
NODULE = _sct("27925004", "Nodule")
PNEUMOTHORAX = _sct("36118008", "Pneumothorax")
PLEURAL_EFFUSION = _sct("60046008", "Pleural effusion")
STEATOSIS_OF_LIVER = _sct("197321007", "Steatosis of liver")
CORONARY_CALCIFICATION = _sct("445512009", "Calcification of coronary artery")
# No standard code known.
LOW_VERTEBRAL_DENSITY = Code(
    value="low-vertebral-density", scheme="99WETREAD", meaning="Low Density of a Vertebra"
)

# Texture of a nodule (RadLex)
SOLID = Code(value="RID50151", scheme="RADLEX", meaning="Solid")
PART_SOLID = Code(value="RID50152", scheme="RADLEX", meaning="Part-solid")
GROUND_GLASS = Code(value="RID50153", scheme="RADLEX", meaning="Non-solid")

# Units
MM = _unit("mm", "mm")
MM2 = _unit("mm2", "mm2")
MM3 = _unit("mm3", "mm3")
ML = _unit("ml", "ml")
CM2 = _unit("cm2", "cm2")
MG = _unit("mg", "mg")
PERCENT = _unit("%", "%")
HOUNSFIELD_UNIT = _unit("[hnsf'U]", "Hounsfield unit")
DAY = _unit("d", "day")
NO_UNITS = _unit("1", "no units")
