"""Names as they are compared: without case, accents, and the way in which they are written down.

In: a person's name (PN), or what somebody looks for.  Out: a key.  Never: a name for people to read.

The key of ``Doe^Jane`` is ``=^DOE^JANE=``, that of ``Yamada^Tarou=山田^太郎`` is
``!=^YAMADA^TAROU=^山田^太郎=``: each component group between equals signs, each word behind a caret, an
exclamation mark before several groups. So one LIKE finds a whole name, the beginning of one, or a word; and
where the beginning is known, few keys have to be looked at (``key_ranges``).
"""

from __future__ import annotations

import re
import unicodedata

_SEPARATORS = re.compile(r"[\^\s,]+")
_WILDCARDS = re.compile(r"[*?]")
_LONGEST = 400


def name_key(name: str) -> str:
    """Return the key of a name, ``""`` of an empty one."""
    groups = [_words(group) for group in name[:_LONGEST].split("=")]
    if not any(groups):
        return ""
    return ("!=" if len(groups) > 1 else "=") + "".join(f"{group}=" for group in groups)


def name_pattern(wanted: str) -> str:
    """Return the LIKE pattern of a whole name, escaped by a backslash; ``*`` and ``?`` are wildcards."""
    pattern = "".join(_LIKE.get(letter, letter) for letter in _words(wanted[:_LONGEST], keep="*?"))
    return f"%={pattern}=%"


def key_ranges(wanted: str) -> tuple[tuple[str, str], ...]:
    """Return between which keys a name with this beginning lies; nothing where a wildcard begins it.

    Names of several groups may begin so in any of them: they are looked at all. There are few.
    """
    words = _words(wanted[:_LONGEST], keep="*?")
    beginning = f"={_WILDCARDS.split(words)[0]}"
    if words[:1] in ("*", "?", ""):
        return ()
    return (beginning, f"{beginning}\U0010ffff"), ("!", '"')


def word_patterns(wanted: str) -> list[str]:
    """Return a LIKE pattern for each word: names match in which every one begins some word."""
    words = [word for word in _words(wanted[:_LONGEST]).split("^") if word]
    return ["%^" + "".join(_LITERAL.get(letter, letter) for letter in word) + "%" for word in words]


_LITERAL = {"%": "\\%", "_": "\\_", "\\": "\\\\"}
_LIKE = _LITERAL | {"*": "%", "?": "_"}


def _words(text: str, keep: str = "") -> str:
    folded = unicodedata.normalize("NFKD", text.replace("=", " "))
    plain = "".join(letter for letter in folded if not unicodedata.combining(letter)).upper()
    words = [word for word in _SEPARATORS.split(plain) if word]
    joined = "".join(f"^{word}" for word in words)
    # ``*SMITH`` may begin in the middle of a word, ``*`` alone is any name.
    return joined.replace("^*", "*") if "*" in keep else joined
