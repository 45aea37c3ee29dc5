"""Where packages may send images is said in wetread.toml, not by who made them."""

from __future__ import annotations

from pathlib import Path

import pytest

from wetread.errors import InvalidPackage
from wetread.registry import read_models
from wetread.registry.settings import RegistrySettings

TEXT = """
name = "remote"
version = "1.0.0"
title = "Elsewhere"
intended_use = "Testing."
state = "draft"
operating_point = "default"
[eligibility]
modalities = ["CT"]
[runtime]
{runtime}
[task]
kind = "segmentation"
classes = ["background", "mass"]
positive = "mass"
[output]
label = "mass"
code = "4147007"
scheme = "SCT"
meaning = "Mass"
channel = 1
"""
KSERVE = 'kind = "kserve"\nurl = "{url}"\nremote_model = "m"'
PEER = 'kind = "dicom-peer"\npeer = "VENDOR@{place}"'


def package(folder: Path, runtime: str) -> Path:
    (folder / "model.toml").write_text(TEXT.format(runtime=runtime))
    return folder


@pytest.mark.parametrize(
    ("runtime", "receiver"),
    [
        (KSERVE.format(url="https://AI.example.org"), "ai.example.org:443"),
        (KSERVE.format(url="https://ai.example.org:8443"), "ai.example.org:8443"),
        (PEER.format(place="10.1.2.3:104"), "10.1.2.3:104"),
    ],
)
def test_another_machine_must_be_named(tmp_path: Path, runtime: str, receiver: str) -> None:
    folder = package(tmp_path, runtime)
    for allowed in ((), ("elsewhere.example.org:443",), (receiver.replace(":", ":1"),)):
        with pytest.raises(InvalidPackage, match=receiver):
            read_models([folder], RegistrySettings(may_send_to=allowed))
    assert "remote" in read_models([folder], RegistrySettings(may_send_to=(receiver.upper(),)))


@pytest.mark.parametrize(
    "runtime", [KSERVE.format(url="http://127.0.0.1:8000"), PEER.format(place="localhost:104")]
)
def test_this_machine_need_not_be(tmp_path: Path, runtime: str) -> None:
    assert "remote" in read_models([package(tmp_path, runtime)])
