"""The queue of readings, and what people do about it.

In: requests.  Out: values of ``wetread.contract``.  Never: a study past ``Eyes``.
"""

from __future__ import annotations

from fastapi import APIRouter

from wetread.contract.queue import ReadingQueue
from wetread.contract.studies import StudyLine
from wetread.identity import Permission
from wetread.web.access import needs
from wetread.web.api.asked import PriorityAsked, StudyKey
from wetread.web.api.failure import TOO_LARGE, failures
from wetread.web.api.studies import teller_of
from wetread.web.eyes import Eyes, Look
from wetread.web.queue import end, prefer
from wetread.web.site import Site


def add_queue(router: APIRouter, site: Site) -> None:
    """Add the routes."""

    @router.get("/queue", tags=["queue"])
    @needs(Permission.STUDIES)
    def get_queue(eyes: Look) -> ReadingQueue:
        """Tell what arrives, waits, is read, is stuck, and what failed last."""
        eyes.note_query("queue of readings, by the API")
        return teller_of(eyes).queue(eyes.look_at_queue())

    @router.post("/studies/{key}/call-off", tags=["queue"], responses=failures(409))
    @needs(Permission.STUDIES, Permission.READ_AGAIN)
    def call_reading_off(eyes: Look, key: StudyKey) -> StudyLine:
        """Take a study out of the queue that no model was chosen for yet: it is not read."""
        end(site, eyes, eyes.find_study(key))
        return _line(eyes, key)

    @router.put("/studies/{key}/priority", tags=["queue"], responses=failures(409) | TOO_LARGE)
    @needs(Permission.STUDIES, Permission.REPORT)
    def give_study_priority(eyes: Look, key: StudyKey, asked: PriorityAsked) -> StudyLine:
        """Give a study a priority, for the reading list and the queue."""
        prefer(site, eyes, eyes.find_study(key), asked.priority, asked.why)
        return _line(eyes, key)

    @router.delete("/studies/{key}/priority", tags=["queue"])
    @needs(Permission.STUDIES, Permission.REPORT)
    def take_priority_back(eyes: Look, key: StudyKey) -> StudyLine:
        """Let the priority of models and rules hold again."""
        prefer(site, eyes, eyes.find_study(key), None, "")
        return _line(eyes, key)


def _line(eyes: Eyes, key: str) -> StudyLine:
    [line] = teller_of(eyes).studies([eyes.find_study(key)])
    return line
