"""Could a rule apply to a study of which only little is known?

In: rules, what a PACS tells of a study's series.  Out: the rules that could apply, once all is known.
Never: "no" because of something that was not told.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from wetread.domain.study import Header, header_text
from wetread.match.condition import Condition, Join, Term, is_met
from wetread.match.rules import Rule


def find_possible(rules: Sequence[Rule], series: Sequence[Header]) -> tuple[Rule, ...]:
    """Return the rules that apply, or may.

    Parameters
    ----------
    series
        What is known of each series, with what is known of the study; an attribute that is missing or
        empty is not known. None at all: nothing is known.
    """
    return tuple(rule for rule in rules if any(_could_meet(rule, header) for header in series or ({},)))


def list_keywords(rules: Sequence[Rule]) -> tuple[str, ...]:
    """Return the keywords that rules ask for and a query can: none within a sequence."""
    words = (word for rule in rules for term in rule.when for word in _iter_keywords(term))
    return tuple(dict.fromkeys(word for word in words if "." not in word))


def _could_meet(rule: Rule, header: Header) -> bool:
    return all(_judge(term, header) is not False for term in rule.when)


def _judge(term: Term, header: Header) -> bool | None:
    """Tell whether a term is met; None: that is not known."""
    if isinstance(term, Condition):
        return is_met(term, header) if header_text(header, term.keyword).strip() else None
    judged = [_judge(one, header) for one in term.terms]
    if term.join is Join.ALL:
        return _all(judged)
    is_any = _any(judged)
    return is_any if term.join is Join.ANY or is_any is None else not is_any


def _all(judged: Sequence[bool | None]) -> bool | None:
    if False in judged:
        return False
    return None if None in judged else True


def _any(judged: Sequence[bool | None]) -> bool | None:
    if True in judged:
        return True
    return None if None in judged else False


def _iter_keywords(term: Term) -> Iterator[str]:
    if isinstance(term, Condition):
        yield term.keyword
    else:
        for one in term.terms:
            yield from _iter_keywords(one)
