"""What somebody may change about a study: reported or not, and that it is read again.

In: requests.  Out: the study as it is then.  Never: a change that the audit trail does not hold.
"""

from __future__ import annotations

from fastapi import APIRouter

from wetread.contract.studies import Begun, StudyLine
from wetread.identity import Permission
from wetread.web.access import needs
from wetread.web.api.asked import StudyKey
from wetread.web.api.failure import failures
from wetread.web.api.studies import teller_of
from wetread.web.eyes import Eyes, Look
from wetread.web.pages import mark
from wetread.web.queue import begin_again
from wetread.web.site import Site


def add_study_changes(router: APIRouter, site: Site) -> None:
    """Add the routes."""

    @router.put("/studies/{key}/report", tags=["studies"])
    @needs(Permission.STUDIES, Permission.REPORT)
    def mark_reported(eyes: Look, key: StudyKey) -> StudyLine:
        """Take a study off the reading list."""
        return _marked(site, eyes, key, is_reported=True)

    @router.delete("/studies/{key}/report", tags=["studies"])
    @needs(Permission.STUDIES, Permission.REPORT)
    def put_back(eyes: Look, key: StudyKey) -> StudyLine:
        """Put a study back on the reading list."""
        return _marked(site, eyes, key, is_reported=False)

    @router.post("/studies/{key}/read-again", tags=["studies"], status_code=202, responses=failures(409))
    @needs(Permission.STUDIES, Permission.READ_AGAIN)
    def read_study_again(eyes: Look, key: StudyKey) -> Begun:
        """Have a study read again under the rules and by the models of now.

        What a model read of the very same images stands: only other models, versions and rules make
        something new.
        """
        row = eyes.find_study(key)
        return Begun(study_key=key, revision=begin_again(site, eyes, row))


def _marked(site: Site, eyes: Eyes, key: str, *, is_reported: bool) -> StudyLine:
    row = eyes.find_study(key)
    if (row.reported_at is not None) is not is_reported:
        mark(site, eyes, row, is_reported=is_reported)
    [line] = teller_of(eyes).studies([eyes.find_study(key)])
    return line
