"""The documentation says what the program does: its examples are run, its tables are complete."""

import dataclasses
import re
import shlex
import typing
from pathlib import Path

import pytest
import typer.main

from wetread.cli import app
from wetread.config import TABLES, Config, check_config, read_config
from wetread.deliver.destination import Destination
from wetread.match import Rule
from wetread.match.rules import _KEYS

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES = [page for page in PAGES if "plan" not in page.parts]


def blocks(page: Path, language: str) -> list[str]:
    text = page.read_text()
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```", text, flags=re.MULTILINE | re.DOTALL)
    return ["\n".join(line.removeprefix(indent) for line in body.split("\n")) for indent, body in found]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_configurations_are_valid(page: Path, tmp_path: Path) -> None:
    for number, text in enumerate(blocks(page, "toml")):
        path = tmp_path / f"{number}.toml"
        path.write_text(text)
        check_config(read_config(path))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_exist_with_their_options(page: Path) -> None:
    group = typer.main.get_command(app)
    lines = [line.strip() for line in page.read_text().split("\n")]
    for line in lines:
        if not line.startswith("wetread "):
            continue
        words = shlex.split(line, comments=True)[1:]
        command = group.commands[words[0]]
        if hasattr(command, "commands") and not words[1].startswith("--"):
            command = command.commands[words[1]]
        known = {name for parameter in command.params for name in parameter.opts}
        used = {word for word in words if word.startswith("--")}
        assert used <= known, line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_every_configuration_word_is_documented() -> None:
    text = (ROOT / "docs/reference/configuration.md").read_text()
    explained = set(re.findall(r"`([a-z_]+)`", text)) | set(
        re.findall(r"^\[*([a-z_0-9]+)(?: = |\])", text, re.M)
    )
    words = [*_KEYS, *_words(Config), *_words(Destination)]
    for table in TABLES.values():
        words += _words(table)
    assert [word for word in words if word not in explained] == []


def _words(kind: type) -> list[str]:
    """Return the fields of a settings dataclass, and of the dataclasses in it."""
    words = []
    for field in dataclasses.fields(kind):
        words.append(field.name)
        hint = typing.get_type_hints(kind)[field.name]
        for inner in (hint, *typing.get_args(hint)):
            if dataclasses.is_dataclass(inner) and inner not in (Destination, Rule):
                words += [] if kind is Config else _words(inner)
    return words
