"""One composed study for many tests."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.compose.past import compare
from tests.compose.scene import ORIENTATIONS, make_grid, make_reading, make_source, make_volume
from wetread.compose import Source, compose
from wetread.domain.document import READING_KINDS, Document, DocumentKind
from wetread.domain.reading import Reading

ALL_KINDS = READING_KINDS


@dataclass(frozen=True)
class Composed:
    reading: Reading
    source: Source
    documents: tuple[Document, ...]

    def of(self, kind: DocumentKind) -> list[Document]:
        return [document for document in self.documents if document.kind is kind]


@pytest.fixture(scope="session")
def composed(tmp_path_factory: pytest.TempPathFactory) -> Composed:
    orientation = ORIENTATIONS["axial"]
    volume = make_volume(make_grid(orientation))
    reading = compare(make_reading(volume))
    source = make_source(tmp_path_factory.mktemp("ct"), volume, orientation)
    return Composed(reading=reading, source=source, documents=compose(reading, source, ALL_KINDS))


@pytest.fixture(scope="session")
def check_iod() -> Callable[[Path], list[str]]:
    """Return the errors that dciodvfy finds in a file."""
    program = shutil.which("dciodvfy")
    if program is None:
        pytest.skip("dciodvfy is not installed: apt install dicom3tools")

    def check(path: Path) -> list[str]:
        done = subprocess.run([program, str(path)], capture_output=True, text=True, check=False, timeout=60)
        return [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")]

    return check


def text_of(pdf: bytes, folder: Path) -> str:
    """Return the words of a PDF file."""
    if shutil.which("pdftotext") is None:
        pytest.skip("pdftotext is not installed: apt install poppler-utils")
    path = folder / "report.pdf"
    path.write_bytes(pdf)
    command = ["pdftotext", "-layout", str(path), "-"]
    return subprocess.run(command, capture_output=True, check=True, timeout=60).stdout.decode()
