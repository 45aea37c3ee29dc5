"""What stood in the way, as a code and a sentence.

In: a code of the list below.  Out: values that pages, reports and answers show.
Never: patient names; a stop without a code.
"""

from __future__ import annotations

from enum import StrEnum


class ProblemCode(StrEnum):
    """Every reason for which a study is not, or not fully, read. docs/reference/problems.md explains each."""

    # what arrived
    UNREADABLE_INSTANCE = "unreadable-instance"
    MISSING_ATTRIBUTE = "missing-attribute"
    CONTENT_CONFLICT = "content-conflict"
    ASSOCIATION_REFUSED = "association-refused"
    ASSOCIATION_BROKEN = "association-broken"
    UNREADABLE_MESSAGE = "unreadable-message"
    IMAGES_MISSING = "images-missing"
    STORAGE_ERROR = "storage-error"
    # the index knows an instance whose file is gone
    FILE_MISSING = "file-missing"
    FILE_DAMAGED = "file-damaged"
    MIXED_PATIENTS = "mixed-patients"
    # which images
    WRONG_MODALITY = "wrong-modality"
    LOCALIZER = "localizer"
    DERIVED_IMAGE = "derived-image"
    NOT_AXIAL = "not-axial"
    TOO_FEW_SLICES = "too-few-slices"
    SLICES_TOO_THICK = "slices-too-thick"
    UNSUITABLE_KERNEL = "unsuitable-kernel"
    RULE_NOT_MET = "rule-not-met"
    NO_SUITABLE_SERIES = "no-suitable-series"
    NO_RULE_APPLIES = "no-rule-applies"
    # geometry
    MISSING_GEOMETRY = "missing-geometry"
    INVALID_GEOMETRY = "invalid-geometry"
    MIXED_ORIENTATIONS = "mixed-orientations"
    SLICE_GAP = "slice-gap"
    DUPLICATE_POSITIONS = "duplicate-positions"
    MIXED_IMAGE_SIZES = "mixed-image-sizes"
    # pixels
    MISSING_PIXELS = "missing-pixels"
    UNDECODABLE_PIXELS = "undecodable-pixels"
    MISSING_RESCALE = "missing-rescale"
    PIXEL_RANGE = "pixel-range"
    NAN_PIXELS = "nan-pixels"
    # patient and protocol
    AGE_OUT_OF_RANGE = "age-out-of-range"
    CONTRAST_AGENT = "contrast-agent"
    # reading
    NO_LUNGS_FOUND = "no-lungs-found"
    LUNGS_CUT_OFF = "lungs-cut-off"
    TOO_MANY_CANDIDATES = "too-many-candidates"
    MODEL_CRASHED = "model-crashed"
    MODEL_TIMEOUT = "model-timeout"
    MODEL_ERROR = "model-error"
    INVALID_OUTPUT = "invalid-output"
    INVALID_PACKAGE = "invalid-package"
    INVALID_SIGNATURE = "invalid-signature"
    UNKNOWN_MODEL = "unknown-model"
    # composing and delivering
    COMPOSE_FAILED = "compose-failed"
    DELIVERY_FAILED = "delivery-failed"
    COMMITMENT_NOT_REPORTED = "commitment-not-reported"
    NOT_COMMITTED = "not-committed"
