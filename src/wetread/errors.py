"""One tree of errors, rooted by who must act.

In: facts as keyword arguments.  Out: a sentence that says what to do.  Never: patient names.

::

    WetreadError
    ├─ InputError            the sender of the images
    │  ├─ UnreadableInstance, MissingAttribute, NoPixels, UndecodablePixels, GeometryError
    │  ├─ ContentConflict, StudyDeleted
    │  ├─ InvalidExam         whoever measured: what a guideline is asked with
    │  └─ InvalidSamples     whoever labelled the images
    │     └─ LabelsDoNotFit, EmptyClass, NotFinite, PatientInTwoSplits
    ├─ ModelError            whoever answers for the model
    │  ├─ InvalidPackage > InvalidSignature
    │  ├─ ModelCrashed, ModelTimeout, ModelInterrupted, InvalidOutput
    │  ├─ InvalidCheckpoint, TrainingDiverged, ParityLost
    │  └─ StateRefused > NoGate, GateNotPassed, WrongReport, NoCurve
    ├─ PeerError             the other system (PACS, RIS)
    │  ├─ PeerUnreachable, PeerNotTrusted, AssociationRejected
    │  ├─ NotAcknowledged, NotFoundAtPeer, NotCommitted
    │  └─ QueryRefused, TooManyMatches, RetrieveRefused
    ├─ ConfigError           our operator
    │  └─ InvalidRule, InvalidPlan, UnknownModel, UnsafeBinding
    ├─ AccessError           whoever asks
    │  ├─ SignInRefused, TooManyTries, WeakPassword, ProviderRefused
    │  ├─ InvalidQuery, QueryNotAllowed, NotAcceptable, NotNow
    │  └─ NotHeld > NoSuchFrame
    └─ StorageError          our operator: disk, permissions
       └─ DamagedFile, IndexUnavailable
"""

from __future__ import annotations

import inspect
from typing import ClassVar


class WetreadError(Exception):
    """Something stopped."""

    code: ClassVar[str] = "error"

    def __init__(self, message: str | None = None, **facts: object) -> None:
        self.facts = facts
        self.message = message or inspect.cleandoc(type(self).__doc__ or "")
        super().__init__(self.message)

    def __str__(self) -> str:
        """Return the sentence followed by the facts."""
        facts = ", ".join(f"{name}={value}" for name, value in self.facts.items())
        return f"{self.message} ({facts})" if facts else self.message


class InputError(WetreadError):
    """The images cannot be used as they are: send them again, corrected."""

    code = "input-error"


class UnreadableInstance(InputError):
    """Not a readable DICOM object: check the file and send it again."""

    code = "unreadable-instance"


class MissingAttribute(InputError):
    """A required attribute is missing: the sender must fill it in."""

    code = "missing-attribute"


class NoPixels(InputError):
    """The object holds no pixel data: it has no frames and no picture."""

    code = "missing-pixels"


class UndecodablePixels(InputError):
    """The pixel data cannot be decoded or shown: send it again, uncompressed."""

    code = "undecodable-pixels"


class GeometryError(InputError):
    """The slices do not make one volume: check positions and orientations of the series."""

    code = "invalid-geometry"


class ContentConflict(InputError):
    """Another object with this SOP Instance UID is already stored: it was kept aside, compare the two."""

    code = "content-conflict"


class StudyDeleted(InputError):
    """The study was deleted here: send it again if it must be read."""

    code = "study-deleted"


class InvalidExam(InputError):
    """What a guideline is asked with is incomplete or contradicts itself: correct the named field."""

    code = "invalid-exam"


class InvalidSamples(InputError):
    """The labelled images cannot be used as they are: correct the file or folder."""

    code = "invalid-samples"


class LabelsDoNotFit(InvalidSamples):
    """Images and labels do not fit each other: there must be one label, or one mask, for each image."""

    code = "labels-do-not-fit"


class EmptyClass(InvalidSamples):
    """A class has no image: nothing can be said about it, add some or leave the class out."""

    code = "empty-class"


class NotFinite(InvalidSamples):
    """There are values that are no numbers (NaN or infinite): correct the images or labels."""

    code = "not-finite"


class PatientInTwoSplits(InvalidSamples):
    """A patient stands on both sides of a split, so scores would be too good: split by patient."""

    code = "patient-in-two-splits"


class ModelError(WetreadError):
    """The model did not give a reading: whoever answers for it must look."""

    code = "model-error"


class InvalidPackage(ModelError):
    """The model package is not valid: correct it and add it again."""

    code = "invalid-package"


class InvalidSignature(InvalidPackage):
    """The package is not what its signature vouches for: get it again from whoever made it."""

    code = "invalid-signature"


class ModelCrashed(ModelError):
    """The model's process ended without a reading: see the study's history, then its package."""

    code = "model-crashed"


class ModelTimeout(ModelError):
    """The model took longer than its limit: raise timeout_s in its package or use a faster machine."""

    code = "model-timeout"


class ModelInterrupted(ModelError):
    """The model's process was told to end: the study is read again by itself."""

    code = "model-interrupted"


class InvalidOutput(ModelError):
    """The model answered something that cannot be a reading: take it out of service."""

    code = "invalid-output"


class InvalidCheckpoint(ModelError):
    """Not weights that can be used: they must be plain tensors by name, safetensors at best."""

    code = "invalid-checkpoint"


class TrainingDiverged(ModelError):
    """The loss is no number any more: lower training.learning_rate, and check the images' intensities."""

    code = "training-diverged"


class ParityLost(ModelError):
    """The optimised model is not as good as the one it was made from: ship that, or optimise less."""

    code = "parity-lost"


class StateRefused(ModelError):
    """The version may not go into this state from where it is: see `wetread models show`."""

    code = "state-refused"


class NoGate(StateRefused):
    """The package names nothing that a validation must reach: give it an [acceptance] and a new version."""

    code = "no-gate"


class GateNotPassed(StateRefused):
    """The validation does not reach what the package's [acceptance] asks for: it stays where it is."""

    code = "gate-not-passed"


class NoCurve(StateRefused):
    """There is no curve to choose a threshold on: validate this version; a reader of its own has none."""

    code = "no-curve"


class WrongReport(StateRefused):
    """The report is not one of this package as it is now: run `wetread lab validate` on it."""

    code = "wrong-report"


class PeerError(WetreadError):
    """The other system did not take part: ask its administrator. Wetread goes on trying."""

    code = "peer-error"


class PeerUnreachable(PeerError):
    """The destination does not answer: check host, port and network."""

    code = "peer-unreachable"


class PeerNotTrusted(PeerError):
    """The destination and Wetread do not accept each other's certificates: nothing was sent."""

    code = "peer-not-trusted"


class AssociationRejected(PeerError):
    """The destination rejected the association: register our AE title there."""

    code = "association-rejected"


class NotAcknowledged(PeerError):
    """The destination refused the object or the message: see its status."""

    code = "not-acknowledged"


class NotFoundAtPeer(PeerError):
    """The destination acknowledged the object but does not list it: ask its administrator."""

    code = "not-found-at-peer"


class QueryRefused(PeerError):
    """The PACS does not answer the question: let our AE title ask there, see its status."""

    code = "query-refused"


class TooManyMatches(PeerError):
    """The PACS has more studies of one day than are taken: raise maximum_matches."""

    code = "too-many-matches"


class RetrieveRefused(PeerError):
    """The PACS does not hand out what was asked for: see its status, and what our AE title may there."""

    code = "retrieve-refused"


class NotCommitted(PeerError):
    """The destination does not say whether it keeps the object: it must report to our port."""

    code = "not-committed"


class ConfigError(WetreadError):
    """The configuration is not valid: correct it and start again."""

    code = "config-error"


class InvalidRule(ConfigError):
    """A rule is not valid: correct it in the configuration."""

    code = "invalid-rule"


class InvalidPlan(ConfigError):
    """The training plan is not valid: correct it."""

    code = "invalid-plan"


class UnknownModel(ConfigError):
    """No model of this name is registered: see `wetread models list`."""

    code = "unknown-model"


class UnsafeBinding(ConfigError):
    """Listening beyond loopback needs a list of AE titles and users: set them up first."""

    code = "unsafe-binding"


class AccessError(WetreadError):
    """You may not come in like this: sign in again, or ask an administrator."""

    code = "access-error"


class SignInRefused(AccessError):
    """Name, password or code is wrong, or the account is locked after too many tries."""

    code = "sign-in-refused"


class TooManyTries(AccessError):
    """Too many tries: wait and try again."""

    code = "too-many-tries"


class WeakPassword(AccessError):
    """A password that can be found by trying: choose another."""

    code = "weak-password"


class ProviderRefused(AccessError):
    """Single sign-on did not work: try again, or ask an administrator."""

    code = "provider-refused"


class InvalidQuery(AccessError):
    """The query cannot be understood: correct it."""

    code = "invalid-query"


class QueryNotAllowed(AccessError):
    """It may send, but not ask: set may_query for it in dicom.peers."""

    code = "query-not-allowed"


class NotAcceptable(AccessError):
    """It cannot be had in any of the accepted media types: accept another one."""

    code = "not-acceptable"


class NotNow(AccessError):
    """It cannot be done as things stand: look at its state."""

    code = "not-now"


class NotHeld(AccessError):
    """There is no such object, frame or value here."""

    code = "not-held"


class NoSuchFrame(NotHeld):
    """The object has no frame of this number."""

    code = "no-such-frame"


class StorageError(WetreadError):
    """The data folder cannot be written: check space and permissions."""

    code = "storage-error"


class DamagedFile(StorageError):
    """A file in the data folder was damaged or changed: restore it from a backup."""

    code = "file-damaged"


class IndexUnavailable(StorageError):
    """The database of the index does not answer: check that it runs. Wetread goes on by itself."""

    code = "index-unavailable"
