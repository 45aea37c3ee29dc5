"""Packages are taken in whole, checked, or not at all."""

from __future__ import annotations

import shutil
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from typer.testing import CliRunner

from tests.infer.networks import brightness_classifier, threshold_segmenter, write_package
from wetread.archive import unpack_archive
from wetread.cli import app
from wetread.errors import InvalidOutput, InvalidPackage, InvalidSignature
from wetread.infer.trial import try_model
from wetread.registry.adding import Added, add_package
from wetread.registry.bundle import Wishes
from wetread.registry.signature import make_key, sign_package

OUTPUT = '[output]\nlabel = "nodule"\ncode = "27925004"\nscheme = "SCT"\nmeaning = "Nodule"\n'
SEGMENTS = 'kind = "segmentation"'


def never(*_arguments: object) -> None:
    raise AssertionError("nothing is converted here")


def add(source: Path, models: Path, **more: object) -> Added:
    return add_package(
        source, models, wishes=Wishes(), to_onnx=never, **{"try_model": lambda _: "", **more}  # type: ignore[arg-type]
    )  # fmt: skip


def zipped(folder: Path, path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for one in sorted(folder.rglob("*")):
            archive.write(one, Path("inside") / one.relative_to(folder))
    return path


@pytest.mark.parametrize("as_zip", [False, True], ids=["folder", "zip"])
def test_a_package_of_ours_is_put_beside_the_others(tmp_path: Path, as_zip: bool) -> None:
    model = write_package(tmp_path / "p", threshold_segmenter(), SEGMENTS, more=OUTPUT)
    source = zipped(tmp_path / "p", tmp_path / "p.zip") if as_zip else tmp_path / "p"
    (tmp_path / "wetread.toml").write_text('data = "data"')
    for sentence in ("put into", "was there before"):
        result = CliRunner().invoke(
            app, ["models", "add", str(source), "--config", str(tmp_path / "wetread.toml")]
        )
        assert result.exit_code == 0, result.output
        assert sentence in result.output
        assert model.identity.digest in result.output
        assert "its answer fits its task" in result.output
    assert [one.name for one in (tmp_path / "data/models").iterdir()] == ["my-model-1.0.0"]
    # The lines that were printed make a configuration.
    told = result.output[result.output.index("models = [") :]
    from wetread.config import check_config, read_config

    (tmp_path / "told.toml").write_text(told)
    settings = read_config(tmp_path / "told.toml")
    check_config(settings)
    assert settings.models == (tmp_path / "data/models/my-model-1.0.0",)


def test_another_content_under_the_same_version_is_refused(tmp_path: Path) -> None:
    write_package(tmp_path / "p", threshold_segmenter(), SEGMENTS, more=OUTPUT)
    add(tmp_path / "p", tmp_path / "models")
    (tmp_path / "p/notes.txt").write_text("changed")
    with pytest.raises(InvalidPackage, match="another content"):
        add(tmp_path / "p", tmp_path / "models")
    assert [one.name for one in (tmp_path / "models").iterdir()] == ["my-model-1.0.0"]


def test_a_network_that_does_not_fit_its_task_is_refused_before_it_is_there(tmp_path: Path) -> None:
    write_package(tmp_path / "p", brightness_classifier(), SEGMENTS, more=OUTPUT)
    with pytest.raises(InvalidOutput, match="another grid"):
        add(tmp_path / "p", tmp_path / "models", try_model=try_model)
    (tmp_path / "p/model.onnx").write_bytes(b"no network")
    with pytest.raises(InvalidPackage, match="ONNX"):
        add(tmp_path / "p", tmp_path / "models", try_model=try_model)
    assert not list((tmp_path / "models").iterdir())


def test_where_keys_are_trusted_a_package_must_be_signed_by_one(tmp_path: Path) -> None:
    model = write_package(tmp_path / "p", threshold_segmenter(), SEGMENTS, more=OUTPUT)
    key = make_key(tmp_path / "key.pem")
    with pytest.raises(InvalidSignature):
        add(tmp_path / "p", tmp_path / "models", trusted_keys=[key])
    sign_package(tmp_path / "p", model.identity, tmp_path / "key.pem")
    added = add(tmp_path / "p", tmp_path / "models", trusted_keys=[key])
    assert any(one.startswith("signature: by") for one in added.checked)


def _with(name: str, data: bytes = b"x", mode: int = 0) -> Callable[[zipfile.ZipFile], None]:
    def write(archive: zipfile.ZipFile) -> None:
        member = zipfile.ZipInfo(name)
        member.external_attr = mode << 16
        archive.writestr(member, data)

    return write


def _twice(archive: zipfile.ZipFile) -> None:
    archive.writestr("inside/a.txt", b"x")
    archive.writestr("inside/A.txt", b"x")


HOSTILE: dict[str, Callable[[zipfile.ZipFile], None]] = {
    "H62-slip": _with("../../evil.txt"),
    "H62-slip-inside": _with("inside/../../evil.txt"),
    "H62-absolute": _with("/tmp/evil.txt"),
    "H62-backslash": _with("..\\evil.txt"),
    "H62-drive": _with("C:/evil.txt"),
    "H62-link": _with("inside/link", b"/etc/passwd", stat.S_IFLNK | 0o777),
    "H62-pipe": _with("inside/pipe", b"", stat.S_IFIFO | 0o600),
    "H62-twice": _twice,
    "H62-newline": _with("inside/a\nb"),
    "H62-pickle": _with("inside/weights.pkl"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_an_archive_with_more_than_a_package_is_refused(name: str, tmp_path: Path) -> None:
    write_package(tmp_path / "p", threshold_segmenter(), SEGMENTS, more=OUTPUT)
    source = (
        zipped(tmp_path / "p", tmp_path / "work" / "p.zip") if (tmp_path / "work").mkdir() is None else None
    )
    assert source is not None
    with zipfile.ZipFile(source, "a") as archive:
        HOSTILE[name](archive)
    with pytest.raises(InvalidPackage):
        add(source, tmp_path / "models")
    assert not list((tmp_path / "models").iterdir())
    assert not list(tmp_path.glob("**/evil*"))


def test_an_archive_beyond_the_limits_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", bytes(4 << 20))
    with zipfile.ZipFile(tmp_path / "many.zip", "w") as archive:
        for number in range(30):
            archive.writestr(f"{number}", b"")
    for name, most_files, most_bytes in (("bomb", 10, 1 << 20), ("many", 29, 1 << 20)):
        (tmp_path / name).mkdir()
        with pytest.raises(zipfile.BadZipFile):
            unpack_archive(
                tmp_path / f"{name}.zip", tmp_path / name, most_files=most_files, most_bytes=most_bytes
            )
        assert sum(one.stat().st_size for one in (tmp_path / name).iterdir()) == 0


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidPackage, match="no model"):
        add(tmp_path / "empty", tmp_path / "models")
    onnx.save(threshold_segmenter(), tmp_path / "model.onnx")
    with pytest.raises(InvalidPackage, match="not taken"):
        add(tmp_path / "model.onnx", tmp_path / "models")
    shutil.rmtree(tmp_path / "models")
