"""H17 to H37 through the door of the disk: folders, files and archives that somebody brought."""

from __future__ import annotations

import json
import os
import resource
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.hostile.build import Object, series_of
from tests.hostile.rows import ROWS
from wetread.receive.folder import read_folder

WETREAD = Path(sys.executable).parent / "wetread"
#: Peak memory of `wetread analyze` on what is refused before any pixel; importing the libraries takes half.
PEAK_BYTES = 600 << 20


def analyze(path: Path, out: Path) -> list[dict[str, Any]]:
    """Run the command; return findings.json."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    done = subprocess.run(
        [WETREAD, "analyze", str(path), "--out", str(out)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert "Traceback" not in done.stdout + done.stderr
    assert done.returncode in {0, 1}, done.stderr
    after = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    assert after == before or after << 10 < PEAK_BYTES
    entries: list[dict[str, Any]] = json.loads((out / "findings.json").read_text())
    return entries


def files_of_all_rows() -> dict[str, bytes]:
    """Every row as files, but for the largest, which the network had."""
    files = {}
    for row in ROWS:
        for number, one in enumerate(row.make() if row.id != "H21-300-mb" else []):
            files[f"{row.id}-{number}.dcm"] = one.part10()
    return files


@pytest.fixture(scope="module")
def hostile_files() -> dict[str, bytes]:
    return files_of_all_rows()


def test_a_folder_of_every_row_gives_an_answer(hostile_files: dict[str, bytes], tmp_path: Path) -> None:
    """One command over all rows and one good series: each study has an entry, what was refused is told."""
    folder = tmp_path / "in"
    folder.mkdir()
    for name, data in hostile_files.items():
        (folder / name).write_bytes(data)
    entries = analyze(folder, tmp_path / "out")
    assert {entry["outcome"] for entry in entries} == {"not-read"}
    assert all(entry["problems"] for entry in entries)
    codes = {problem["code"] for problem in entries[0]["problems"]}
    assert codes >= {"unreadable-instance", "missing-attribute"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]


Build = Callable[[zipfile.ZipFile, list[Object]], None]


def _slipping(archive: zipfile.ZipFile, objects: list[Object]) -> None:
    for number, one in enumerate(objects):
        for name in (f"../../../../tmp/slip{number}", f"/tmp/slip{number}", f"..\\..\\slip{number}", "a\0b"):
            archive.writestr(name, one.part10())


def _links(archive: zipfile.ZipFile, objects: list[Object]) -> None:
    info = zipfile.ZipInfo("link.dcm")
    info.external_attr = 0o120777 << 16
    archive.writestr(info, "/etc/passwd")
    archive.writestr("good.dcm", objects[0].part10())


def _nested_bomb(archive: zipfile.ZipFile, objects: list[Object]) -> None:
    inner = Path(archive.filename or "").with_suffix(".inner")
    with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as other:
        other.writestr("zeros", bytes(64 << 20))
    for number in range(16):
        archive.write(inner, f"{number}.zip")
    inner.unlink()
    archive.writestr("good.dcm", objects[0].part10())


@pytest.mark.parametrize("build", [_slipping, _links, _nested_bomb], ids=lambda one: f"H37{one.__name__}")
def test_an_archive_unpacks_nowhere_else(build: Build, tmp_path: Path) -> None:
    path = tmp_path / "in.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        build(archive, series_of(count=1))
    instances, _ = read_folder(path, tmp_path / "work")
    assert len(instances) == 1
    assert sorted(one.name for one in tmp_path.iterdir()) == ["in.zip", "work"]
    assert all(one.is_file() and not one.is_symlink() for one in (tmp_path / "work").iterdir())
    assert not list(Path("/tmp").glob("slip*"))


def test_a_million_members_are_not_listed(tmp_path: Path) -> None:
    """H37: the list of members alone would take half a gigabyte."""
    entry = struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, 20, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"x"
    directory = entry * 1_000_000
    end64 = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 10**6, 10**6, len(directory), 4)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, 4 + len(directory), 1)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    path = tmp_path / "in.zip"
    path.write_bytes(b"PK\3\4" + directory + end64 + locator + end)
    grown = _growth(lambda: read_folder(path, tmp_path / "work"))
    assert grown < 100 << 20
    instances, problems = read_folder(path, tmp_path / "work")
    assert not instances
    assert problems[0].refuses


def _growth(action: Callable[[], object]) -> int:
    Path("/proc/self/clear_refs").write_text("5")
    before = _memory("VmRSS")
    action()
    return _memory("VmHWM") - before


def _memory(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(f"{key}:"))


def test_links_and_pipes_in_a_folder_lead_nowhere(tmp_path: Path) -> None:
    """H37: a medium with links to other people's images, to devices, and to itself."""
    (good,) = series_of(count=1)
    (other,) = series_of(count=1)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "other.dcm").write_bytes(other.part10())
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "good.dcm").write_bytes(good.part10())
    (folder / "file").symlink_to(outside / "other.dcm")
    (folder / "folder").symlink_to(outside)
    (folder / "self").symlink_to(folder)
    (folder / "zero").symlink_to("/dev/zero")
    os.mkfifo(folder / "pipe")
    instances, problems = read_folder(folder, tmp_path / "work")
    assert [one.sop_instance_uid for one in instances] == [good.sop_instance.decode().rstrip("\0")]
    assert len(problems) == 4


_PREAMBLES = (b"MZ\x90\0", b"\x7fELF\2\1\1", b"<html><script>", b"#!/bin/sh\nid", b"PK\3\4", b"%PDF-1.7")


@pytest.mark.parametrize("preamble", _PREAMBLES, ids=lambda one: f"H20-{one[:4]!r}")
def test_a_preamble_is_no_part_of_the_object(preamble: bytes, tmp_path: Path) -> None:
    (one,) = series_of(count=1)
    path = tmp_path / "in.dcm"
    path.write_bytes(one.part10(preamble))
    instances, problems = read_folder(path, tmp_path / "work")
    assert len(instances) == 1
    assert not problems


def test_a_directory_names_no_files(tmp_path: Path) -> None:
    """H19: whatever a DICOMDIR refers to, only what lies in the folder is read."""
    (tmp_path / "in").mkdir()
    rows = {row.id: row for row in ROWS}
    (tmp_path / "in" / "DICOMDIR").write_bytes(rows["H19-dicomdir"].make()[0].part10())
    assert read_folder(tmp_path / "in", tmp_path / "work") == ([], [])


_NIFTI = struct.pack("<i", 348).ljust(40, b"\0")


def nifti(shape: tuple[int, int, int], bits: int = 16, code: int = 4, offset: float = 352.0) -> bytes:
    """A header alone, which claims what it likes."""
    head = _NIFTI + struct.pack("<8h", 3, *shape, 1, 1, 1, 1)
    head = head.ljust(70, b"\0") + struct.pack("<2h", code, bits)
    head = head.ljust(76, b"\0") + struct.pack("<8f", 1, 1, 1, 1, 1, 1, 1, 1) + struct.pack("<f", offset)
    return head.ljust(344, b"\0") + b"n+1\0" + bytes(4)


@pytest.mark.parametrize(
    "data",
    [
        nifti((32767, 32767, 1)) + bytes(64),
        nifti((0, -5, 7)),
        nifti((16, 16, 16), code=1792, bits=128) + bytes(99),
        nifti((16, 16, 16), offset=float("nan")) + bytes(9000),
        nifti((16, 16, 16), offset=-1e30) + bytes(9000),
        nifti((16, 16, 16), code=9999) + bytes(9000),
        b"",
        b"\x1f\x8b" + bytes(64),
    ],
    ids=[f"H25-nifti-{n}" for n in range(8)],
)
def test_a_hostile_nifti_is_refused(data: bytes, tmp_path: Path) -> None:
    from wetread.errors import InputError
    from wetread.imaging.nifti import read_nifti_volume

    path = tmp_path / "in.nii"
    path.write_bytes(data)
    with pytest.raises(InputError):
        read_nifti_volume(path)
