"""The eligibility guard: may this model read this series?

In: a series' headers, what a model may read.  Out: a verdict with every reason.
Never: pixels (``imaging.guard``), a series passed because an attribute that matters is missing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from statistics import median

from wetread.dicom.planes import Plane, image_type, is_localizer, read_planes
from wetread.dicom.stack import Stack, build_stack
from wetread.domain.model import Eligibility
from wetread.domain.problem import Problem, ProblemCode
from wetread.domain.study import Header, Series, header_text
from wetread.match.condition import age_years

# Thickness and spacing as written may exceed a limit by rounding.
_ROUNDING = 1.01
# Values of Image Type that mark pictures made from slices (PS3.3 C.8.16.1, and what vendors write).
_PROJECTIONS = ("MIP", "MINIP", "MAX_IP", "MIN_IP", "PROJECTION IMAGE", "VOLREN", "VRT", "VOLUME RENDERING",
                "SCREEN SAVE", "POSDISP", "BATCHDISPLAY", "PERFUSION")  # fmt: skip
_NO_AGENT = frozenset({"", "NO", "NONE", "N", "WITHOUT"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesVerdict:
    """Whether a model may read a series, and what decides between several."""

    series_instance_uid: str
    #: For people, e.g. ``"2: CT (98 images)"``; without the series' description, into which somebody may
    #: have typed a name.
    description: str
    problems: tuple[Problem, ...] = ()
    slice_count: int = 0
    #: NaN where there is no stack.
    spacing_mm: float = math.nan
    extent_mm: float = math.nan
    kernel: str = ""

    @property
    def is_suitable(self) -> bool:
        """True where no problem refuses."""
        return not any(problem.refuses for problem in self.problems)


def check_series(series: Series, eligibility: Eligibility) -> SeriesVerdict:
    """Hold a series against a model's intended use.

    Returns
    -------
    SeriesVerdict
        Problems in the order in which a person would ask: what kind of images, where they lie, how
        many, of whom. What makes a later question meaningless ends the list.
    """
    planes, stack, problems = _judge(series, eligibility)
    return SeriesVerdict(
        series_instance_uid=series.series_instance_uid,
        description=_describe(series),
        problems=problems,
        slice_count=len(planes),
        spacing_mm=stack.step_mm if stack else math.nan,
        extent_mm=stack.extent_mm if stack else math.nan,
        kernel=_kernel(series.header),
    )


def _judge(
    series: Series, eligibility: Eligibility
) -> tuple[tuple[Plane, ...], Stack | None, tuple[Problem, ...]]:
    kind = tuple(_check_kind(series, eligibility))
    if kind:
        return (), None, kind
    planes, problems = read_planes(series)
    if not planes or any(problem.refuses for problem in problems):
        return planes, None, (*problems, *_check_patient(series.header, eligibility))
    stack = build_stack(planes)
    problems = (
        *problems,
        *_check_orientation(stack, eligibility),
        *stack.problems,
        *_check_coverage(stack, eligibility),
        *_check_rescale(planes),
        *_note_kernel(series.header, eligibility),
        *_check_patient(series.header, eligibility),
    )
    return planes, stack, problems


def _problem(code: ProblemCode, message: str) -> Problem:
    return Problem(code=code, message=message)


def _check_kind(series: Series, eligibility: Eligibility) -> Iterator[Problem]:
    modality = series.modality
    if modality not in eligibility.modalities:
        wanted = " or ".join(eligibility.modalities)
        yield _problem(ProblemCode.WRONG_MODALITY, f"The modality is {modality or 'missing'}, not {wanted}.")
        return
    if all(is_localizer(instance) for instance in series.instances):
        yield _problem(ProblemCode.LOCALIZER, "These are localizers, not slices of the body.")
        return
    derived = next((mark for one in series.instances if (mark := _derived_mark(one.header))), "")
    if derived:
        yield _problem(
            ProblemCode.DERIVED_IMAGE,
            f"Image Type says {derived}: these were made from other images; the original slices are needed.",
        )


def _derived_mark(header: Header) -> str:
    """Return what marks the image as made from others; ``""`` for slices as reconstructed."""
    values = image_type(header)
    if values[:2] == ("DERIVED", "SECONDARY"):
        return "\\".join(values[:4])
    return next((value for value in values if value in _PROJECTIONS), "")


def _check_orientation(stack: Stack, eligibility: Eligibility) -> Iterator[Problem]:
    orientation = stack.planes[0].orientation
    if any(problem.code is ProblemCode.MIXED_ORIENTATIONS for problem in stack.problems):
        return
    if orientation not in eligibility.orientations:
        wanted = " or ".join(eligibility.orientations)
        yield _problem(ProblemCode.NOT_AXIAL, f"The slices are {orientation}, {wanted} ones are needed.")


def _check_coverage(stack: Stack, eligibility: Eligibility) -> Iterator[Problem]:
    count = len(stack.planes)
    if count < eligibility.minimum_slices:
        yield _problem(
            ProblemCode.TOO_FEW_SLICES,
            f"The series has {count} slice(s), at least {eligibility.minimum_slices} are needed:"
            " send the whole series.",
        )
    elif stack.extent_mm < eligibility.minimum_extent_mm:
        yield _problem(
            ProblemCode.TOO_FEW_SLICES,
            f"The slices cover {stack.extent_mm:.0f} mm, at least {eligibility.minimum_extent_mm:.0f} mm"
            " are needed: send the whole series.",
        )
    yield from _check_thickness(stack, eligibility)


def _check_thickness(stack: Stack, eligibility: Eligibility) -> Iterator[Problem]:
    written = [plane.slice_thickness_mm for plane in stack.planes if plane.slice_thickness_mm > 0]
    thickness = median(written) if written else math.nan
    measures = (
        ("thick", thickness, eligibility.maximum_slice_thickness_mm),
        ("apart", stack.step_mm, eligibility.maximum_slice_spacing_mm),
    )
    for word, value, limit in measures:
        if value > limit * _ROUNDING:
            yield _problem(
                ProblemCode.SLICES_TOO_THICK,
                f"The slices are {value:.2f} mm {word}, at most {limit:g} mm can be read:"
                " send a thinner reconstruction.",
            )
            return


def _check_rescale(planes: tuple[Plane, ...]) -> Iterator[Problem]:
    is_ct = header_text(planes[0].instance.header, "Modality") == "CT"
    missing = sum(plane.rescale is None for plane in planes)
    if is_ct and missing:
        yield _problem(
            ProblemCode.MISSING_RESCALE,
            f"Rescale Slope or Intercept is missing or no number in {missing} of {len(planes)} images,"
            " so that they cannot be read as Hounsfield units: send the original CT images.",
        )


def _note_kernel(header: Header, eligibility: Eligibility) -> Iterator[Problem]:
    kernel, wanted = _kernel(header), eligibility.preferred_kernels
    if kernel and wanted and not any(one.casefold() in kernel.casefold() for one in wanted):
        message = f"The kernel {kernel} is none that the model wants: a series with another goes first."
        yield Problem(code=ProblemCode.UNSUITABLE_KERNEL, message=message, refuses=False)


def _check_patient(header: Header, eligibility: Eligibility) -> Iterator[Problem]:
    age = patient_age_years(header)
    if age is not None and not eligibility.minimum_age_years <= age <= eligibility.maximum_age_years:
        yield _problem(
            ProblemCode.AGE_OUT_OF_RANGE,
            "The patient's age is outside what the model was made for"
            f" ({eligibility.minimum_age_years:g} to {eligibility.maximum_age_years:g} years).",
        )
    agent = header_text(header, "ContrastBolusAgent").strip().upper()
    if agent not in _NO_AGENT and not eligibility.allows_contrast_agent:
        yield _problem(
            ProblemCode.CONTRAST_AGENT, "A contrast agent was given; the model reads images without."
        )


def patient_age_years(header: Header) -> float | None:
    """Return Patient's Age, else study date less birth date; None where neither is there."""
    age = age_years(header_text(header, "PatientAge"))
    if age is not None:
        return age
    birth, study = (_date(header_text(header, name)) for name in ("PatientBirthDate", "StudyDate"))
    return (study - birth).days / 365.2425 if birth and study and study >= birth else None


def _date(text: str) -> date | None:
    if len(text) != 8 or not text.isdigit():
        return None
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        return None


def _kernel(header: Header) -> str:
    return header_text(header, "ConvolutionKernel") or header_text(
        header, "SharedFunctionalGroupsSequence.ConvolutionKernel"
    )


def _describe(series: Series) -> str:
    number = header_text(series.header, "SeriesNumber") or "?"
    title = series.modality or "no modality"
    count = len(series.instances)
    return f"{number}: {title} ({count} image{'' if count == 1 else 's'})"
