"""When is a study complete?

In: what has arrived and when.  Out: ready or not, why, and when to ask again.
Never: clocks, the index; waiting.

Pure: the path asks again at each arrival and when the wait is over (level-triggered), so a
missed call costs time, never a study.
"""

from __future__ import annotations

from dataclasses import dataclass

from wetread.domain.notice import Told

NOTHING_TOLD = Told()


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
    #: What modality and archive tell, by UID.
    told: Told = NOTHING_TOLD


@dataclass(frozen=True, slots=True, kw_only=True)
class Completeness:
    """Whether to read now."""

    is_complete: bool
    #: Ask again after this time; 0 when complete.
    wait_s: float
    #: In words, for the study's history.
    cause: str
    #: Images that somebody told of and that have not come.
    missing: int = 0


def check_completeness(arrival: Arrival, quiet_s: float) -> Completeness:
    """Decide whether a study is complete.

    Parameters
    ----------
    quiet_s
        How long nothing must have arrived.
    """
    if arrival.instance_count <= arrival.covered_count:
        return Completeness(is_complete=False, wait_s=quiet_s, cause="nothing new")
    told = arrival.told
    # Something of it is new: or each image that was never named would be complete by itself.
    if told.named_count and not told.missing_count and not told.open_count and told.fresh_count:
        return _complete(arrival, f"all {_named(told)} are here ({_who(told)})")
    # Exactly: where the sender's number is wrong, each further image would be complete by itself. And where
    # images are named, a number does not replace one of them.
    is_counted = not told.missing_count and not told.open_count
    if is_counted and arrival.instance_count == arrival.expected_instances:
        return _complete(arrival, f"all {_expected(arrival)} are here")
    if arrival.silence_s >= quiet_s:
        return _complete(arrival, f"nothing more for {quiet_s:g} s{_lacking(arrival)}", _missing(arrival))
    return Completeness(
        is_complete=False, wait_s=quiet_s - arrival.silence_s, cause="images are still arriving"
    )


def _expected(arrival: Arrival) -> str:
    told = f" (told by {arrival.expected_by})" if arrival.expected_by else ""
    return f"{arrival.expected_instances} expected images{told}"


def _named(told: Told) -> str:
    if not told.step_count:
        return f"{told.named_count} images that the archive names"
    who, verb = ("step", "names") if told.step_count == 1 else ("steps", "name")
    return f"{told.named_count} images that the modality's procedure {who} {verb}"


def _who(told: Told) -> str:
    return "MPPS" if told.step_count else "IAN"


def _missing(arrival: Arrival) -> int:
    if arrival.told.named_count:
        return arrival.told.missing_count
    return max(0, (arrival.expected_instances or 0) - arrival.instance_count)


def _lacking(arrival: Arrival) -> str:
    told, missing = arrival.told, _missing(arrival)
    words = ""
    if missing:
        all_of_it = f"the {_named(told)}" if told.named_count else _expected(arrival)
        words = f", {missing} of {all_of_it} {'is' if missing == 1 else 'are'} missing"
    if told.open_count:
        words += ", though the modality has not told that its procedure step is over (MPPS)"
    return words


def _complete(arrival: Arrival, reason: str, missing: int = 0) -> Completeness:
    late = arrival.instance_count - arrival.covered_count
    if arrival.covered_count:
        reason = f"{late} more {'image' if late == 1 else 'images'} after the last reading, {reason}"
    return Completeness(is_complete=True, wait_s=0.0, cause=reason, missing=missing)
