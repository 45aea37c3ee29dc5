"""What a report of one kind of exam speaks of: its headings, and where the words of models stand.

In: TOML files, what models say.  Out: sections to begin with.
Never: a sentence that says that something is normal: nobody has looked yet.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from wetread.compose.report_codes import BadCode, Codes, read_codes
from wetread.domain.report import MAIN_SECTIONS, Section
from wetread.errors import ConfigError
from wetread.settings import read_table

_BUILT_IN = Path(__file__).parent / "templates"
#: The line where the words of models stand.
MODELS = "{models}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateSections:
    """``[sections]``: the text of each."""

    #: A line ``{models}`` is where the words of models stand; without one they come first.
    indication: str = ""
    technique: str = ""
    comparison: str = ""
    findings: str = ""
    impression: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportTemplate:
    """One template."""

    title: str
    #: Of the studies that it is for.
    modalities: tuple[str, ...]
    #: Of which one stands in the Study Description, whatever its case; none: any description.
    words: tuple[str, ...] = ()
    sections: TemplateSections = field(default_factory=TemplateSections)
    #: ``[codes]``: heading, with its colon -> what its lines are about.
    codes: Mapping[str, tuple[Codes, ...]] = field(default_factory=dict)

    def is_for(self, modalities: Iterable[str], description: str) -> bool:
        """Tell whether it is for a study."""
        said = description.casefold()
        has_word = not self.words or any(word.casefold() in said for word in self.words)
        return has_word and not set(self.modalities).isdisjoint(modalities)

    def fill(self, proposed: Mapping[Section, str]) -> dict[Section, str]:
        """Return what a report begins with, given what models say."""
        filled = {section: _fill(self._text(section), proposed.get(section, "")) for section in MAIN_SECTIONS}
        return {section: text for section, text in filled.items() if text}

    def headings(self) -> set[str]:
        """Return the lines that say nothing until something is written behind them."""
        lines = (line.strip() for section in MAIN_SECTIONS for line in self._text(section).splitlines())
        return {line for line in lines if line.endswith(":")}

    def _text(self, section: Section) -> str:
        text: str = getattr(self.sections, section.value)
        return text.strip("\n")


def read_templates(folder: Path | None = None) -> tuple[ReportTemplate, ...]:
    """Return the templates of a folder, by file name, before the built-in ones.

    Raises
    ------
    ConfigError
        If a file is no template; it is named.
    """
    if folder is not None and not folder.is_dir():
        raise ConfigError(f"reports.templates: {folder.name} is not a folder.")
    folders = [*([folder] if folder else []), _BUILT_IN]
    return tuple(_read(path) for one in folders for path in sorted(one.glob("*.toml")))


def choose_template(
    templates: Sequence[ReportTemplate], modalities: Sequence[str], description: str
) -> ReportTemplate | None:
    """Return the first template that is for a study, None where none is."""
    return next((one for one in templates if one.is_for(modalities, description)), None)


def drop_empty_headings(text: str, headings: Iterable[str]) -> str:
    """Return a text without the headings of templates behind which nothing was written."""
    known, lines = set(headings), text.split("\n")

    def is_heading(line: str) -> bool:
        # Also one with something behind it: then the heading before it has nothing.
        return not line.strip() or line.strip().split(":")[0] + ":" in known

    kept = [
        line
        for line, following in zip(lines, [*lines[1:], ""], strict=True)
        if line.strip() not in known or not is_heading(following)
    ]
    return "\n".join(kept).rstrip()


def _read(path: Path) -> ReportTemplate:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"reports.templates: {path.name} cannot be read: {error}") from error
    coded = table.pop("codes", {})
    template = read_table(ReportTemplate, table, path.name, path.parent)
    for one in fields(TemplateSections):
        if len(getattr(template.sections, one.name)) > 10_000:
            raise ConfigError(f"reports.templates: {path.name}: {one.name} is longer than 10,000 letters.")
    return replace(template, codes=_read_coded(coded, template, path))


def _read_coded(coded: object, template: ReportTemplate, path: Path) -> Mapping[str, tuple[Codes, ...]]:
    if not isinstance(coded, dict):
        raise ConfigError(f"reports.templates: {path.name}: codes is a table of headings.")
    read = {}
    for heading, listed in coded.items():
        if heading not in template.headings():
            raise _refusal(path, heading, f"{heading!r} is no heading of this template (with its colon)")
        if not isinstance(listed, list) or not listed or not all(isinstance(one, str) for one in listed):
            raise _refusal(path, heading, "codes are a list of texts")
        read[heading] = tuple(_read_line(path, one) for one in listed)
    return read


def _read_line(path: Path, written: str) -> Codes:
    try:
        return read_codes(written)
    except BadCode as error:
        raise _refusal(path, written, str(error)) from error


def _refusal(path: Path, written: str, why: str) -> ConfigError:
    lines = path.read_text(encoding="utf-8").splitlines()
    # A heading stands among the words as well: the last place is that of its code.
    number = max((number for number, line in enumerate(lines, start=1) if written in line), default=0)
    where = f"line {number}: " if number else ""
    return ConfigError(f"reports.templates: {path.name}: {where}{why}.")


def _fill(text: str, said: str) -> str:
    if MODELS not in text:
        return "\n".join(one for one in (said, text) if one)
    lines = [said if line.strip() == MODELS else line for line in text.splitlines()]
    return "\n".join(line for line in lines if line)
