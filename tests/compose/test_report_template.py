"""Templates give a report its headings, and models' words their place."""

from pathlib import Path

import pytest
from pydicom.sr._concepts_dict import concepts

from wetread.compose.report_codes import RADLEX_SECTIONS, split_text
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


CODED = """title = "x"
modalities = ["CT"]
[sections]
findings = "Lungs:"
[codes]
"""


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('"Lung:" = ["SCT 39607008 Lung"]', "no heading of this template"),
        ('"Lungs:" = "SCT 39607008 Lung"', "list of texts"),
        ('"Lungs:" = []', "list of texts"),
        ('"Lungs:" = [5]', "list of texts"),
        ('"Lungs:" = ["39607008 Lung"]', "scheme, value and meaning"),
        ('"Lungs:" = ["SCT 39607008"]', "scheme, value and meaning"),
        ('"Lungs:" = ["SNOMED 39607008 Lung"]', "scheme SNOMED is not known"),
        ('"Lungs:" = ["SCT 39607009 Lung"]', "check digit"),
        ('"Lungs:" = ["SCT 39607008 Liver"]', "is .*Lung"),
        ('"Lungs:" = ["SCT T-28000 Lung"]', "no value of SCT"),
        ('"Lungs:" = ["SCT 39607008 Lung = RADLEX 13437 lungs"]', "no value of RADLEX"),
        ('"Lungs:" = ["RADLEX RID13437 heart"]', "is 'lungs', not 'heart'"),
        ('"Lungs:" = ["RADLEX RID1385 lungs"]', "is 'heart'"),
        ('"Lungs:" = ["DCM 999999 Lungs"]', "DCM has no 999999"),
        ('"Lungs:" = ["LN 18748-5 Diagnostic Imaging Report"]', "check digit"),
    ],
)
def test_a_bad_code_is_refused_with_its_line(tmp_path: Path, line: str, why: str):
    (tmp_path / "own.toml").write_text(CODED + line)
    with pytest.raises(ConfigError, match=why) as told:
        read_templates(tmp_path)
    assert "own.toml: line 6: " in str(told.value)


def test_codes_that_are_no_table_are_refused(tmp_path: Path):
    (tmp_path / "own.toml").write_text('title = "x"\nmodalities = ["CT"]\ncodes = ["SCT 39607008 Lung"]')
    with pytest.raises(ConfigError, match="codes is a table"):
        read_templates(tmp_path)


def test_codes_of_own_templates_are_read(tmp_path: Path):
    own = '"Lungs:" = ["SCT 39607008 Lung = RADLEX RID13437 lungs", "RADLEX RID99999 of ours"]'
    (tmp_path / "own.toml").write_text(CODED + own)
    [lungs, other] = read_templates(tmp_path)[0].codes["Lungs:"]
    assert [(one.scheme, one.value, one.meaning) for one in lungs] == [
        ("SCT", "39607008", "Lung"),
        ("RADLEX", "RID13437", "lungs"),
    ]
    assert [one.value for one in other] == ["RID99999"]


def test_every_built_in_code_is_one_of_the_standard_or_was_looked_up():
    """PS3.16, as pydicom has it, knows each of SNOMED CT and DICOM; the page names each of RadLex."""
    page = (Path(__file__).parents[2] / "docs" / "reference" / "report-codes.md").read_text()
    listed = [one for template in read_templates() for codes in template.codes.values() for one in codes]
    codes = [one for same in listed for one in same] + list(RADLEX_SECTIONS.values())
    assert len(codes) > 20
    for one in codes:
        meanings = {
            known[one.value][0] for known in concepts.get(one.scheme, {}).values() if one.value in known
        }
        assert one.scheme == "RADLEX" or one.meaning in meanings, one
        assert f"{one.value} {one.meaning}" in page, one


def test_headings_of_ours_have_codes_but_for_what_is_no_site():
    without = {
        heading
        for template in read_templates()
        for heading in template.headings()
        if heading not in template.codes
    }
    assert without == {"Lines and tubes:"}


def test_a_line_is_never_under_the_site_of_another_heading():
    template = choose_template(read_templates(), ("CR",), "Chest")
    text = "Nodule 1: 8 mm.\nLungs: clear.\nNo oedema.\nLines and tubes:\nA tube.\nBones:\nNo fracture."
    parts = split_text(text, template.codes, template.headings())
    assert [one.text for one in parts] == [
        "Nodule 1: 8 mm.", "Lungs: clear.\nNo oedema.", "Lines and tubes:\nA tube.", "Bones:\nNo fracture.",
    ]  # fmt: skip
    assert [[same[0].meaning for same in one.sites] for one in parts] == [[], ["Lung"], [], ["Bone"]]
    assert "\n".join(one.text for one in parts) == text
    assert [one.text for one in split_text(text, {}, template.headings())] == [text]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(ConfigError, match="not a folder"):
        read_templates(tmp_path / "nowhere")
