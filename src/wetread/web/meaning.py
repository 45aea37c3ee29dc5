"""Help in place: what the numbers of a Reading mean, how sure they are, what its model is not for.

In: a Reading, the model that stands.  Out: titles with sentences.
Never: a number without its sentence; the limits of another version than the one that read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from wetread.domain.measurement import MEASUREMENTS
from wetread.domain.model import Model
from wetread.domain.reading import Reading

_SIZE = (
    "Another scan gives another value, most so of what is small, faint or attached."
    " A change says how far it may be chance."
)
_AXES = "Two readers who measure by hand differ, too."
_DENSITY = "Contrast agent, tube voltage and kernel change it."
_LUNG = "A scan in less than full breath, thick slices and sharp kernels change it."
_OWN_SCALE = "An estimate on a scale of its own: compare it within a patient, not with a table."

#: What is measured, and how sure that is; names of ``domain.measurement.MEASUREMENTS``.
MEANINGS: Mapping[str, str] = MappingProxyType(
    {
        "volume_mm3": f"What lies inside of the outline, voxels on its edge by their share. {_SIZE}",
        "volume_ml": f"What lies inside of the outline, voxels on its edge by their share. {_SIZE}",
        "long_axis_mm": f"Greatest extent on the axial slice where it is largest. {_AXES}",
        "short_axis_mm": f"Greatest extent at a right angle to the long axis, on the same slice. {_AXES}",
        "mean_diameter_mm": "Mean of long and short axis: what Lung-RADS and Fleischner ask for.",
        "greatest_long_axis_mm": f"Greatest extent in the plane, of any tilt, where it is largest. {_AXES}",
        "greatest_short_axis_mm": f"Greatest extent at a right angle to that. {_AXES}",
        "greatest_mean_diameter_mm": "Mean of both axes in the plane of any tilt where it is largest.",
        "area_mm2": f"Area on one axial slice. {_SIZE}",
        "mean_hu": f"Mean density inside of the outline, of organs without its edge. {_DENSITY}",
        "distance_to_pleura_mm": "From its surface to the nearest edge of the lung.",
        "pleural_contact_percent": f"Share of its surface that lies on the edge of the lung. {_OWN_SCALE}",
        "vessel_contact_percent": f"Share of its surface on vessels or other dense tissue. {_OWN_SCALE}",
        "spiculated_percent": f"Share of its free surface from which thin strands go out. {_OWN_SCALE}",
        "solid_volume_mm3": f"The dense part of a part-solid nodule. {_SIZE}",
        "solid_mean_diameter_mm": "Mean of long and short axis of the dense part, where that is largest.",
        "lung_height_percent": "0 at the base of its lung, 100 at the apex. Lobes are not told apart.",
        "finding_probability_percent": (
            "What the model puts on the finding that it looks for, not how often that is true here:"
            " validation on your own studies tells."
        ),
        "lung_volume_ml": "Volume of the lung as it is outlined, at the breath of this scan.",
        "laa950_percent": f"Share of the lung below -950 HU: emphysema, and air that was trapped. {_LUNG}",
        "laa_cluster_slope": f"How the sizes of those clusters spread: flatter with more large ones. {_LUNG}",
        "laa_largest_cluster_ml": f"The largest connected part below -950 HU. {_LUNG}",
        "perc15_hu": f"15 % of the lung are less dense than this. {_LUNG}",
        "median_hu": f"Half of what lies inside of the outline is denser. {_DENSITY}",
        "spread_hu": "Standard deviation of the density inside of the outline: noise is in it.",
        "liver_spleen_difference_hu": (
            "Density of the liver less that of the spleen: without contrast agent fat makes it negative."
        ),
        "agatston_score": (
            "Calcium from 130 HU on, weighed by its peak density; defined at 120 kV, slices of 2.5 to 3 mm,"
            " without contrast agent. A repeated scan gives another score."
        ),
        "calcium_volume_mm3": "Volume from 130 HU on. Small calcifications look larger than they are.",
        "calcium_mass_mg": "Needs the calibration of your scanner by a phantom.",
        "muscle_area_cm2": "Muscle on the middle slice of the third lumbar vertebra.",
        "muscle_hu": f"Its mean density: fat makes it lower. {_DENSITY}",
        "fat_area_cm2": "Fat on the middle slice of the third lumbar vertebra.",
    }
)
PROBABILITY = (
    "What the model puts on its finding; from its operating point on it is shown."
    " It is not how often such findings are true here: validation on your own studies tells."
)
_WORDS = ("status", "limits", "not for", "data")


@dataclass(frozen=True, slots=True)
class Meaning:
    """What stands beside the findings of a Reading, when asked for."""

    #: Title of a number, what it means and how sure it is.
    numbers: tuple[tuple[str, str], ...] = ()
    #: Heading, text: what its model is for and what not.
    model: tuple[tuple[str, str], ...] = ()


def explain(reading: Reading, model: Model | None) -> Meaning:
    """Return the help for what a Reading holds.

    Parameters
    ----------
    model
        The version that stands under the Reading's name; None: none does.
    """
    measured = [one.measurements for one in reading.findings]
    measured += [one.measurements for one in reading.regions]
    names = dict.fromkeys(name for one in [*measured, reading.measurements] for name in one)
    # A volume is a volume, in whatever it is counted.
    numbers = {MEASUREMENTS[name].title: MEANINGS[name] for name in names}
    if any(one.probability is not None for one in reading.findings):
        numbers["probability"] = PROBABILITY
    return Meaning(numbers=tuple(numbers.items()), model=_of_model(reading, model))


def _of_model(reading: Reading, model: Model | None) -> tuple[tuple[str, str], ...]:
    if model is None or model.identity.digest != reading.model.digest:
        told = "Another version than the one that stands now read this study. Not for clinical use."
        return (("This version", told),)
    said = [("Intended use", model.intended_use)]
    said += [(title.capitalize(), text) for title, text in model.card.items() if title in _WORDS]
    return tuple((title, " ".join(text.split())) for title, text in said)
