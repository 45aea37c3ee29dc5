"""A model as the path sees it: who it is, what it may read, with which numbers.

In: what a package's ``model.toml`` says, checked by ``registry``.  Out: frozen values.
Never: weights, code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

#: States in which what a model says is shown and delivered. ``validated`` waits for its promotion; ``shadow``
#: reads too, for a comparison only (``steps.shadowing``).
READING_STATES = frozenset({"live"})


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

    #: ``python`` (entry point), ``onnx``, ``openvino``, ``kserve`` (a server), ``container`` or
    #: ``dicom-peer`` (another vendor's AI).
    kind: str
    #: ``module:function`` that reads a series, for ``python``.
    entry: str = ""
    #: ``module:function`` that judges one image, for ``python`` (``infer.predict``).
    sample_entry: str = ""
    #: Whether the reader of series gets the patient's earlier study as well (``infer.prior``).
    compares: bool = False
    #: Whether it measures what Segmentations by others mark, and is asked by them (``infer.organs``).
    measures: bool = False
    #: Weights, a file of the package.
    file: str = ""
    #: How a network wants its image: ``planes`` (each for itself), ``slab`` (each with its neighbours as
    #: channels) or ``volume``.
    arrangement: str = "planes"
    #: Neighbours on each side in a ``slab``.
    reach: int = 0
    #: (planes, rows, columns) of the tiles that an image goes through in, one after the other; (): whole. Of
    #: planes and slabs only rows and columns count.
    window: tuple[int, ...] = ()
    #: Share of a tile that its neighbour sees too.
    overlap: float = 0.25
    #: Where tiles overlap: ``gaussian`` (each counts less towards its edges) or ``constant`` (their mean).
    blend: str = "gaussian"
    #: What lies around an image that is smaller than a tile: ``zero``, or its own ``edge``.
    padding: str = "zero"
    #: Where the axes of a ``volume`` tensor point to (L or R, P or A, S or I), for a reader of series; what
    #: it gets is planes up, rows back, columns left. The recipe sees planes, rows, columns that point there.
    axes: str = "SPL"
    #: What makes numbers of the network probabilities: ``none``, ``sigmoid`` or ``softmax`` (over channels).
    activation: str = "none"
    #: Where a ``kserve`` server is, what the model is called there, which version of it (``""``: its choice).
    url: str = ""
    remote_model: str = ""
    remote_version: str = ""
    #: Whether voxels may go to another machine without TLS.
    allows_plain_http: bool = False
    #: Of a ``dicom-peer``: ``AET@HOST:PORT`` that gets the series, by TLS or not, and the AE title that its
    #: Segmentation comes from; ``""``: the same.
    peer: str = ""
    tls: bool = False
    answers_from: str = ""
    #: Of a ``container``, pinned by ``@sha256:``; what runs it; the cores that it gets.
    image: str = ""
    engine: str = "docker"
    cpus: float = 2.0
    timeout_s: float = 600.0
    memory_mb: int = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What a model answers."""

    #: ``classification | segmentation | detection | regression``.
    kind: str
    #: In the order of the network's probabilities; of a segmentation its channels.
    classes: tuple[str, ...] = ()
    #: The class that is looked for.
    positive: str = ""
    #: From this probability on it is positive; a voxel is part of what is looked for.
    threshold: float = 0.5
    #: From this probability on a marked part is a finding; below ``threshold`` there is none. Of an operating
    #: point: packages do not set it.
    part_threshold: float = 0.0
    #: Whether the classes are grades, from the least to the most.
    ordered: bool = False
    #: Which voxels of a segmentation are marked: by ``threshold``, or where its channel is the ``highest``.
    decision: str = "threshold"


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """What a reading calls what the network answers, for packages without a reader of their own."""

    #: For people, e.g. ``"lung nodule"``.
    label: str
    #: PS3.3 section 8: Code Value, Coding Scheme Designator, Code Meaning.
    code: str
    scheme: str
    meaning: str
    #: Channel of a segmentation's answer that marks it.
    channel: int = 0
    #: Outputs of a detection's network that hold boxes and their scores (``infer.boxes``); ``""``: it answers
    #: with a map.
    boxes: str = ""
    scores: str = ""
    #: What kind of thing is marked: ``abnormality``, or ``anatomy`` (an organ).
    category: str = "abnormality"
    #: Of a study in which it is found: ``stat | urgent | routine``.
    priority: str = "routine"
    #: Marked parts that are smaller count for nothing.
    least_volume_mm3: float = 0.0
    #: More marked parts than this are no result but a fault.
    most_findings: int = 50
    #: Of a regression: its name in ``domain.measurement.MEASUREMENTS``.
    measurement: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A registered model."""

    identity: ModelIdentity
    title: str
    intended_use: str
    #: ``domain.lifecycle.ModelState``: as its package says, or as ``registry.lineup`` knows.
    state: str
    eligibility: Eligibility
    runtime: Runtime
    task: Task | None = None
    output: Output | None = None
    #: Steps of ``imaging.recipe``, as its table has them.
    recipe: tuple[Mapping[str, Any], ...] = ()
    #: Metric -> least value of the lower end of its interval that validation must reach.
    acceptance: Mapping[str, float] = field(default_factory=dict)
    #: Name of the operating point in ``parameters``.
    operating_point: str
    #: Numbers of the operating point and of the triage, by name.
    parameters: Mapping[str, float] = field(default_factory=dict)
    #: Folder of the package; a reader of its own is imported from there. ``""``: built in.
    folder: str = ""
    #: Title -> text: data, licence, limits.
    card: Mapping[str, str] = field(default_factory=dict)
    #: Why it reads nothing now although it is registered, a sentence; ``""``: nothing holds it back.
    withheld: str = ""

    @property
    def may_read(self) -> bool:
        """Whether its state lets it read studies."""
        return self.state in READING_STATES
