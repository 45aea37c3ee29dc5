"""A changed finding changes its sentence, unless a reader has."""

from wetread.compose.linked import find_sentences, follow
from wetread.domain.report import Section

OLD = {"Nodule 1": "Nodule 1: 8 mm.", "Nodule 2": "Nodule 2: 5 mm."}
NAMES = ("Nodule 1", "Nodule 2", "Nodule 10")


def written(*lines: str) -> dict[Section, str]:
    return {Section.FINDINGS: "\n".join(lines), Section.IMPRESSION: "Follow up."}


def test_sentences_are_those_that_begin_with_a_findings_name():
    said = written(
        "No effusion.", "Nodule 1: 8 mm.", "Nodule 10, in the lingula: 4 mm.", "See Nodule 2: above"
    )
    assert find_sentences(said, NAMES) == {
        "Nodule 1": "Nodule 1: 8 mm.",
        "Nodule 10": "Nodule 10, in the lingula: 4 mm.",
    }


def test_what_nobody_changed_is_renewed_where_it_stands():
    now = OLD | {"Nodule 1": "Nodule 1: 9 mm."}
    followed = follow(written("My words.", "Nodule 1: 8 mm.", "Nodule 2: 5 mm."), OLD, now)
    assert followed.sections == written("My words.", "Nodule 1: 9 mm.", "Nodule 2: 5 mm.")
    assert (followed.renewed, followed.differing) == (("Nodule 1",), ())


def test_what_the_reader_changed_stays_and_the_page_tells():
    now = OLD | {"Nodule 1": "Nodule 1: 9 mm."}
    text = written("Nodule 1: 8 mm, I think a scar.", "Nodule 2: 5 mm.")
    followed = follow(text, OLD, now)
    assert followed.sections == text
    assert (followed.renewed, followed.differing) == ((), ("Nodule 1: 9 mm.",))


def test_a_new_finding_is_told_until_it_is_in_the_text():
    now = OLD | {"Nodule 3": "Nodule 3: 6 mm."}
    assert follow(written("Nodule 1: 8 mm."), OLD, now).differing == ("Nodule 3: 6 mm.",)
    assert follow(written("Nodule 3: 6 mm."), OLD, now).differing == ()


def test_nothing_is_said_where_nothing_moved_though_sentences_were_left_out():
    text = written("Clear.")
    followed = follow(text, OLD, OLD)
    assert (followed.sections, followed.renewed, followed.differing) == (text, (), ())


def test_a_draft_of_an_earlier_version_knows_no_proposal_and_stays():
    text = written("Nodule 1: 8 mm.", "Nodule 2: 7 mm.")
    followed = follow(text, {}, OLD)
    assert followed.sections == text
    assert followed.differing == ("Nodule 2: 5 mm.",)
