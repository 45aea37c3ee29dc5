"""[[pacs]] is read and checked as a whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from wetread.config import check_config, read_config
from wetread.errors import ConfigError
from wetread.fetch.pacs import Pacs, Retrieve, Search, read_pacs
from wetread.fetch.web import check_token


def test_the_ways_follow_from_the_address() -> None:
    dimse, web = Pacs(name="a", to="PACS@10.0.0.1:104"), Pacs(name="b", dicomweb_url="https://pacs/rs")
    assert (dimse.search, dimse.retrieve) == (Search.CFIND, Retrieve.CGET)
    assert (web.search, web.retrieve) == (Search.QIDO, Retrieve.WADO)
    assert (dimse.callee.host, dimse.callee.port, dimse.callee.aet) == ("10.0.0.1", 104, "PACS")
    assert (dimse.source, web.source) == ("PACS", "b")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({}, "needs name"),
        ({"name": "a"}, "say where it is"),
        ({"name": "a b", "to": "A@h:1"}, "letters, digits"),
        ({"name": "a", "to": "nowhere"}, "AET@HOST:PORT"),
        ({"name": "a", "to": "A@h:0"}, "AET@HOST:PORT"),
        ({"name": "a", "to": "A@h:1", "retrive": "wado"}, "did you mean 'retrieve'"),
        ({"name": "a", "to": "A@h:1", "retrieve": "c-take"}, "c-get, c-move, wado"),
        ({"name": "a", "to": "A@h:1", "retrieve": "wado"}, "needs dicomweb_url"),
        ({"name": "a", "dicomweb_url": "https://h/rs", "retrieve": "c-move"}, "DIMSE needs to"),
        ({"name": "a", "dicomweb_url": "http://pacs/rs"}, "clear text"),
        ({"name": "a", "dicomweb_url": "file:///etc/passwd"}, "an address such as"),
        ({"name": "a", "dicomweb_url": "https://me:secret@h/rs"}, "use token_file"),
        ({"name": "a", "to": "A@h:1", "token_file": "t"}, "set dicomweb_url"),
        ({"name": "a", "to": "A@h:1", "certificate": "c"}, "without TLS"),
        ({"name": "a", "to": "A@h:1", "tls": True, "certificate": "c"}, "both certificate and key"),
        ({"name": "a", "to": "A@h:1", "watch": {"interval_s": 0}}, "interval_s"),
        ({"name": "a", "to": "A@h:1", "watch": {"interval": 5}}, "did you mean 'interval_s'"),
        ({"name": "a", "to": "A@h:1", "priors": {"wait_s": 99999}}, "wait_s"),
        ({"name": "a", "to": "A@h:1", "backfill_hours": "at night"}, "HH:MM"),
        ({"name": "a", "to": "A@h:1", "calling_aet": "much too long a title"}, "calling_aet"),
    ],
)
def test_what_cannot_be_meant_is_refused(table: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_pacs(table, Path())


def test_clear_text_is_allowed_here_or_where_somebody_says_so() -> None:
    assert Pacs(name="a", dicomweb_url="http://127.0.0.1:8042/dicom-web").needs_tls is False
    assert Pacs(name="a", dicomweb_url="http://pacs/rs", allow_http=True).needs_tls is False


def test_two_of_one_name(tmp_path: Path) -> None:
    path = tmp_path / "wetread.toml"
    path.write_text('[[pacs]]\nname = "a"\nto = "A@h:1"\n' * 2)
    with pytest.raises(ConfigError, match="same name"):
        check_config(read_config(path))


@pytest.mark.parametrize(
    ("text", "mode", "message"),
    [("secret", 0o644, "Others can read"), ("", 0o600, "is none"), ("two words", 0o600, "is none")],
)
def test_a_token_that_cannot_be_used(tmp_path: Path, text: str, mode: int, message: str) -> None:
    path = tmp_path / "token"
    path.write_text(text)
    path.chmod(mode)
    with pytest.raises(ConfigError, match=message):
        check_token(Pacs(name="a", dicomweb_url="https://h/rs", token_file=path))
