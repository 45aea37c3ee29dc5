"""Bodies of STOW-RS requests, as clients send them."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from typing import Any

from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

BOUNDARY = "wetread-boundary"
DICOM, JSON = "application/dicom", "application/dicom+json"

Part = tuple[dict[str, str], bytes]


def related(kind: str = DICOM, boundary: str = BOUNDARY) -> str:
    return f'multipart/related; type="{kind}"; boundary={boundary}'


def multipart(parts: Iterable[Part], boundary: str = BOUNDARY) -> bytes:
    pieces = []
    for headers, data in parts:
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        pieces.append(f"--{boundary}\r\n{lines}\r\n".encode() + data + b"\r\n")
    return b"".join(pieces) + f"--{boundary}--\r\n".encode()


def files(*data: bytes) -> bytes:
    return multipart(({"Content-Type": DICOM}, one) for one in data)


def new_ct(study: str = "", **changes: Any) -> Dataset:
    """Return a small CT with UIDs of its own."""
    dataset = dcmread(get_testdata_file("CT_small.dcm"))
    dataset.StudyInstanceUID = study or generate_uid()
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    return dataset


def encode(dataset: Dataset) -> bytes:
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def as_json(*datasets: Dataset, threshold: int = 1024) -> tuple[bytes, dict[str, bytes]]:
    """Return metadata in the DICOM JSON Model and the bulk data by address."""
    bulk: dict[str, bytes] = {}

    def keep(element: Any) -> str:
        address = f"bulk/{len(bulk)}"
        bulk[address] = bytes(element.value)
        return address

    models = [one.to_json_dict(threshold, keep) for one in datasets]
    return json.dumps(models).encode(), bulk


def with_bulk(metadata: bytes, bulk: dict[str, bytes], kind: str = "application/octet-stream") -> bytes:
    parts: list[Part] = [({"Content-Type": JSON}, metadata)]
    parts += [({"Content-Type": kind, "Content-Location": name}, data) for name, data in bulk.items()]
    return multipart(parts)
