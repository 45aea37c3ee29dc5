"""axe-core as it comes from npm: what it finds wrong with a page for who cannot see or point well."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from tests.web.browser import Browser

VERSION = "4.14.1"
SHA256 = "e6b0ce02b84d892e2e33e403485e7f3d6c29e2be6df65daf44d89ba564139745"
NPM = shutil.which("npm")


def have_axe() -> str:
    """Return its script; it is got from npm once for each machine, and checked."""
    path = Path(tempfile.gettempdir()) / f"wetread-axe-{VERSION}-{os.getuid()}.js"
    if not path.is_file():
        with tempfile.TemporaryDirectory(dir=path.parent) as name:
            work = Path(name)
            assert NPM
            pack = [NPM, "pack", f"axe-core@{VERSION}", "--silent", "--pack-destination", str(work)]
            subprocess.run(pack, check=True, capture_output=True, timeout=300)
            [archive] = work.glob("*.tgz")
            assert hashlib.sha256(archive.read_bytes()).hexdigest() == SHA256
            with tarfile.open(archive) as tar:
                tar.extract("package/axe.min.js", work, filter="data")
            (work / "package" / "axe.min.js").rename(path)
    return path.read_text()


def find_faults(browser: Browser) -> list[str]:
    """Return the serious and critical faults of the page that is open."""
    browser.ask(f"{have_axe()}; true")
    found = browser.ask(
        "axe.run({resultTypes: ['violations']}).then((all) => all.violations.map((one) => "
        "[one.impact, one.id, one.nodes.map((node) => node.target.join(' ') + ': ' + node.failureSummary)]))"
    )
    return [
        f"{name}: {node}"
        for impact, name, nodes in found
        if impact in ("serious", "critical")
        for node in nodes
    ]
