"""Ask a guideline.

In: its name, and JSON as text.  Out: ``Answer``.
Never: JSON without bounds; a number made a binary fraction.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import NoReturn

from wetread.errors import InvalidExam
from wetread.measure.guidelines.answer import Answer
from wetread.measure.guidelines.brock import ask_brock
from wetread.measure.guidelines.bts import ask_bts
from wetread.measure.guidelines.exam import Exam, read_exam
from wetread.measure.guidelines.fleischner import ask_fleischner
from wetread.measure.guidelines.lung_rads import ask_lung_rads
from wetread.measure.guidelines.recist import ask_recist

LARGEST_BYTES = 1 << 20


def _of_exam(ask: Callable[[Exam], Answer]) -> Callable[[object], Answer]:
    return lambda content: ask(read_exam(content))


GUIDELINES: Mapping[str, Callable[[object], Answer]] = {
    "lung-rads": _of_exam(ask_lung_rads),
    "fleischner": _of_exam(ask_fleischner),
    "bts": _of_exam(ask_bts),
    "brock": _of_exam(ask_brock),
    "recist": ask_recist,
}


def ask_guideline(name: str, text: str) -> Answer:
    """Return what a guideline says.

    Parameters
    ----------
    name
        A key of ``GUIDELINES``.
    text
        JSON; see ``exam.read_exam`` and ``recist.ask_recist``.

    Raises
    ------
    InvalidExam
        If the text is no JSON, too long, or says something that is wrong.
    """
    if len(text) > LARGEST_BYTES:
        raise InvalidExam("More than a mebibyte of JSON", field="the input")
    try:
        content = json.loads(text, parse_float=Decimal, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise InvalidExam("No valid JSON", field="the input") from error
    return GUIDELINES[name](content)


def _refuse(word: str) -> NoReturn:
    raise ValueError(word)
