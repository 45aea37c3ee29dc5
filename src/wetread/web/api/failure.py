"""Errors of the API: one form for all.

In: what was raised.  Out: ``Failure`` and its status.  Never: a value that was sent: it may name a patient.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from http import HTTPStatus
from typing import Any

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from wetread.contract.answers import ErrorDetail, Failure
from wetread.errors import AccessError, InputError, InvalidRule, StateRefused, StorageError, UnknownModel

PREFIX = "/api/v1"

_SAID = {
    400: ("invalid-request", "The request cannot be read: correct it."),
    401: ("sign-in-needed", "Say who you are: Authorization: Bearer wtr_... (`wetread tokens add`)."),
    403: ("not-allowed", "You may not do this: ask an administrator."),
    404: ("not-found", "There is no such thing here."),
    405: ("method-not-allowed", "This address does not take this method."),
    409: ("not-now", "It cannot be done as things stand: look at its state."),
    422: ("invalid-request", "The request is not as the description says: see details."),
    429: ("busy", "Another one is worked on: try again soon."),
    503: ("storage-error", "The index does not answer or cannot be written: try again later."),
}
_EVERY = (400, 401, 403, 404, 422, 503)

#: For the description: what every route may answer beside what it is asked for.
FAILURES: dict[int | str, dict[str, Any]] = {
    status: {"model": Failure, "description": _SAID[status][1]} for status in _EVERY
}


#: Said by the framework, before it knows whom it asks.
TOO_LARGE: dict[int | str, dict[str, Any]] = {
    413: {"description": "The body is too large.", "content": {"text/plain": {"schema": {"type": "string"}}}}
}


def failures(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the description of further refusals of a route."""
    return {status: {"model": Failure, "description": _SAID[status][1]} for status in statuses}


def is_api(path: str) -> bool:
    """Tell whether an address is one of the API."""
    return path.startswith("/api/")


def answer_failure(status: int, error: Exception, headers: Mapping[str, str]) -> JSONResponse:
    """Return the answer to a request of the API that came to nothing."""
    return JSONResponse(asdict(_describe(status, error)), status, headers=dict(headers))


def status_of_invalid(error: RequestValidationError) -> int:
    """Return 404 where the address itself cannot be one of ours, else 422."""
    return 404 if any(one["loc"][:1] == ("path",) for one in error.errors()) else 422


def _describe(status: int, error: Exception) -> Failure:
    code, message = _SAID.get(status, ("error", HTTPStatus(status).phrase))
    if isinstance(error, AccessError | InputError | InvalidRule | StateRefused | UnknownModel):
        return Failure(code=error.code, message=str(error))
    if isinstance(error, StorageError):
        return Failure(code=error.code, message=message)
    if isinstance(error, RequestValidationError) and status == 422:
        return Failure(code=code, message=message, details=_details(error.errors()))
    return Failure(code=code, message=message)


def _details(errors: Sequence[Any]) -> tuple[ErrorDetail, ...]:
    return tuple(
        ErrorDetail(where=" ".join(str(part)[:64] for part in one["loc"]), message=str(one["msg"])[:200])
        for one in errors[:20]
    )
