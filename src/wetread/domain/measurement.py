"""The names a measurement can have, each with its concept and unit.

In: nothing.  Out: ``MEASUREMENTS``, the only place where a name gets its code.
Never: a measurement that is not in this table (``Finding`` and ``Region`` refuse it).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from wetread.domain import code
from wetread.domain.code import Code


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """What a number means and what it is counted in."""

    #: Concept name of the NUM item (PS3.16 TID 1419).
    concept: Code
    #: UCUM unit.
    unit: Code
    #: For people, e.g. ``"mean diameter"``.
    title: str
    #: Decimals worth showing.
    decimals: int = 1


def _sct(value: str, meaning: str) -> Code:
    return Code(value=value, scheme="SCT", meaning=meaning)


def _dcm(value: str, meaning: str) -> Code:
    return Code(value=value, scheme="DCM", meaning=meaning)


def _own(value: str, meaning: str) -> Code:
    # No standard code known: a private designator, PS3.16 section 8.2 ("99" prefix).
    return Code(value=value, scheme="99WETREAD", meaning=meaning)


MEASUREMENTS: Mapping[str, Quantity] = MappingProxyType(
    {
        "volume_mm3": Quantity(
            concept=_sct("118565006", "Volume"), unit=code.MM3, title="volume", decimals=0
        ),
        "volume_ml": Quantity(concept=_sct("118565006", "Volume"), unit=code.ML, title="volume", decimals=0),
        "long_axis_mm": Quantity(concept=_sct("103339001", "Long Axis"), unit=code.MM, title="long axis"),
        "short_axis_mm": Quantity(concept=_sct("103340004", "Short Axis"), unit=code.MM, title="short axis"),
        "mean_diameter_mm": Quantity(
            concept=_sct("81827009", "Diameter"), unit=code.MM, title="mean diameter"
        ),
        "greatest_long_axis_mm": Quantity(
            concept=_own("greatest-long", "Long Axis in the Plane of Greatest Extent"),
            unit=code.MM,
            title="long axis, greatest plane",
        ),
        "greatest_short_axis_mm": Quantity(
            concept=_own("greatest-short", "Short Axis in the Plane of Greatest Extent"),
            unit=code.MM,
            title="short axis, greatest plane",
        ),
        "greatest_mean_diameter_mm": Quantity(
            concept=_own("greatest-mean", "Mean Diameter in the Plane of Greatest Extent"),
            unit=code.MM,
            title="mean diameter, greatest plane",
        ),
        "area_mm2": Quantity(concept=_sct("42798000", "Area"), unit=code.MM2, title="area", decimals=0),
        "mean_hu": Quantity(
            concept=_own("mean-attenuation", "Mean Attenuation Coefficient"),
            unit=code.HOUNSFIELD_UNIT,
            title="mean density",
            decimals=0,
        ),
        "distance_to_pleura_mm": Quantity(
            concept=_own("pleura-distance", "Distance to Pleura"),
            unit=code.MM,
            title="distance to pleura",
        ),
        "pleural_contact_percent": Quantity(
            concept=_own("pleural-contact", "Share of the Surface on the Pleura"),
            unit=code.PERCENT,
            title="contact with pleura",
            decimals=0,
        ),
        "vessel_contact_percent": Quantity(
            concept=_own("vessel-contact", "Share of the Surface on Vessels and Other Dense Tissue"),
            unit=code.PERCENT,
            title="contact with vessels",
            decimals=0,
        ),
        "spiculated_percent": Quantity(
            concept=_own("spiculated", "Share of the Free Surface with Thin Strands"),
            unit=code.PERCENT,
            title="surface with strands",
        ),
        "solid_volume_mm3": Quantity(
            concept=_own("solid-volume", "Volume of the Solid Component"),
            unit=code.MM3,
            title="volume of the solid part",
            decimals=0,
        ),
        "solid_mean_diameter_mm": Quantity(
            concept=_own("solid-diameter", "Mean Diameter of the Solid Component"),
            unit=code.MM,
            title="mean diameter of the solid part",
        ),
        "lung_height_percent": Quantity(
            concept=_own("lung-height", "Height in the Lung from Base to Apex"),
            unit=code.PERCENT,
            title="height in the lung",
            decimals=0,
        ),
        "finding_probability_percent": Quantity(
            concept=_own("finding-probability", "Probability of the Finding Looked For"),
            unit=code.PERCENT,
            title="probability of what is looked for",
        ),
        "lung_volume_ml": Quantity(
            concept=_sct("118565006", "Volume"), unit=code.ML, title="lung volume", decimals=0
        ),
        "laa950_percent": Quantity(
            concept=_own("laa-950", "Low Attenuation Area below -950 HU"),
            unit=code.PERCENT,
            title="LAA-950",
        ),
        "laa_cluster_slope": Quantity(
            concept=_own("laa-cluster-slope", "Slope of the Sizes of Low Attenuation Clusters"),
            unit=code.NO_UNITS,
            title="slope of LAA clusters",
            decimals=2,
        ),
        "laa_largest_cluster_ml": Quantity(
            concept=_own("laa-cluster", "Largest Low Attenuation Cluster"),
            unit=code.ML,
            title="largest LAA cluster",
        ),
        "perc15_hu": Quantity(
            concept=_own("perc15", "15th Percentile of Lung Density"),
            unit=code.HOUNSFIELD_UNIT,
            title="Perc15",
            decimals=0,
        ),
        "median_hu": Quantity(
            concept=_dcm("112182", "Median Attenuation Coefficient"),
            unit=code.HOUNSFIELD_UNIT,
            title="median density",
            decimals=0,
        ),
        "spread_hu": Quantity(
            concept=_dcm("112183", "Standard Deviation of Attenuation Coefficient"),
            unit=code.HOUNSFIELD_UNIT,
            title="spread of density",
            decimals=0,
        ),
        "liver_spleen_difference_hu": Quantity(
            concept=_own("liver-spleen", "Attenuation of the Liver Less That of the Spleen"),
            unit=code.HOUNSFIELD_UNIT,
            title="liver less spleen",
            decimals=0,
        ),
        "agatston_score": Quantity(
            concept=_sct("450360000", "Coronary artery calcium score"),
            unit=code.NO_UNITS,
            title="Agatston score",
            decimals=0,
        ),
        "calcium_volume_mm3": Quantity(
            concept=_dcm("122660", "Calcium Volume"), unit=code.MM3, title="calcium volume", decimals=0
        ),
        "calcium_mass_mg": Quantity(
            concept=_dcm("122661", "Calcium Mass"), unit=code.MG, title="calcium mass"
        ),
        "muscle_area_cm2": Quantity(
            concept=_own("muscle-area", "Area of Muscle on One Slice"), unit=code.CM2, title="muscle area"
        ),
        "muscle_hu": Quantity(
            concept=_own("muscle-attenuation", "Mean Attenuation of Muscle on One Slice"),
            unit=code.HOUNSFIELD_UNIT,
            title="muscle density",
            decimals=0,
        ),
        "fat_area_cm2": Quantity(
            concept=_own("fat-area", "Area of Fat on One Slice"), unit=code.CM2, title="fat area"
        ),
    }
)
