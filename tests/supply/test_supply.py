"""What we are made of is known: locked by hash, its licences named, listed in an SBOM."""

import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
SERVE, DEV = ROOT / "lock" / "serve.txt", ROOT / "lock" / "dev.txt"


def read_lock(path: Path) -> dict[str, tuple[str, str, list[str]]]:
    """Return name -> version, marker, hashes."""
    entries = path.read_text().replace("\\\n", " ").splitlines()
    locked = {}
    for entry in entries:
        found = re.fullmatch(r"(\S+)==(\S+?)(?:\s*;\s*(.+?))?((?:\s+--hash=sha256:[0-9a-f]{64})+)\s*", entry)
        assert found, f"not a locked requirement: {entry[:80]}"
        name, locked_version, marker, hashes = found.groups()
        locked[canonicalize_name(name)] = (locked_version, marker or "", hashes.split())
    return locked


@pytest.mark.parametrize(
    ("path", "requirements"),
    [
        (SERVE, PROJECT["dependencies"]),
        (DEV, PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"]),
    ],
    ids=["serve", "dev"],
)
def test_everything_is_locked(path: Path, requirements: list[str]) -> None:
    locked = read_lock(path)
    for requirement in map(Requirement, requirements):
        found, _, hashes = locked[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(found, prereleases=True), f"run make lock: {requirement}"
        assert hashes


def test_serving_and_developing_use_the_same() -> None:
    serve, dev = read_lock(SERVE), read_lock(DEV)
    assert {name: one[0] for name, one in serve.items()} == {name: dev[name][0] for name in serve}


def test_what_is_installed_is_what_is_locked() -> None:
    for name, (locked_version, marker, _) in read_lock(SERVE).items():
        if not marker or Marker(marker).evaluate():
            assert version(name) == locked_version, name


def test_licences_are_listed_and_fit() -> None:
    lines = [line.split("|") for line in (ROOT / "docs/reference/licences.md").read_text().splitlines()]
    listed = {canonicalize_name(cells[1].strip()): cells[2].strip() for cells in lines if len(cells) == 5}
    needed = {name for name, one in read_lock(SERVE).items() if not one[1] or Marker(one[1]).evaluate()}
    assert needed <= set(listed), "run make licences"
    for name in needed:
        # LGPL may be linked to; GPL and AGPL may not be imported.
        assert listed[name] not in ("", "UNKNOWN"), name
        assert not re.search(r"(?<!L)GPL", listed[name]), f"{name}: {listed[name]}"


def test_sbom_names_everything(tmp_path: Path) -> None:
    out = tmp_path / "wetread.cdx.json"
    command = [str(Path(sys.executable).parent / "cyclonedx-py"), "environment"]
    command += ["--pyproject", str(ROOT / "pyproject.toml"), "--output-reproducible"]
    subprocess.run([*command, "--output-file", str(out), sys.executable], check=True, timeout=120)
    bom = json.loads(out.read_text())
    assert bom["bomFormat"] == "CycloneDX"
    assert bom["metadata"]["component"]["name"] == "wetread"
    named = {canonicalize_name(one["name"]): one for one in bom["components"]}
    for name, (locked_version, marker, _) in read_lock(SERVE).items():
        if not marker or Marker(marker).evaluate():
            assert named[name]["version"] == locked_version
            assert named[name]["purl"].startswith("pkg:pypi/")
            # protobuf says "3-Clause BSD License", which the tool does not know; it is in licences.md.
            assert named[name].get("licenses") or name == "protobuf", name
