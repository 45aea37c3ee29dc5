"""Rules as they stand in ``wetread.toml``.

In: parsed TOML tables.  Out: frozen ``Rule`` values.
Never: a guess at a misspelled word: InvalidRule names it and the nearest valid one.

::

    [[rules]]
    name = "chest CT"
    models = ["chest-ct"]
    level = "series"            # study (default): some series meets it, then every series is a candidate
    urgency = "urgent"          # routine (default), urgent, stat
    quiet_s = 20                # wait for this silence before the study counts as complete
    modality = "CT"             # short for: Modality one of
    body_part = ["CHEST", "THORAX"]
    description = "chest"       # part of StudyDescription, SeriesDescription or ProtocolName
    station = "CT01"            # StationName one of
    when = [
      {keyword = "SliceThickness", at_least = 0.5, at_most = 3},
      {any = [{keyword = "SeriesDescription", matches = "(?i)lung"},
              {keyword = "ConvolutionKernel", contains = "B60"}]},
      {not = {keyword = "ImageType", contains = "MIP"}},
      {keyword = "AccessionNumber", present = true},
    ]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from wetread.domain.reading import Priority
from wetread.errors import InvalidRule
from wetread.match.condition import Term
from wetread.match.rule_reader import SHORTHANDS, RuleReader

_KEYS = ("name", "models", "level", "urgency", "quiet_s", "when", *SHORTHANDS)
#: Regions that hold no lungs, as scanners write them (PS3.16 Annex L).
_NO_LUNGS = (
    "HEAD", "BRAIN", "SKULL", "SINUS", "FACE", "ORBIT", "EAR", "TEMPORAL BONE", "MAXILLA", "MANDIBLE",
    "PELVIS", "HIP", "LEG", "THIGH", "KNEE", "ANKLE", "FOOT", "EXTREMITY",
    "ARM", "ELBOW", "WRIST", "HAND",
)  # fmt: skip


class Level(StrEnum):
    """What a rule's conditions are held against."""

    STUDY = "study"
    SERIES = "series"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """When which models are asked to read."""

    name: str
    #: Names of models.
    models: tuple[str, ...]
    #: ``study``: if any series meets the conditions, every series is a candidate; ``series``: only
    #: those that meet them.
    level: Level = Level.STUDY
    #: Urgency of the study until a model has read it.
    urgency: Priority = Priority.ROUTINE
    #: Quiet period in s; None: the configured one.
    quiet_s: float | None = None
    #: All must be met.
    when: tuple[Term, ...] = ()


def default_rules() -> tuple[Rule, ...]:
    """Return the rules of an unconfigured set-up: CT goes to chest-ct, but for regions without lungs.

    Whether a series shows what the model may read is decided by its eligibility.
    """
    table = {
        "name": "CT",
        "models": ["chest-ct"],
        "level": "series",
        "modality": "CT",
        "when": [{"not": {"keyword": "BodyPartExamined", "one_of": list(_NO_LUNGS)}}],
    }
    return parse_rules([table])


def parse_rules(tables: Sequence[Mapping[str, Any]]) -> tuple[Rule, ...]:
    """Parse ``[[rules]]``.

    Raises
    ------
    InvalidRule
        Naming the rule, the key, and the nearest valid word for a misspelled one.
    """
    try:
        rules = tuple(_parse_rule(table, number) for number, table in enumerate(tables, start=1))
    except RecursionError as error:
        raise InvalidRule("A rule is nested too deep.") from error
    names = [rule.name for rule in rules]
    for name in names:
        if names.count(name) > 1:
            raise InvalidRule("Two rules have the same name: give each its own", rule=name)
    return rules


def _parse_rule(table: Mapping[str, Any], number: int) -> Rule:
    name = table.get("name", f"rule {number}") if isinstance(table, Mapping) else f"rule {number}"
    reader = RuleReader(rule=str(name))
    reader.check_table(table)
    reader.check_words(table, _KEYS)
    models = reader.texts(table, "models")
    shorthands = [reader.shorthand(table, key) for key in SHORTHANDS if key in table]
    when = table.get("when", [])
    return Rule(
        name=str(name),
        models=models,
        level=Level(reader.word(table, "level", Level.STUDY, tuple(Level))),
        urgency=Priority(reader.word(table, "urgency", Priority.ROUTINE, tuple(Priority))),
        quiet_s=reader.seconds(table, "quiet_s"),
        when=(*shorthands, *reader.terms(when, "when", 0)),
    )
