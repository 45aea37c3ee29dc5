"""Folders, files and archives, friendly and hostile."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file

from wetread.domain.problem import ProblemCode
from wetread.receive.folder import ZipLimits, read_folder

CT = Path(str(get_testdata_file("CT_small.dcm")))
MR = Path(str(get_testdata_file("MR_small.dcm")))


def test_a_folder_with_other_things_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    (folder / "deep").mkdir(parents=True)
    shutil.copy(CT, folder / "a.dcm")
    shutil.copy(MR, folder / "deep" / "noname")
    shutil.copy(CT, folder / "again.dcm")
    (folder / "Doe^Jane.txt").write_text("report")
    (folder / ".DS_Store").write_bytes(b"x")
    instances, problems = read_folder(folder, tmp_path / "work")
    assert len(instances) == 2
    (problem,) = problems
    assert (problem.code, problem.refuses) == (ProblemCode.UNREADABLE_INSTANCE, False)
    assert problem.message.startswith("File 1: ")
    assert "Doe" not in problem.message


def test_one_file(tmp_path: Path) -> None:
    instances, problems = read_folder(CT, tmp_path / "work")
    assert [one.path for one in instances] == [CT]
    assert problems == []


def test_no_dicom_at_all_refuses(tmp_path: Path) -> None:
    text = tmp_path / "a.txt"
    text.write_text("hello")
    instances, problems = read_folder(text, tmp_path / "work")
    assert instances == []
    assert problems[0].refuses


def test_many_bad_files_are_told_shortly(tmp_path: Path) -> None:
    for number in range(30):
        (tmp_path / f"{number}.txt").write_text("x")
    _, problems = read_folder(tmp_path, tmp_path / "work")
    assert len(problems) == 21
    assert problems[-1].message == "10 more files like these."


def test_the_same_uid_with_other_content(tmp_path: Path) -> None:
    shutil.copy(CT, tmp_path / "a.dcm")
    changed = dcmread(CT)
    changed.PatientComments = "changed"
    changed.save_as(tmp_path / "b.dcm")
    instances, problems = read_folder(tmp_path, tmp_path / "work")
    assert [one.path.name for one in instances] == ["a.dcm"]
    assert [problem.code for problem in problems] == [ProblemCode.CONTENT_CONFLICT]


def test_an_archive_and_its_names(tmp_path: Path) -> None:
    archive = tmp_path / "in.zip"
    with zipfile.ZipFile(archive, "w") as out:
        out.write(CT, "../../../../tmp/evil.dcm")
        out.write(MR, "/etc/cron.d/evil")
        out.writestr("inner.zip", archive_bytes(tmp_path))
        out.writestr("readme.txt", "hello")
    work = tmp_path / "work"
    instances, problems = read_folder(archive, work)
    assert len(instances) == 2
    assert all(one.path.parent == work for one in instances)
    assert {path.parent for path in work.rglob("*")} == {work}
    assert len(problems) == 2
    assert "archive inside" in problems[0].message


def archive_bytes(folder: Path) -> bytes:
    path = folder / "inner.zip"
    with zipfile.ZipFile(path, "w") as out:
        out.write(CT, "ct.dcm")
    return path.read_bytes()


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    archive = tmp_path / "bomb.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("zeros", bytes(20 << 20))
    limits = ZipLimits(harmless=1 << 20, ratio=100)
    instances, problems = read_folder(archive, tmp_path / "work", limits)
    assert instances == []
    assert "more than is allowed" in problems[0].message
    unpacked = sum(path.stat().st_size for path in (tmp_path / "work").iterdir())
    assert unpacked <= limits.allowed(archive.stat().st_size)


def test_too_many_members(tmp_path: Path) -> None:
    archive = tmp_path / "many.zip"
    with zipfile.ZipFile(archive, "w") as out:
        for number in range(5):
            out.writestr(f"{number}", "x")
    _, problems = read_folder(archive, tmp_path / "work", ZipLimits(members=4))
    assert "too many members" in problems[0].message


@pytest.mark.parametrize("damage", ["cut", "crc"])
def test_a_broken_archive_names_nobody(tmp_path: Path, damage: str) -> None:
    archive = tmp_path / "broken.zip"
    with zipfile.ZipFile(archive, "w") as out:
        out.write(CT, "Doe^Jane.dcm")
    data = bytearray(archive.read_bytes())
    if damage == "cut":
        data = data[: len(data) // 2]
    else:
        data[2000] ^= 0xFF
    archive.write_bytes(data)
    _, problems = read_folder(archive, tmp_path / "work")
    assert problems
    assert all("Doe" not in problem.message for problem in problems)


def test_dicom_with_an_archive_in_the_preamble_stays_dicom(tmp_path: Path) -> None:
    data = bytearray(CT.read_bytes())
    data[:4] = b"PK\x03\x04"
    path = tmp_path / "polyglot.dcm"
    path.write_bytes(data)
    instances, _ = read_folder(path, tmp_path / "work")
    assert len(instances) == 1
