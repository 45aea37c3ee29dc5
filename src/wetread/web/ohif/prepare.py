"""Set up OHIF for ``/ohif/``: the package from npm, checked, pruned, with its addresses moved.

In: the package's file.  Out: a folder that is served.
Never: a download; another version than the one that was tried; a package that was changed.

``@ohif/app`` is built for the root of a host. Its addresses are few and stand in plain text: each is
replaced, and counted, so that a package with one more or one less is refused instead of half moved.
"""

from __future__ import annotations

import gzip
import hashlib
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from wetread.errors import ConfigError

VERSION = "3.13.2"
#: Of ``ohif-app-3.13.2.tgz``, as ``npm pack @ohif/app@3.13.2`` fetches it.
SHA256 = "b189d3963bfc58e9394a9db8c7be75d07beb029ec211dbb126d47b62969dd3f1"
PREFIX = "/ohif/"
#: Name hosts outside, or are of no use here; ``ort`` is 85 MB of a model's runtime.
_LEFT_OUT = frozenset(
    {"sw.js", "google.js", "silent-refresh.html", "_headers", "_redirects", "app-config.js"}
)
_LEFT_OUT_FOLDERS = frozenset({"ort"})
_PACKED = frozenset({".css", ".html", ".js", ".json", ".jsonc", ".svg", ".wasm"})
_LARGEST_BYTES = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A text that is replaced in some files, and how often it stands there in all."""

    pattern: str
    old: str
    new: str
    count: int


MOVES = (
    Move(
        pattern="*.js", old='__webpack_require__.p = "/"', new=f'__webpack_require__.p = "{PREFIX}"', count=8
    ),
    Move(
        pattern="app.bundle.*.js",
        old="'/dicom-microscopy-viewer/",
        new=f"'{PREFIX}dicom-microscopy-viewer/",
        count=1,
    ),
    Move(pattern="*.css", old="url(/", new=f"url({PREFIX}", count=5),
    Move(pattern="index.html", old='window.PUBLIC_URL="/"', new=f'window.PUBLIC_URL="{PREFIX}"', count=2),
    Move(pattern="index.html", old='href="/', new=f'href="{PREFIX}', count=28),
    Move(pattern="index.html", old='src="/', new=f'src="{PREFIX}', count=3),
    Move(pattern="index.html", old='content="/', new=f'content="{PREFIX}', count=2),
    Move(pattern="manifest.json", old='"/assets', new=f'"{PREFIX}assets', count=9),
)


def install(package: Path, folder: Path) -> Path:
    """Set the viewer up; returns where it lies.

    Parameters
    ----------
    package
        ``ohif-app-3.13.2.tgz``.
    folder
        In the data folder; made if it is not there. What was set up before stays until this is whole.

    Raises
    ------
    ConfigError
        If it is not that package, or cannot be set up.
    """
    _check(package)
    # The data folder is nobody else's, whoever makes it.
    folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.mkdir(exist_ok=True)
    target = folder / VERSION
    with tempfile.TemporaryDirectory(dir=folder, prefix="new-") as name:
        fresh = Path(name) / VERSION
        _unpack(package, fresh)
        for move in MOVES:
            _apply(move, fresh)
        for path in _files(fresh):
            if path.suffix in _PACKED:
                path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes(), 6, mtime=0))
        if target.exists():
            target.rename(Path(name) / "old")
        fresh.rename(target)
    return target


def find_viewer(folder: Path) -> Path | None:
    """Return where the viewer lies that is set up, None where there is none."""
    target = folder / VERSION
    return target if (target / "index.html").is_file() else None


def _check(package: Path) -> None:
    fetch = f"fetch it with: npm pack @ohif/app@{VERSION}"
    try:
        found = hashlib.sha256(package.read_bytes()).hexdigest()
    except OSError as error:
        raise ConfigError(f"The viewer's package cannot be read: {fetch}") from error
    if found != SHA256:
        raise ConfigError(
            f"This is not the package of OHIF {VERSION}, or it was changed: {fetch}", sha256=found
        )


def _unpack(package: Path, target: Path) -> None:
    """Unpack what is served, and nothing else."""
    with tarfile.open(package) as tar:
        for member in tar:
            parts = Path(member.name).parts
            if parts[:2] != ("package", "dist") or not member.isfile() or _is_left_out(parts[2:]):
                continue
            source = tar.extractfile(member)
            if source is None or ".." in parts or member.size > _LARGEST_BYTES:
                raise ConfigError("The viewer's package holds what it should not.", name=member.name)
            path = target.joinpath(*parts[2:])
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as out:
                shutil.copyfileobj(source, out)


def _is_left_out(parts: tuple[str, ...]) -> bool:
    name = parts[-1] if parts else ""
    return name in _LEFT_OUT or name.endswith(".map") or parts[0] in _LEFT_OUT_FOLDERS


def _apply(move: Move, folder: Path) -> None:
    count = 0
    for path in sorted(folder.rglob(move.pattern)):
        text = path.read_bytes()
        found = text.count(move.old.encode())
        if found:
            count += found
            path.write_bytes(text.replace(move.old.encode(), move.new.encode()))
    if count != move.count:
        raise ConfigError(
            "The viewer's package is not laid out as the one that was tried.", text=move.old, found=count
        )


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())
