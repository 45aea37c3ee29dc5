"""The package of OHIF as it comes from npm, and a small one that is laid out alike."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from wetread.web.ohif.prepare import VERSION

NPM = shutil.which("npm")


def have_package() -> Path:
    """Return the package; it is got from npm once for each machine."""
    folder = Path(tempfile.gettempdir()) / f"wetread-ohif-{VERSION}-{os.getuid()}"
    package = folder / f"ohif-app-{VERSION}.tgz"
    if not package.is_file():
        assert NPM
        folder.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as name:
            pack = [NPM, "pack", f"@ohif/app@{VERSION}", "--silent", "--pack-destination", name]
            subprocess.run(pack, check=True, capture_output=True, timeout=300)
            [archive] = Path(name).glob("*.tgz")
            archive.rename(package)
    return package


#: What is replaced, as often as in the real one.
SMALL = {
    "app.bundle.0f6159c501addfe9.js": "__webpack_require__.p = \"/\"; x = '/dicom-microscopy-viewer/'; //"
    + "a" * 2000,
    **{f"{number}.bundle.{number:016x}.js": '__webpack_require__.p = "/"' for number in range(7)},
    "app.bundle.css": "@font-face { src: " + "url(/a.woff2) " * 5 + "}",
    "index.html": 'window.PUBLIC_URL="/" ' * 2 + 'href="/x" ' * 28 + 'src="/x" ' * 3 + 'content="/x" ' * 2,
    "manifest.json": '"/assets/x" ' * 9,
    "0ddf166f7a343eda.wasm": "\0asm",
    "assets/favicon.ico": "icon",
    "sw.js": "https://storage.googleapis.com",
    "google.js": "https://accounts.google.com",
    "app-config.js": "window.config = {}",
    "ort/ort.wasm": "x",
    "a.js.map": "x",
    "_headers": "x",
}


def write_small(path: Path, **changes: str) -> Path:
    """Write a package; ``changes`` replace files by their names with ``_`` for dots."""
    with tarfile.open(path, "w:gz") as tar:
        for name, text in {
            **SMALL,
            **{name.replace("__", "."): text for name, text in changes.items()},
        }.items():
            data = text.encode()
            member = tarfile.TarInfo(f"package/dist/{name}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
        outside = tarfile.TarInfo("package/package.json")
        tar.addfile(outside, io.BytesIO())
    return path
