"""A model as the path sees it: who it is, what it may read, with which numbers.

In: what a package's ``model.toml`` says, checked by ``registry``.  Out: frozen values.
Never: weights, code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelIdentity:
    """Which model it was, exactly."""

    name: str
    version: str
    #: sha256 over the package's files.
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Eligibility:
    """What a model may read (its intended use as numbers)."""

    modalities: tuple[str, ...]
    #: Only these orientations of the planes: ``axial``, ``coronal``, ``sagittal``.
    orientations: tuple[str, ...] = ("axial",)
    minimum_slices: int = 1
    maximum_slice_spacing_mm: float = 10.0
    maximum_slice_thickness_mm: float = 10.0
    minimum_extent_mm: float = 0.0
    minimum_age_years: float = 0.0
    maximum_age_years: float = 200.0
    allows_contrast_agent: bool = True
    #: Modality values (HU) that must lie inside; most of the pixels of a good image do.
    pixel_range: tuple[float, float] = (-32768.0, 32767.0)
    #: Text parts of ConvolutionKernel, most wanted first; a series whose kernel has none of
    #: them stands behind those that do.
    preferred_kernels: tuple[str, ...] = ()
    #: Thickness, mm, that the model was made for; the nearest series wins.
    preferred_slice_spacing_mm: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """How a model runs."""

    #: ``python`` (entry point) in this version.
    kind: str
    #: ``module:function`` for ``python``.
    entry: str
    timeout_s: float = 600.0
    memory_mb: int = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A registered model."""

    identity: ModelIdentity
    title: str
    intended_use: str
    #: ``draft | validated | shadow | live | retired``.
    state: str
    eligibility: Eligibility
    runtime: Runtime
    #: Name of the operating point in ``parameters``.
    operating_point: str
    #: Numbers of the operating point and of the triage, by name.
    parameters: Mapping[str, float] = field(default_factory=dict)
    #: Folder of the package; a reader of its own is imported from there. ``""``: built in.
    folder: str = ""
    #: Title -> text: data, licence, limits.
    card: Mapping[str, str] = field(default_factory=dict)
