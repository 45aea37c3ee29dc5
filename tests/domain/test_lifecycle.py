"""Which state may follow which: every pair, with and without what speaks for the step."""

from itertools import product

import pytest

from wetread.domain.lifecycle import ModelState, find_objection

DRAFT, VALIDATED, SHADOW, LIVE, RETIRED = ModelState
#: Pair -> what it takes, written down a second time: "", "report", "new".
ALLOWED = {
    (DRAFT, VALIDATED): "report",
    (VALIDATED, SHADOW): "report",
    (SHADOW, LIVE): "report",
    (LIVE, SHADOW): "",
    (LIVE, VALIDATED): "",
    (SHADOW, VALIDATED): "",
    (DRAFT, RETIRED): "",
    (VALIDATED, RETIRED): "",
    (SHADOW, RETIRED): "",
    (LIVE, RETIRED): "",
    (RETIRED, VALIDATED): "new",
}


@pytest.mark.parametrize(("now", "to"), list(product(ModelState, repeat=2)))
def test_every_pair(now: ModelState, to: ModelState) -> None:
    bare, old, new = (
        not find_objection(now, to),
        not find_objection(now, to, has_report=True),
        not find_objection(now, to, has_report=True, has_new_report=True),
    )
    takes = ALLOWED.get((now, to))
    assert (bare, old, new) == {
        None: (False, False, False),
        "": (True, True, True),
        "report": (False, True, True),
        "new": (False, False, True),
    }[takes]


@pytest.mark.parametrize(("now", "to"), list(product(ModelState, repeat=2)))
def test_the_way_back_leads_to_live_only_and_not_from_drafts_or_the_retired(
    now: ModelState, to: ModelState
) -> None:
    opened = find_objection(now, to) and not find_objection(now, to, is_way_back=True)
    assert bool(opened) is ((now, to) in {(VALIDATED, LIVE), (SHADOW, LIVE)})


def test_who_is_refused_is_told_what_would_do() -> None:
    assert find_objection(DRAFT, LIVE) == "From draft it can only become validated or retired."
    assert "--report" in find_objection(DRAFT, VALIDATED)
    assert "new validation report" in find_objection(RETIRED, VALIDATED, has_report=True)
