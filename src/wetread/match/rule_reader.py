"""Words, conditions and groups of one rule, checked.

In: parsed TOML of one rule.  Out: terms and values.
Never: a guess: InvalidRule names the rule, the key and the nearest valid word.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from pydicom.datadict import keyword_dict, tag_for_keyword

from wetread.errors import InvalidRule
from wetread.match.condition import Condition, Group, Join, Operator, Term

#: Short keys of a rule and the keywords that they stand for.
SHORTHANDS = {
    "modality": ("Modality",),
    "body_part": ("BodyPartExamined",),
    "station": ("StationName",),
    "description": ("StudyDescription", "SeriesDescription", "ProtocolName"),
}
_TERM_KEYS = ("keyword", *Operator, *Join)
_MAX_PATTERN = 200
_MAX_DEPTH = 8
# A repeated group that repeats inside, as in (a+)+: its time can explode.
_NESTED_REPEAT = re.compile(r"[+*}]\??\)[+*{]")


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleReader:
    """Reads one rule's entries; knows the rule's name for its errors."""

    rule: str

    def fail(self, message: str, key: str) -> InvalidRule:
        """Return the error for one key."""
        return InvalidRule(f"{message} (in rule {self.rule!r})", rule=self.rule, key=key)

    def check_table(self, table: Any) -> None:
        """Require a TOML table."""
        if not isinstance(table, Mapping):
            raise self.fail("A rule and a condition must be tables", "rules")

    def check_words(self, table: Mapping[str, Any], known: Sequence[str]) -> None:
        """Require every key to be a known word."""
        for key in table:
            if key not in known:
                raise self.unknown(key, known)

    def unknown(self, word: str, known: Sequence[str]) -> InvalidRule:
        """Return the error for an unknown word, with the nearest known one."""
        near = get_close_matches(word, [str(one) for one in known], n=1, cutoff=0.6)
        few = f"known are {', '.join(known)}" if len(known) < 20 else "see the DICOM data dictionary"
        hint = f"did you mean {near[0]!r}?" if near else few
        return self.fail(f"{word!r} is not known: {hint}", word)

    def texts(self, table: Mapping[str, Any], key: str) -> tuple[str, ...]:
        """Return one text or several as several."""
        value = table.get(key)
        several = [value] if isinstance(value, str) else value
        if (
            not isinstance(several, list)
            or not several
            or not all(isinstance(one, str) and one for one in several)
        ):
            raise self.fail(f"{key!r} must be a text or a list of texts", key)
        return tuple(several)

    def word(self, table: Mapping[str, Any], key: str, default: str, known: tuple[str, ...]) -> str:
        """Return one of the known words."""
        value = table.get(key, default)
        if value not in tuple(known):
            raise self.unknown(str(value), tuple(known))
        return str(value)

    def seconds(self, table: Mapping[str, Any], key: str) -> float | None:
        """Return a time in s, up to a day."""
        value = table.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 86400:
            raise self.fail(f"{key!r} must be a number of seconds between 0 and 86400", key)
        return float(value)

    def shorthand(self, table: Mapping[str, Any], key: str) -> Term:
        """Turn e.g. ``modality = "CT"`` into its condition."""
        values = self.texts(table, key)
        operator = Operator.CONTAINS if key == "description" else Operator.ONE_OF
        terms = tuple(
            Condition(keyword=keyword, operator=operator, values=values) for keyword in SHORTHANDS[key]
        )
        return terms[0] if len(terms) == 1 else Group(join=Join.ANY, terms=terms)

    def terms(self, tables: Any, key: str, depth: int) -> tuple[Term, ...]:
        """Parse a list of conditions and groups."""
        if not isinstance(tables, list) or depth > _MAX_DEPTH:
            raise self.fail(f"{key!r} must be a list of conditions, at most {_MAX_DEPTH} deep", key)
        return tuple(term for table in tables for term in self.term(table, depth))

    def term(self, table: Any, depth: int) -> tuple[Term, ...]:
        """Parse one condition (one term for each of its operators) or one group."""
        self.check_table(table)
        self.check_words(table, _TERM_KEYS)
        joins = [join for join in Join if join in table]
        if joins:
            if len(table) > 1:
                raise self.fail(f"{joins[0].value!r} stands alone in its table", joins[0].value)
            inner = table[joins[0]]
            inner = [inner] if isinstance(inner, Mapping) else inner
            members = tuple(
                self.member(one, joins[0].value, depth + 1) for one in self.listed(inner, joins[0])
            )
            return (Group(join=joins[0], terms=members),)
        keyword = self.keyword(table)
        operators = [operator for operator in Operator if operator in table]
        if not operators:
            raise self.fail(f"The condition on {keyword} lacks a comparison: {', '.join(Operator)}", keyword)
        return tuple(self.condition(keyword, operator, table[operator]) for operator in operators)

    def listed(self, value: Any, join: Join) -> list[Any]:
        """Require a list that is not empty."""
        if not isinstance(value, list) or not value:
            raise self.fail(f"{join.value!r} must hold conditions", join.value)
        return value

    def member(self, table: Any, key: str, depth: int) -> Term:
        """Parse one member of a group; several operators on one keyword count as one member."""
        terms = self.terms([table], key, depth)
        return terms[0] if len(terms) == 1 else Group(join=Join.ALL, terms=terms)

    def keyword(self, table: Mapping[str, Any]) -> str:
        """Return the keyword, known to the DICOM data dictionary (PS3.6)."""
        value = table.get("keyword")
        if not isinstance(value, str):
            raise self.fail("A condition needs a 'keyword', such as Modality", "keyword")
        for part in value.split(".", 1):
            if tag_for_keyword(part) is None:
                raise self.unknown(part, list(keyword_dict))
        return value

    def condition(self, keyword: str, operator: Operator, value: Any) -> Condition:
        """Check the operand of an operator."""
        values = tuple(value) if isinstance(value, list) else (value,)
        if not _is_operand(operator, value, values):
            raise self.fail(f"{operator.value!r} of {keyword} has a value that does not fit", operator.value)
        if operator is Operator.MATCHES:
            self.check_pattern(keyword, str(value))
        return Condition(keyword=keyword, operator=operator, values=values)

    def check_pattern(self, keyword: str, pattern: str) -> None:
        """Require a short, valid pattern without nested repetition."""
        if len(pattern) > _MAX_PATTERN or _NESTED_REPEAT.search(pattern):
            message = f"The pattern for {keyword} is too long or repeats a repetition: make it simpler"
            raise self.fail(message, Operator.MATCHES)
        try:
            re.compile(pattern)
        except (re.error, OverflowError, RecursionError) as error:
            raise self.fail(f"The pattern for {keyword} is not valid: {error}", Operator.MATCHES) from error


def _is_operand(operator: Operator, value: Any, values: tuple[Any, ...]) -> bool:
    is_scalar = isinstance(value, str | int | float) and not isinstance(value, bool)
    if operator is Operator.PRESENT:
        return isinstance(value, bool)
    if operator in {Operator.MATCHES, Operator.CONTAINS}:
        return isinstance(value, str) and bool(value)
    if operator is Operator.ONE_OF:
        several = isinstance(value, list) and bool(values)
        return several and all(
            isinstance(one, str | int | float) and not isinstance(one, bool) for one in values
        )
    return is_scalar
