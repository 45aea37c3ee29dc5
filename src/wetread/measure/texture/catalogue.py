"""Every feature: its name, IBSI's code, its unit.

In: the families.  Out: ``FEATURES``.  Never: a feature that no family measures, or one that has no code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from wetread.measure.texture import first_order, glcm, glrlm, glszm, ngldm, ngtdm, shape

#: What stands for the unit of the image: HU for a CT.
IMAGE_UNIT = "image"

FAMILIES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "first_order": first_order.NAMES,
        "shape": shape.NAMES,
        "glcm": glcm.NAMES,
        "glrlm": glrlm.NAMES,
        "glszm": glszm.NAMES,
        "ngldm": ngldm.NAMES,
        "ngtdm": ngtdm.NAMES,
    }
)

_IN_IMAGE_UNITS = frozenset(
    {
        *("mean", "median", "minimum", "percentile_10", "percentile_90", "maximum", "interquartile_range"),
        *("range", "mean_absolute_deviation", "robust_mean_absolute_deviation", "median_absolute_deviation"),
        "root_mean_square",
    }
)
_SHAPE_UNITS = {
    "volume_mesh": "mm3",
    "volume_voxels": "mm3",
    "surface_area": "mm2",
    "surface_to_volume_ratio": "1/mm",
    "centre_of_mass_shift": "mm",
    "maximum_3d_diameter": "mm",
    "major_axis_length": "mm",
    "minor_axis_length": "mm",
    "least_axis_length": "mm",
    "integrated_intensity": f"{IMAGE_UNIT}.mm3",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """What a number is."""

    #: ``glcm_joint_entropy``: the family, and IBSI's name in snake case.
    name: str
    family: str
    #: IBSI's four characters.
    code: str
    #: ``1``: none. ``image`` stands for the unit of the image.
    unit: str


def _unit(family: str, name: str) -> str:
    if family == "shape":
        return _SHAPE_UNITS.get(name, "1")
    if family == "first_order" and name in {"variance", "energy"}:
        return f"{IMAGE_UNIT}2"
    return IMAGE_UNIT if family == "first_order" and name in _IN_IMAGE_UNITS else "1"


#: In the order in which they are told.
FEATURES: Mapping[str, Feature] = MappingProxyType(
    {
        f"{family}_{name}": Feature(
            name=f"{family}_{name}", family=family, code=code, unit=_unit(family, name)
        )
        for family, names in FAMILIES.items()
        for name, code in names.items()
    }
)
