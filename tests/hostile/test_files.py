"""H17 to H36 through the door of the network: every row alone against a real service."""

from __future__ import annotations

import pytest

from tests.hostile.build import series_of
from tests.hostile.conftest import BUSY_ECHO_S, EchoMeter, Target
from tests.hostile.rows import ROWS, Row
from wetread.domain.progress import StudyState


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_a_hostile_file(row: Row, target: Target) -> None:
    objects = row.make()
    sender = row.id[:16]
    with EchoMeter(target.service.dicom_port) as meter:
        statuses = target.send(objects, sender)
    assert meter.slowest_s < BUSY_ECHO_S
    if row.code:
        assert statuses[-1] in {0x0111, 0x0117, 0xA900, 0xC000}
        assert target.problems_of(sender) == [row.code]
        return
    assert set(statuses) == {0}
    assert not target.problems_of(sender)
    (study,) = {one.study for one in objects if one.study} or {""}
    if study:
        state = target.await_end(study)
        assert row.is_read is None or (state is StudyState.READ) is row.is_read


def test_a_good_study_is_read_as_ever(target: Target) -> None:
    good = series_of()
    assert target.send(good, "GOOD") == [0, 0, 0]
    assert target.await_end(good[0].study) is StudyState.READ
