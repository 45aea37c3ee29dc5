"""Signed packages: only what somebody trusted vouched for is taken, and only unchanged."""

import json
import shutil
import stat
from pathlib import Path

import pytest

from tests.registry.test_package import package
from wetread.errors import ConfigError, InvalidPackage, InvalidSignature
from wetread.infer.read import load_reader
from wetread.registry import read_models, read_package
from wetread.registry.settings import RegistrySettings
from wetread.registry.signature import make_key, sign_package, verify_package


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    """A private key and its public one."""
    private = tmp_path / "site.key"
    return private, make_key(private)


@pytest.fixture
def signed(tmp_path: Path, keys: tuple[Path, Path]) -> Path:
    folder = package(tmp_path / "p")
    (folder / "my_model.py").write_text("def read(request):\n    return None\n")
    sign_package(folder, read_package(folder).identity, keys[0])
    return folder


def test_a_signed_package_is_taken(signed: Path, keys: tuple[Path, Path]) -> None:
    assert "my-model" in read_models([signed], RegistrySettings(trusted_keys=(keys[1],)))
    assert verify_package(signed, read_package(signed).identity, [keys[1]])


def test_the_private_key_is_the_owners_alone(keys: tuple[Path, Path]) -> None:
    assert stat.S_IMODE(keys[0].stat().st_mode) == 0o600
    with pytest.raises(ConfigError, match="new file name"):
        make_key(keys[0])


@pytest.mark.parametrize("change", ["content", "new file", "version", "no signature", "garbage", "deep"])
def test_what_was_changed_is_refused(signed: Path, keys: tuple[Path, Path], change: str) -> None:
    signature = signed / "model.sig"
    if change == "content":
        (signed / "my_model.py").write_text("import os\n")
    elif change == "new file":
        (signed / "weights.onnx").write_bytes(b"x")
    elif change == "version":
        text = (signed / "model.toml").read_text()
        (signed / "model.toml").write_text(text.replace("1.2.0", "1.2.1"))
    elif change == "no signature":
        signature.unlink()
    else:
        signature.write_text("[" * 100_000 if change == "deep" else "{}")
    with pytest.raises(InvalidSignature):
        read_models([signed], RegistrySettings(trusted_keys=(keys[1],)))


def test_another_key_and_another_package_are_refused(
    tmp_path: Path, signed: Path, keys: tuple[Path, Path]
) -> None:
    other = make_key(tmp_path / "other.key")
    with pytest.raises(InvalidSignature, match="not trusted"):
        read_models([signed], RegistrySettings(trusted_keys=(other,)))
    # A signature claims the trusted key's name but was made by another.
    sign_package(signed, read_package(signed).identity, tmp_path / "other.key")
    content = json.loads((signed / "model.sig").read_text())
    sign_package(signed, read_package(signed).identity, keys[0])
    named = json.loads((signed / "model.sig").read_text())
    (signed / "model.sig").write_text(json.dumps(named | {"signature": content["signature"]}))
    with pytest.raises(InvalidSignature):
        read_models([signed], RegistrySettings(trusted_keys=(keys[1],)))


def test_what_changes_after_the_start_does_not_run(signed: Path) -> None:
    model = read_package(signed)
    (signed / "my_model.py").write_text("raise SystemExit\n")
    with pytest.raises(InvalidPackage, match="changed"):
        load_reader(model)


def test_compiled_files_beside_the_code_do_not_run(
    tmp_path: Path, signed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compiled files are outside of the digest: one that was planted must not be taken for the source."""
    import importlib.util
    import py_compile
    import sys

    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "pycache_prefix", sys.pycache_prefix)
    evil = tmp_path / "evil.py"
    evil.write_text("def read(request):\n    return 'evil'\n")
    source = signed / "my_model.py"
    planted = importlib.util.cache_from_source(str(source))
    py_compile.compile(
        str(evil), cfile=planted, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH
    )
    assert (signed / "__pycache__").exists()
    try:
        reader = load_reader(read_package(signed))
        assert reader(None) is None  # type: ignore[arg-type]
    finally:
        sys.modules.pop("my_model", None)
    shutil.rmtree(signed / "__pycache__")
