"""Which representation somebody gets."""

from __future__ import annotations

import pytest

from wetread.dicom.part10 import EXPLICIT
from wetread.errors import NotAcceptable
from wetread.share.accept import DICOM, JSON, XML, MediaType, choose, choose_syntax, read_accept

JPEG_LS = "1.2.840.10008.1.2.4.80"
METADATA = (MediaType(name=JSON), MediaType(name=XML, is_multipart=True))
OBJECTS = (MediaType(name=DICOM, is_multipart=True), MediaType(name=DICOM))


@pytest.mark.parametrize(
    ("header", "name", "is_multipart"),
    [
        ("", JSON, False),
        ("*/*", JSON, False),
        ("application/dicom+json", JSON, False),
        ("application/*", JSON, False),
        ('multipart/related; type="application/dicom+xml"', XML, True),
        ("multipart/related;type=application/dicom+xml", XML, True),
        ('application/dicom+json;q=0.5, multipart/related; type="application/dicom+xml";q=0.9', XML, True),
        ("text/html, application/xhtml+xml, */*;q=0.8", JSON, False),
        ('multipart/related; type="application/dicom+xml";q=0, application/dicom+json', JSON, False),
    ],
)
def test_the_preferred_of_what_is_offered(header: str, name: str, is_multipart: bool) -> None:
    chosen = choose(read_accept([header] if header else []), METADATA)
    assert (chosen.name, chosen.is_multipart) == (name, is_multipart)


@pytest.mark.parametrize(
    "header", ["text/html", "application/dicom+xml", "image/jpeg, text/plain", "a/b;q=x", "no"]
)
def test_what_nobody_can_serve(header: str) -> None:
    with pytest.raises(NotAcceptable):
        choose(read_accept([header]), METADATA)


def test_the_address_goes_before_the_header() -> None:
    accepted = read_accept(["text/html"], "application/dicom+json")
    assert choose(accepted, METADATA).name == JSON


@pytest.mark.parametrize(
    ("header", "syntax"),
    [
        ("application/dicom", EXPLICIT),
        ("application/dicom; transfer-syntax=*", JPEG_LS),
        (f"application/dicom; transfer-syntax={JPEG_LS}", JPEG_LS),
        (f'multipart/related; type="application/dicom"; transfer-syntax="{EXPLICIT}"', EXPLICIT),
    ],
)
def test_the_transfer_syntax(header: str, syntax: str) -> None:
    assert choose_syntax(choose(read_accept([header]), OBJECTS), JPEG_LS) == syntax


def test_nothing_is_compressed_on_the_way_out() -> None:
    chosen = choose(read_accept(["application/dicom; transfer-syntax=1.2.840.10008.1.2.4.90"]), OBJECTS)
    with pytest.raises(NotAcceptable):
        choose_syntax(chosen, JPEG_LS)


def test_a_header_without_end_is_refused() -> None:
    with pytest.raises(NotAcceptable):
        read_accept(["a/b," * 2000])
    with pytest.raises(NotAcceptable):
        read_accept(["a/b," * 100])
