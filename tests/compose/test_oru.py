"""The ORU holds the numbers of the Reading, and exactly the segments that we meant."""

from __future__ import annotations

import copy
import dataclasses

import hl7
import pytest

from tests.compose.conftest import Composed
from wetread.compose import compose
from wetread.domain.document import DocumentKind
from wetread.domain.problem import Problem, ProblemCode
from wetread.domain.reading import Reading

HOSTILE = "O'X|Y^Z~&\\T\\\r\nOBX|1|ST|fake||evil\x0b\x1c\u2028é"


def _message(composed: Composed, reading: Reading | None = None, **header: str) -> hl7.Message:
    # A copy of every element: ``update`` would share them with the other tests.
    ds = copy.deepcopy(composed.source.header)
    for keyword, value in header.items():
        setattr(ds, keyword, value)
    source = dataclasses.replace(composed.source, header=ds)
    (document,) = compose(reading or composed.reading, source, (DocumentKind.ORU,))
    return hl7.parse(document.data.decode())


def test_head_and_patient(composed: Composed) -> None:
    message = hl7.parse(composed.of(DocumentKind.ORU)[0].data.decode())
    msh, pid, obr = message.segment("MSH"), message.segment("PID"), message.segment("OBR")
    assert str(msh[9]) == "ORU^R01^ORU_R01"
    assert str(msh[12]) == "2.5.1"
    assert str(msh[18]) == "UNICODE UTF-8"
    assert len(str(msh[10])) == 20
    assert (str(pid[3]), str(pid[5]), str(pid[7]), str(pid[8])) == ("P-1", "Müller^Zoë", "19600102", "F")
    assert (str(obr[3]), str(obr[4]), str(obr[25])) == ("A17", "24627-2^CT Chest^LN", "P")
    assert str(message.segment("TQ1")[9]) == "S"


def test_numbers_are_coded_and_grouped(composed: Composed) -> None:
    message = hl7.parse(composed.of(DocumentKind.ORU)[0].data.decode())
    found = {(str(obx[3][0][0]), str(obx[4])): obx for obx in message.segments("OBX")}
    nodule = composed.reading.findings[1].measurements
    volume = found[("118565006", "2")]
    assert float(str(volume[5])) == pytest.approx(nodule["volume_mm3"], abs=0.1)
    assert str(volume[6]) == "mm3^mm3^UCUM"
    assert float(str(found[("103339001", "2")][5])) == pytest.approx(nodule["long_axis_mm"], abs=0.01)
    assert str(found[("112040", "2")][5]) == "2.25.103"
    assert str(found[("laa-950", "4")][5]) == "1.25"
    assert [int(str(obx[1])) for obx in message.segments("OBX")] == list(
        range(1, len(message.segments("OBX")) + 1)
    )
    assert str(found[("triage-priority", "")][8]) == "AA"


@pytest.mark.parametrize("keyword", ["PatientName", "PatientID", "AccessionNumber", "ReferringPhysicianName"])
def test_no_header_makes_a_segment(composed: Composed, keyword: str) -> None:
    clean = _message(composed)
    message = _message(composed, **{keyword: HOSTILE})
    assert [str(one[0]) for one in message] == [str(one[0]) for one in clean]
    assert len(message.segments("OBX")) == len(clean.segments("OBX"))
    pid, obr = message.segment("PID"), message.segment("OBR")
    assert (str(pid[8]), str(obr[24])) == ("F", "CT")
    assert "\x0b" not in str(message)
    assert "\x1c" not in str(message)


def test_no_text_of_the_model_makes_a_segment(composed: Composed) -> None:
    problem = Problem(code=ProblemCode.CONTRAST_AGENT, message=HOSTILE, refuses=False)
    reading = dataclasses.replace(composed.reading, problems=(problem,))
    message = _message(composed, reading)
    assert len(message.segments("OBX")) == len(_message(composed).segments("OBX"))
    assert "fake" not in {str(obx[3]) for obx in message.segments("OBX")}


def test_prefix_and_suffix_change_places(composed: Composed) -> None:
    message = _message(composed, PatientName="Family^Given^Middle^Dr.^Jr.")
    assert str(message.segment("PID")[5]) == "Family^Given^Middle^Jr.^Dr."


def test_the_control_id_follows_the_reading(composed: Composed) -> None:
    later = dataclasses.replace(composed.reading, revision=2)
    ids = {str(_message(composed, reading).segment("MSH")[10]) for reading in (composed.reading, later)}
    assert len(ids) == 2
