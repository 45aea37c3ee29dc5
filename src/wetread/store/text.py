"""Text that every database holds alike.

In: what a sender wrote.  Out: the same without what PostgreSQL refuses.  Never: a longer text.
"""

from __future__ import annotations


def clean_text(text: str) -> str:
    """Return the text without NUL; a lone surrogate, which is no character, becomes a question mark."""
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")
