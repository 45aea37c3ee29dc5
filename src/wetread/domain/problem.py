"""What stood in the way, as a code and a sentence.

In: a code of the list below.  Out: values that pages, reports and answers show.
Never: patient names; a stop without a code.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from wetread.errors import InputError, WetreadError


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
    GRAVITY_UNKNOWN = "gravity-unknown"
    MODEL_CRASHED = "model-crashed"
    MODEL_TIMEOUT = "model-timeout"
    PEER_UNREACHABLE = "peer-unreachable"
    AWAITING_PEER = "awaiting-peer"
    PEER_TIMEOUT = "peer-timeout"
    PEER_FAILED = "peer-failed"
    # what another vendor's AI answered
    ANSWER_NOT_UNDERSTOOD = "answer-not-understood"
    ANSWER_OTHER_IMAGES = "answer-other-images"
    ANSWER_IN_PART = "answer-in-part"
    MODEL_ERROR = "model-error"
    INVALID_OUTPUT = "invalid-output"
    INVALID_PACKAGE = "invalid-package"
    INVALID_SIGNATURE = "invalid-signature"
    UNKNOWN_MODEL = "unknown-model"
    MODEL_OUT_OF_SERVICE = "model-out-of-service"
    READING_CALLED_OFF = "reading-called-off"
    # comparing with an earlier study
    PRIOR_OTHER_PATIENT = "prior-other-patient"
    PRIOR_UNDATED = "prior-undated"
    PRIOR_DIFFERS = "prior-differs"
    PRIOR_UNREADABLE = "prior-unreadable"
    PRIOR_DOES_NOT_FIT = "prior-does-not-fit"
    # a segmentation that came back
    SEGMENTATION_GEOMETRY = "segmentation-geometry"
    SEGMENTATION_OTHER_STUDY = "segmentation-other-study"
    SEGMENTATION_UNREADABLE = "segmentation-unreadable"
    SEGMENT_NOT_TAKEN = "segment-not-taken"
    # organs that others marked
    SEGMENTATION_BY_OTHERS = "segmentation-by-others"
    NOT_EVALUABLE = "not-evaluable"
    # composing and delivering
    COMPOSE_FAILED = "compose-failed"
    DELIVERY_FAILED = "delivery-failed"
    # fetching
    PACS_UNANSWERED = "pacs-unanswered"
    FETCH_FAILED = "fetch-failed"
    OTHER_PATIENT = "other-patient"
    OTHER_STUDY = "other-study"
    TOO_MANY_MATCHES = "too-many-matches"
    STUDY_DELETED = "study-deleted"
    PRIORS_MISSING = "priors-missing"
    COMMITMENT_NOT_REPORTED = "commitment-not-reported"
    NOT_COMMITTED = "not-committed"
    # keeping
    RETENTION_BLOCKED = "retention-blocked"
    # a process that shares our database
    WORKER_LOST = "worker-lost"
    AUDIT_NOT_FORWARDED = "audit-not-forwarded"
    # a bug of ours: the history holds the error's type
    INTERNAL_ERROR = "internal-error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that stood in the way."""

    code: ProblemCode
    #: A sentence: what is wrong and what to do. No patient data.
    message: str
    #: True where nothing was read because of it; False where the reading stands with this limit.
    refuses: bool = True


class RefusedImages(InputError):
    """The images cannot be read: the problems say why and what to do."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        #: All that was found; at least one refuses.
        self.problems = problems
        self.problem = next(problem for problem in problems if problem.refuses)
        super().__init__(self.problem.message)


class RefusedAnswer(InputError):
    """What another vendor's AI answered cannot be taken: the problem says why and what to do."""

    def __init__(self, code: ProblemCode, message: str) -> None:
        #: It refuses.
        self.problem = Problem(code=code, message=message)
        super().__init__(message)


def problem_from_error(error: WetreadError) -> Problem:
    """Turn an error into the problem that is shown for it."""
    if isinstance(error, RefusedImages | RefusedAnswer):
        return error.problem
    known = {code.value for code in ProblemCode}
    code = ProblemCode(error.code) if error.code in known else ProblemCode.INTERNAL_ERROR
    return Problem(code=code, message=str(error))
