"""Pools of processes, each on a database of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.path.conftest import orthanc
from tests.postgres import Cluster, database_name, shared_cluster
from tests.workers.pool import Pool

__all__ = ["orthanc"]


@pytest.fixture
def cluster() -> Cluster:
    return shared_cluster()


@pytest.fixture
def make_pool(tmp_path: Path, cluster: Cluster) -> Iterator[Callable[..., Pool]]:
    made: list[Pool] = []

    def make(config: str = "") -> Pool:
        pool = Pool(tmp_path, cluster, database_name(tmp_path), config)
        made.append(pool)
        return pool

    yield make
    for pool in made:
        pool.stop()
