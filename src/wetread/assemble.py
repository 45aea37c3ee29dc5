"""When is a study complete?

In: what has arrived and when.  Out: ready or not, why, and when to ask again.
Never: clocks, the index; waiting.

Pure: the path asks again at each arrival and when the wait is over (level-triggered), so a
missed call costs time, never a study.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """What the index knows about a study's instances; by counts and not by the time of day."""

    instance_count: int
    #: Instances that the newest begun revision covers.
    covered_count: int
    #: Where the sender told it.
    expected_instances: int | None
    #: Who told it; "": the images themselves.
    expected_by: str = ""
    #: For how long nothing more has come.
    silence_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Completeness:
    """Whether to read now."""

    is_complete: bool
    #: Ask again after this time; 0 when complete.
    wait_s: float
    #: In words, for the study's history.
    cause: str


def check_completeness(arrival: Arrival, quiet_s: float) -> Completeness:
    """Decide whether a study is complete.

    Parameters
    ----------
    quiet_s
        How long nothing must have arrived.
    """
    if arrival.instance_count <= arrival.covered_count:
        return Completeness(is_complete=False, wait_s=quiet_s, cause="nothing new")
    # Exactly: where the sender's number is wrong, each further image would be complete by itself.
    if arrival.instance_count == arrival.expected_instances:
        return _complete(arrival, f"all {_expected(arrival)} are here")
    if arrival.silence_s >= quiet_s:
        return _complete(arrival, f"nothing more for {quiet_s:g} s{_lacking(arrival)}")
    return Completeness(
        is_complete=False, wait_s=quiet_s - arrival.silence_s, cause="images are still arriving"
    )


def _expected(arrival: Arrival) -> str:
    told = f" (told by {arrival.expected_by})" if arrival.expected_by else ""
    return f"{arrival.expected_instances} expected images{told}"


def _lacking(arrival: Arrival) -> str:
    lacking = (arrival.expected_instances or 0) - arrival.instance_count
    return f", {lacking} of {_expected(arrival)} are missing" if lacking > 0 else ""


def _complete(arrival: Arrival, reason: str) -> Completeness:
    late = arrival.instance_count - arrival.covered_count
    if arrival.covered_count:
        reason = f"{late} more {'image' if late == 1 else 'images'} after the last reading, {reason}"
    return Completeness(is_complete=True, wait_s=0.0, cause=reason)
