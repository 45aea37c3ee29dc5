"""A phantom made once, an Orthanc and a service for each test."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.orthanc import Orthanc, running_orthanc
from tests.path.service import Service
from tests.ports import free_port
from wetread.phantom import demo_options, write_phantom


@pytest.fixture(scope="session")
def visits(tmp_path_factory: pytest.TempPathFactory) -> list[list[Path]]:
    """The demo's patient, coarse: the files of visit 1 and of visit 2 in slice order."""
    folder = tmp_path_factory.mktemp("phantom")
    write_phantom(demo_options(small=True), folder)
    return [sorted((folder / f"visit{number}").glob("*.dcm")) for number in (1, 2)]


@pytest.fixture
def orthanc(tmp_path: Path) -> Iterator[Orthanc]:
    with running_orthanc(tmp_path / "orthanc") as running:
        yield running


@pytest.fixture
def make_service(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    made: list[Service] = []

    def make(config: str = "", dicom: str = "") -> Service:
        folder = tmp_path / f"service{len(made)}"
        folder.mkdir()
        service = Service(
            folder=folder, dicom_port=free_port(), http_port=free_port(), config=config, dicom=dicom
        )
        made.append(service)
        service.start()
        return service

    yield make
    for service in made:
        service.stop()
