"""Which models read which series of a study, and why or why not.

In: a study's headers, models, rules.  Out: ``Match``: for every model a choice or the reasons.
Never: pixels, a model left unmentioned, a patient's name in a reason.
"""

from wetread.match.decide import Match, ModelMatch, choose_urgency, find_rule, list_candidates, match_study
from wetread.match.maybe import find_possible, list_keywords
from wetread.match.rules import Rule, default_rules, parse_rules
from wetread.match.suitable import SeriesVerdict, check_series

__all__ = [
    "Match",
    "ModelMatch",
    "Rule",
    "SeriesVerdict",
    "check_series",
    "choose_urgency",
    "default_rules",
    "find_possible",
    "find_rule",
    "list_candidates",
    "list_keywords",
    "match_study",
    "parse_rules",
]
