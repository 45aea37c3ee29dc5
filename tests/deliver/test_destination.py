"""Destinations: what can be written, and what a typo gives."""

from __future__ import annotations

import pytest

from wetread.deliver.destination import (
    Destination,
    DestinationKind,
    Verify,
    parse_destination,
    read_destination,
)
from wetread.domain.document import DICOM_KINDS, DocumentKind
from wetread.errors import ConfigError


def test_short_form() -> None:
    one = parse_destination("ORTHANC@pacs.example:4242")
    assert (one.aet, one.host, one.port) == ("ORTHANC", "pacs.example", 4242)
    assert set(one.kinds) == DICOM_KINDS


@pytest.mark.parametrize(
    "text", ["", "pacs:4242", "A@B", "A@b:x", "A@b:70000", "A@b:0", "TOOLONGAETITLE123@b:1", "A\\B@b:1"]
)
def test_no_destination(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_destination(text)


def test_table() -> None:
    one = read_destination(
        {"name": "pacs", "to": "PACS@10.0.0.1:104", "kinds": ["sr", "seg"], "verify": "cfind", "timeout_s": 5}
    )
    assert one == Destination(
        name="pacs",
        kind=DestinationKind.CSTORE,
        host="10.0.0.1",
        port=104,
        aet="PACS",
        kinds=(DocumentKind.SR, DocumentKind.SEG),
        verify=Verify.CFIND,
        timeout_s=5.0,
    )
    ris = read_destination({"name": "ris", "kind": "mllp", "host": "ris", "port": 2575})
    assert ris.kinds == (DocumentKind.ORU, DocumentKind.RESULT)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"to": "A@b:1"}, "without a name"),
        ({"name": "p", "to": "A@b:1", "verfy": "cfind"}, "did you mean 'verify'"),
        ({"name": "p", "to": "A@b:1", "verify": "cfindd"}, "did you mean 'cfind'"),
        ({"name": "p", "to": "A@b:1", "kinds": ["seg", "srr"]}, "did you mean 'sr'"),
        ({"name": "p", "to": "A@b:1", "kinds": "sr"}, "kinds must be a list"),
        ({"name": "p", "to": "A@b:1", "kinds": ["oru"]}, "oru cannot go by C-STORE"),
        ({"name": "p", "to": "A@b:1", "verify": "qido"}, "needs qido_url"),
        ({"name": "p", "to": "A@b:1", "verify": "qido", "qido_url": "file:///etc"}, "needs qido_url"),
        ({"name": "p", "kind": "mllp", "host": "h"}, "port is missing"),
        ({"name": "p", "kind": "mllp", "host": "h", "port": "x"}, "port must be int"),
        ({"name": "p", "kind": "mllp", "host": "h", "port": True}, "port must be int"),
        ({"name": "p", "kind": "mllp", "host": "h", "port": 1, "kinds": ["sr"]}, "by MLLP go messages"),
        ({"name": "p", "kind": "mllp", "host": "h", "port": 1, "verify": "cfind"}, "cannot be asked"),
        ({"name": "p", "to": "A@b:1", "timeout_s": 0}, "above 0"),
    ],
)
def test_typos_are_named(table: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        read_destination(table)
