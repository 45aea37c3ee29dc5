"""What is answered to a STOW-RS request.

In: what became of each instance.  Out: a status and a data set in the DICOM JSON Model.
Never: a UID that is none; words of the sender.

References
----------
PS3.18 10.5.3 (status codes), annex I (Store Instances Response Module).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from wetread.dicom.header import is_uid
from wetread.dicom.json_model import JsonHeader
from wetread.receive.storage import SUCCESS

_RETRIEVE_URL, _FAILURE_REASON = "00081190", "00081197"
_FAILED, _REFERENCED, _OTHER_FAILURES = "00081198", "00081199", "0008119A"
_SOP_CLASS_UID, _SOP_INSTANCE_UID = "00081150", "00081155"

CONFLICT = 409


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of one instance."""

    #: As in C-STORE; 0 is success.
    status: int
    #: ``""`` where a part did not say it.
    sop_class_uid: str = ""
    sop_instance_uid: str = ""
    #: Only where it was stored.
    study_instance_uid: str = ""
    series_instance_uid: str = ""
    #: Of the whole request, where nothing was stored for this reason.
    http_status: int = CONFLICT

    @property
    def is_stored(self) -> bool:
        """Whether it is in the store."""
        return self.status == SUCCESS


@dataclass(frozen=True, slots=True, kw_only=True)
class StowAnswer:
    """An answer."""

    http_status: int
    results: Sequence[Result]

    def data_set(self, base_url: str) -> JsonHeader:
        """Return the data set; ``base_url`` is that of the service, without a slash at its end."""
        stored = [one for one in self.results if one.is_stored]
        failed = [one for one in self.results if not one.is_stored]
        named = [one for one in failed if _is_named(one)]
        others = [one for one in failed if not _is_named(one)]
        studies = {one.study_instance_uid for one in stored}
        url = f"{base_url}/studies/{studies.pop()}" if len(studies) == 1 else ""
        answer: dict[str, dict[str, Any]] = {_RETRIEVE_URL: _element("UR", url)}
        if named:
            answer[_FAILED] = {"vr": "SQ", "Value": [_reference(one) | _reason(one) for one in named]}
        if stored:
            answer[_REFERENCED] = {"vr": "SQ", "Value": [_stored(one, base_url) for one in stored]}
        if others:
            answer[_OTHER_FAILURES] = {"vr": "SQ", "Value": [_reason(one) for one in others]}
        return answer


def make_answer(results: Sequence[Result]) -> StowAnswer:
    """Return the answer where there was at least one instance.

    Notes
    -----
    Where nothing was stored the reason decides: the disk (507), their size (413), what they are (415);
    mixed or other reasons are a conflict.
    """
    stored = sum(one.is_stored for one in results)
    if stored:
        return StowAnswer(http_status=200 if stored == len(results) else 202, results=results)
    reasons = Counter(one.http_status for one in results)
    return StowAnswer(http_status=next(iter(reasons)) if len(reasons) == 1 else CONFLICT, results=results)


def _is_named(one: Result) -> bool:
    return is_uid(one.sop_class_uid) and is_uid(one.sop_instance_uid)


def _reference(one: Result) -> dict[str, dict[str, Any]]:
    return {
        _SOP_CLASS_UID: _element("UI", one.sop_class_uid),
        _SOP_INSTANCE_UID: _element("UI", one.sop_instance_uid),
    }


def _stored(one: Result, base_url: str) -> dict[str, dict[str, Any]]:
    series = f"{base_url}/studies/{one.study_instance_uid}/series/{one.series_instance_uid}"
    return _reference(one) | {_RETRIEVE_URL: _element("UR", f"{series}/instances/{one.sop_instance_uid}")}


def _reason(one: Result) -> dict[str, dict[str, Any]]:
    return {_FAILURE_REASON: _element("US", one.status)}


def _element(vr: str, value: str | int) -> dict[str, Any]:
    return {"vr": vr, "Value": [value]} if value != "" else {"vr": vr}
