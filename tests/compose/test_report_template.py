"""Templates give a report its headings, and models' words their place."""

from pathlib import Path

import pytest

from wetread.compose.report_template import choose_template, drop_empty_headings, read_templates
from wetread.domain.report import Section
from wetread.errors import ConfigError

OWN = """
title = "Nodule follow-up"
modalities = ["CT"]
words = ["nodule"]
[sections]
findings = '''
Nodules:
{models}
Rest:'''
impression = "No new nodule? Say so."
"""


def test_who_has_own_templates_finds_them_before_ours(tmp_path: Path):
    (tmp_path / "own.toml").write_text(OWN)
    templates = read_templates(tmp_path)
    assert choose_template(templates, ("CT", "SR"), "CT Thorax NODULE control").title == "Nodule follow-up"
    assert choose_template(templates, ("CT",), "CT THORAX").title == "CT of the chest"
    assert choose_template(templates, ("DX",), "Chest pa").title == "Chest radiograph"
    assert choose_template(templates, ("MR",), "Chest") is None
    assert choose_template(templates, ("CT",), "CT head") is None


def test_the_words_of_models_stand_where_the_template_says(tmp_path: Path):
    (tmp_path / "own.toml").write_text(OWN)
    said = {Section.FINDINGS: "Nodule 1: 8 mm.\nNodule 2: 5 mm.", Section.COMPARISON: "None."}
    assert read_templates(tmp_path)[0].fill(said) == {
        Section.COMPARISON: "None.",
        Section.FINDINGS: "Nodules:\nNodule 1: 8 mm.\nNodule 2: 5 mm.\nRest:",
        Section.IMPRESSION: "No new nodule? Say so.",
    }


def test_where_models_say_nothing_the_headings_stand_alone():
    filled = choose_template(read_templates(), ("CT",), "Chest").fill({})
    assert list(filled) == [Section.FINDINGS]
    assert filled[Section.FINDINGS].splitlines()[0] == "Lungs:"


def test_none_of_ours_says_that_something_is_normal():
    for template in read_templates():
        for text in template.fill({}).values():
            assert all(line.endswith(":") for line in text.splitlines())


def test_headings_behind_which_nothing_was_written_are_dropped():
    known = choose_template(read_templates(), ("CT",), "Chest").headings()
    written = ("Nodule 1: 8 mm.", "Lungs: clear.", "Airways:", "Pleura:", "Small effusion", "on the left.")
    text = "\n".join((*written, "Bones I mean:", "Upper abdomen:"))
    assert drop_empty_headings(text, known) == (
        "Nodule 1: 8 mm.\nLungs: clear.\nPleura:\nSmall effusion\non the left.\nBones I mean:"
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("title = ", "cannot be read"),
        ("title = 'x'\nmodalities = ['CT']\nword = ['a']", "did you mean 'words'"),
        ("title = 'x'\nmodalities = 'CT'", "modalities"),
        ("title = 'x'\nmodalities = ['CT']\n[sections]\nfinding = 'x'", "did you mean 'findings'"),
    ],
)
def test_what_is_no_template_is_named(tmp_path: Path, text: str, why: str):
    (tmp_path / "own.toml").write_text(text)
    with pytest.raises(ConfigError, match=why) as told:
        read_templates(tmp_path)
    assert "own.toml" in str(told.value)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(ConfigError, match="not a folder"):
        read_templates(tmp_path / "nowhere")
