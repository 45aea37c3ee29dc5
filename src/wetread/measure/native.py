"""How a CT was taken, as far as it decides what may be said of densities.

In: what headers say, the density of the aorta.  Out: with contrast agent, without, or not known.
Never: "without" because nothing is said: many scanners leave the attribute out.

Blood without contrast agent has 30 to 60 HU; from about 90 HU on, in the aorta, there is some.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from wetread.domain.study import Series, header_text

#: What Contrast/Bolus Agent (0018,0010) says where there was none.
NO_AGENT = frozenset({"NO", "NONE", "N", "WITHOUT"})


class Phase(StrEnum):
    """Whether there was contrast agent in the vessels."""

    NATIVE = "native"
    CONTRAST = "contrast"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Acquisition:
    """What headers say; NaN and ``""``: nothing."""

    #: Contrast/Bolus Agent (0018,0010); ``""``: absent or empty.
    agent: str = ""
    #: KVP (0018,0060).
    kvp: float = math.nan
    #: Slice Thickness (0018,0050).
    thickness_mm: float = math.nan


def read_acquisition(series: Series) -> Acquisition:
    """Return what the headers of a series say; of numbers only what all its images say alike."""
    headers = [one.header for one in series.instances]
    agents = [text for header in headers if (text := header_text(header, "ContrastBolusAgent").strip())]
    # One image with an agent is enough, whatever the others say.
    named = [text for text in agents if text.upper() not in NO_AGENT]
    thickness = {
        header_text(header, "SliceThickness")
        or header_text(header, "SharedFunctionalGroupsSequence.SliceThickness")
        for header in headers
    }
    return Acquisition(
        agent=next(iter(named or agents), "")[:64],
        kvp=_number({header_text(header, "KVP") for header in headers}),
        thickness_mm=_number(thickness),
    )


def _number(texts: set[str]) -> float:
    """Return the one positive number that is said, NaN where there is none or there are several."""
    try:
        numbers = {float(text) for text in texts}
    except ValueError:
        return math.nan
    alone = numbers.pop() if len(numbers) == 1 else math.nan
    return alone if math.isfinite(alone) and alone > 0 else math.nan


def find_phase(
    acquisition: Acquisition, aorta_hu: float | None, *, native_most_hu: float, contrast_least_hu: float
) -> tuple[Phase, str]:
    """Return the phase and, in words, what it was taken from.

    Parameters
    ----------
    aorta_hu
        Mean inside of the aorta; None: it is not marked. It decides against a header that says "none".
    native_most_hu, contrast_least_hu
        Between the two nothing is known.
    """
    said = acquisition.agent.strip().upper()
    if said and said not in NO_AGENT:
        return Phase.CONTRAST, "the header names a contrast agent"
    if aorta_hu is not None and aorta_hu >= contrast_least_hu:
        return Phase.CONTRAST, f"the aorta has {aorta_hu:.0f} HU, as with contrast agent"
    if said:
        return Phase.NATIVE, "the header says that no contrast agent was given"
    if aorta_hu is None:
        return (
            Phase.UNKNOWN,
            "the header does not say whether contrast agent was given, and no aorta is marked",
        )
    if aorta_hu <= native_most_hu:
        return Phase.NATIVE, f"the aorta has {aorta_hu:.0f} HU, as without contrast agent"
    return (
        Phase.UNKNOWN,
        f"the header does not say whether contrast agent was given, and {aorta_hu:.0f} HU in the aorta do not"
        " tell",
    )
