"""What pyradiomics measures otherwise, and why.

In: nothing.  Out: ``DIFFERENCES``: the test that compares, and the page that tells, go by it.
Never: a tolerance made wide so that a feature agrees.
"""

from __future__ import annotations

from dataclasses import dataclass

#: All other features agree within this share of the value.
AGREEMENT = 1e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A feature of ours that pyradiomics has, but defines otherwise."""

    #: In ``FEATURES``.
    ours: str
    #: In pyradiomics: family and name.
    theirs: str
    why: str
    #: How much it may be off nevertheless, as a share of the value; None: the two are not compared.
    within: float | None = None


_MESH = (
    "IBSI leaves open how the loops of the surface become triangles. Pyradiomics looks it up in a table; here"
    " most is left to the side on which fewer corners of a cell lie."
)
_SAMPLE = (
    "Pyradiomics divides the covariance by the voxels, here (as in IBSI's values of the phantom) by one less:"
    " theirs times sqrt(n / (n - 1))."
)
_ALONE = "Of one grey level this is 0 / 0: undefined here, {} there."

DIFFERENCES = (
    Difference(
        ours="first_order_excess_kurtosis",
        theirs="firstorder_Kurtosis",
        why="IBSI subtracts 3, so that a normal distribution has 0; pyradiomics does not.",
    ),
    Difference(ours="shape_volume_mesh", theirs="shape_MeshVolume", why=_MESH, within=0.0005),
    Difference(ours="shape_surface_area", theirs="shape_SurfaceArea", why=_MESH, within=0.005),
    Difference(
        ours="shape_surface_to_volume_ratio", theirs="shape_SurfaceVolumeRatio", why=_MESH, within=0.005
    ),
    Difference(ours="shape_sphericity", theirs="shape_Sphericity", why=_MESH, within=0.005),
    Difference(ours="shape_major_axis_length", theirs="shape_MajorAxisLength", why=_SAMPLE, within=0.004),
    Difference(ours="shape_minor_axis_length", theirs="shape_MinorAxisLength", why=_SAMPLE, within=0.004),
    Difference(ours="shape_least_axis_length", theirs="shape_LeastAxisLength", why=_SAMPLE, within=0.004),
    Difference(ours="glcm_correlation", theirs="glcm_Correlation", why=_ALONE.format("1"), within=AGREEMENT),
    Difference(
        ours="glcm_information_correlation_1", theirs="glcm_Imc1", why=_ALONE.format("0"), within=AGREEMENT
    ),
)

#: What pyradiomics does to image and levels before it measures, that is not IBSI's default.
PREPARATION = (
    "Bins of a width: pyradiomics puts their edges at multiples of the width, IBSI the first at the region's"
    " minimum. `lowest` set to the multiple below the minimum gives theirs.",
    "`voxelArrayShift` (2000 in the oldest rows of the baseline) is added to each value before energy and"
    " root mean square: these are compared where it is 0.",
    "Averaging directions is pyradiomics' default, merging them its `weightingNorm: no_weighting`.",
)

#: Features of pyradiomics that IBSI does not define; they are not measured.
NOT_IBSI = (
    *("firstorder_TotalEnergy", "glcm_MCC"),
    *("shape_Maximum2DDiameterSlice", "shape_Maximum2DDiameterColumn", "shape_Maximum2DDiameterRow"),
)
