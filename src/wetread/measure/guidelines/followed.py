"""What guidelines are asked with, from a Reading.

In: a Reading with its nodules and their past.  Out: the JSON of ``exam.read_exam``.
Never: what nobody measured or knows: context, risk and features are for the reader to add.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from wetread.domain import code
from wetread.domain.code import Code
from wetread.domain.finding import Finding
from wetread.domain.reading import Reading

_TYPES: tuple[tuple[Code, str], ...] = (
    (code.SOLID, "solid"),
    (code.PART_SOLID, "part-solid"),
    (code.GROUND_GLASS, "ground-glass"),
)
_SIZES = ("mean_diameter_mm", "volume_mm3")


def describe_exam(reading: Reading, day: date) -> Mapping[str, Any]:
    """Return the exam that a Reading is.

    Growth is left to the guideline, which derives it from ``history`` by its own rule.

    Parameters
    ----------
    day
        Study Date.
    """
    names = zip(reading.finding_names, reading.findings, strict=True)
    return {
        "exam": {
            "date": day.isoformat(),
            "kind": "baseline" if reading.comparison is None else "follow-up",
        },
        "nodules": [_nodule(name, one, day) for name, one in names if one.code == code.NODULE],
    }


def _nodule(name: str, finding: Finding, day: date) -> Mapping[str, Any]:
    kind = next((word for texture, word in _TYPES if finding.texture == texture), "solid")
    sizes = {key: round(finding.measurements[key], 1) for key in _SIZES if key in finding.measurements}
    solid = finding.measurements.get("solid_mean_diameter_mm")
    if kind == "part-solid" and solid is not None:
        # Measured on another plane it may be longer than the nodule is here; it lies inside of it.
        most = finding.measurements.get("mean_diameter_mm", solid)
        sizes["solid_mean_diameter_mm"] = round(min(solid, most), 1)
    longest = finding.measurements.get("greatest_long_axis_mm")
    past = [
        {
            "date": one.studied_on,
            "mean_diameter_mm": round(one.mean_diameter_mm, 1),
            "volume_mm3": round(one.volume_mm3, 1),
        }
        for one in (finding.prior.history if finding.prior else ())
        # A guideline counts days between exams: another scan of the same day is no earlier exam.
        if one.studied_on and date.fromisoformat(one.studied_on) < day
    ]
    return {
        "id": name,
        "type": kind,
        **sizes,
        **({"longest_diameter_mm": round(longest, 1)} if longest is not None else {}),
        "history": past,
    }
