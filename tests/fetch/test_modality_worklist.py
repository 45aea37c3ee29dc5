"""A modality worklist is asked: DCMTK's wlmscpfs answers."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fetch.peers import await_answer
from tests.ports import free_port
from wetread.fetch.modality_worklist import WorklistQuestion, ask_worklist
from wetread.fetch.pacs import Pacs

pytestmark = pytest.mark.skipif(
    shutil.which("wlmscpfs") is None, reason="wlmscpfs is not installed (apt install dcmtk)."
)
_ENTRY = """
(0008,0005) CS [ISO_IR 100]
(0008,0050) SH [ACC{number}]
(0010,0010) PN [Doe^Jane]
(0010,0020) LO [P{number}]
(0010,0030) DA [19600101]
(0010,0040) CS [F]
(0020,000d) UI [1.2.826.{number}]
(0032,1060) LO [CT chest]
(0040,1001) SH [RP{number}]
(0040,0100) SQ
(fffe,e000) na
(0008,0060) CS [{modality}]
(0040,0001) AE [CT1]
(0040,0002) DA [{date}]
(0040,0003) TM [0930]
(0040,0007) LO [chest low dose]
(0040,0009) SH [SPS{number}]
(fffe,e00d) na
(fffe,e0dd) na
"""


@pytest.fixture
def worklist(tmp_path: Path) -> Iterator[Pacs]:
    folder = tmp_path / "RIS"
    folder.mkdir()
    (folder / "lockfile").touch()
    for number, (modality, date) in enumerate((("CT", "20261126"), ("MR", "20261126"), ("CT", "20261127"))):
        text = tmp_path / f"{number}.dump"
        text.write_text(_ENTRY.format(number=number, modality=modality, date=date))
        subprocess.run(["dump2dcm", str(text), str(folder / f"{number}.wl")], check=True, timeout=60)
    port = free_port()
    with (tmp_path / "log").open("wb") as log:
        command = ["wlmscpfs", "-dfp", str(tmp_path), str(port)]
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        await_answer(port, "RIS")
        yield Pacs(name="ris", to=f"RIS@127.0.0.1:{port}", timeout_s=30)
    finally:
        process.kill()
        process.wait(20)


def test_the_steps_of_a_day_are_listed(worklist: Pacs) -> None:
    answer = ask_worklist(worklist, WorklistQuestion(date="20261126", modality="CT"))
    [step] = answer.steps
    assert step.text("AccessionNumber") == "ACC0"
    assert step.text("ScheduledProcedureStepID") == "SPS0"
    assert step.text("StudyInstanceUID") == "1.2.826.0"
    assert not answer.is_cut
    everything = ask_worklist(worklist, WorklistQuestion())
    assert sorted(one.text("PatientID") for one in everything.steps) == ["P0", "P1", "P2"]


def test_more_than_is_granted_is_cut(worklist: Pacs) -> None:
    few = Pacs(name="ris", to=worklist.to, maximum_matches=2)
    answer = ask_worklist(few, WorklistQuestion())
    assert (len(answer.steps), answer.is_cut) == (2, True)
