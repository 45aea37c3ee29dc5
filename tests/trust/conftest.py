"""The library for a disk that fails, built once."""

from pathlib import Path

import pytest

from tests.trust.disk import Disk, build_disk, make_disk


@pytest.fixture(scope="session")
def disk_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_disk(tmp_path_factory.mktemp("disk"))


@pytest.fixture
def disk(disk_library: Path, tmp_path: Path) -> Disk:
    return make_disk(disk_library, tmp_path)
