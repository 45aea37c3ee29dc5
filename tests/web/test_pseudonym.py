"""What is shown to roles that need no names holds no day of an earlier study."""

import pytest

from tests.web.conftest import Ward
from wetread.web.pseudonym import identity_pattern


@pytest.mark.parametrize(
    ("sentence", "shown"),
    [
        (
            "No change since the prior study of 2026-01-12 (2 stable).",
            "No change since the prior study of 2026… (2 stable).",
        ),
        (
            "Since the prior study of 2026-01-12, 90 days before: 1 new.",
            "Since the prior study of 2026…, 90 days before: 1 new.",
        ),
        (
            "Compared with the study of 2026-01-12, but thicker.",
            "Compared with the study of 2026…, but thicker.",
        ),
        ("Jane has a nodule.", "… has a nodule."),
    ],
)
def test_the_day_of_an_earlier_study_is_hidden_and_its_year_stays(
    ward: Ward, sentence: str, shown: str
) -> None:
    ward.send("1.2.1")
    assert identity_pattern(ward.store.studies.find("1.2.1")).sub("…", sentence) == shown
