"""How many images a study will have is kept, whether it is told before or after they came."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from tests.store.test_store import NOW, arrive
from tests.stores import open_store
from wetread.store import Store, schema
from wetread.store.expectations import KEEP_S

STUDY = "1.2.5"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path / "data")
    yield opened
    opened.close()


def told(store: Store) -> tuple[int | None, str]:
    row = store.studies.find(STUDY)
    assert row is not None
    return row.expected_instances, row.expected_by


@pytest.mark.parametrize("is_first", [True, False])
def test_the_order_does_not_matter(store: Store, is_first: bool) -> None:
    if is_first:
        store.studies.expect(STUDY, 412, "pacs")
    store.intake.accept(arrive(store, 1))
    if not is_first:
        store.studies.expect(STUDY, 412, "pacs")
    store.intake.accept(arrive(store, 2))
    assert told(store) == (412, "pacs")


def test_what_was_told_last_counts(store: Store) -> None:
    store.studies.expect(STUDY, 100, "pacs")
    store.studies.expect(STUDY, 200, "ris")
    store.intake.accept(arrive(store, 1))
    assert told(store) == (200, "ris")
    store.studies.expect(STUDY, 201, "pacs")
    assert told(store) == (201, "pacs")


def test_a_study_that_never_comes_is_forgotten(store: Store) -> None:
    store.studies.expect("1.9", 5, "pacs", NOW)
    store.studies.expect("1.8", 5, "pacs", NOW + timedelta(seconds=KEEP_S + 1))
    with store.engine.connect() as connection:
        assert connection.execute(select(func.count()).select_from(schema.expectation)).scalar() == 1


@pytest.mark.parametrize("count", [0, -1, 10**6])
def test_no_number_of_images(store: Store, count: int) -> None:
    with pytest.raises(ValueError, match="images"):
        store.studies.expect(STUDY, count, "pacs")
