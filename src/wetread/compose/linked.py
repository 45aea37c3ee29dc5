"""Sentences of findings that follow their findings while a report is written.

In: what a reader wrote, what was proposed when it was saved, what is proposed now.  Out: the text, renewed.
Never: a word of the reader changed; a change without a word about it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from wetread.compose.prefill import find_named
from wetread.domain.report import Section

#: Sentence by the finding's name.
Sentences = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What a report may begin with."""

    sections: Mapping[Section, str]
    sentences: Sentences


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """A draft, carried on to what findings say now."""

    sections: Mapping[Section, str]
    #: Findings whose sentence stood as it was proposed, and was renewed.
    renewed: tuple[str, ...] = ()
    #: What findings say now whose sentences the reader has changed or left out, or that are new.
    differing: tuple[str, ...] = ()


def find_sentences(sections: Mapping[Section, str], names: Collection[str]) -> dict[str, str]:
    """Return the sentence of each finding that has one."""
    lines = sections.get(Section.FINDINGS, "").splitlines()
    return {name: line for line in lines for name in find_named([line], names)}


def follow(written: Mapping[Section, str], proposed: Sentences, now: Sentences) -> Followed:
    """Renew sentences that nobody changed; tell of those that somebody did.

    Parameters
    ----------
    proposed
        What findings said when the draft was saved.
    now
        What they say now.
    """
    moved = {name: line for name, line in now.items() if proposed.get(name) != line}
    lines = written.get(Section.FINDINGS, "").splitlines()
    renewed = [name for name in moved if proposed.get(name) in lines]
    fresh = {proposed[name]: moved[name] for name in renewed}
    sections = dict(written)
    if fresh:
        sections[Section.FINDINGS] = "\n".join(fresh.get(line, line) for line in lines)
    # What the reader wrote may say it already.
    rest = _not_said(sections, (moved[name] for name in moved if name not in renewed))
    return Followed(sections=sections, renewed=tuple(renewed), differing=tuple(rest))


def _not_said(sections: Mapping[Section, str], lines: Iterable[str]) -> list[str]:
    said = {line for text in sections.values() for line in text.splitlines()}
    return [line for line in lines if line not in said]
