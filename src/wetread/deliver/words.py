"""What another system says of a refusal, fit to be kept.

In: its words (Error Comment, MSA-3).  Out: the same without what may name somebody.
Never: a word kept because it looks harmless: only words of a list are.

A PACS may answer "Patient YAMADA^HANAKO 4711 is unknown". That sentence goes into the history, onto pages
and into the audit trail, where no patient's name belongs. Which words are names nobody can tell, so the
list holds the words that say why an object is refused; all others become "…".
"""

from __future__ import annotations

import re

#: Tags, UIDs of DICOM and status codes say what is wrong with which attribute.
_TECHNICAL = re.compile(r"\(?[0-9A-Fa-f]{4},[0-9A-Fa-f]{4}\)?|0[xX][0-9A-Fa-f]{1,8}|1\.2\.840\.10008[0-9.]*")
_TEXT = """
a abort aborted accept accepted access ack acknowledged already an and archive are as association at
attribute attributes authorized be busy but by called calling cannot character charset class code
command conflict connection could data database dataset denied dicom different directory disk does
duplicate element encoding error exceeded exist exists expected failed failure field file for format
found full has hl7 id identifier image in incomplete instance insufficient internal invalid is key
known length limit limited locked long maximum memory message missing mismatch modality mrn must
name no none not object of on operation or order out parse patient permission presentation private
processing quota read received refused reject rejected request required resource resources sc seg
segment series server service set size sop space sr status storage store stored study such supported
syntax table tag the this timeout to too transfer type uid unable unauthorized unexpected unknown
unsupported value values version warning was with wrong write
"""
_WORDS = frozenset(_TEXT.split())


def keep_known_words(text: str) -> str:
    """Return a peer's sentence with every word that is not on the list as "…"."""
    kept: list[str] = []
    for word in text.split():
        bare = word.strip(".,:;!?\"'()[]")
        shown = word if bare.lower() in _WORDS or _TECHNICAL.fullmatch(bare) else "…"
        # Attributes are written together: "PatientID", "Missing:SOPInstanceUID".
        if shown == "…" and all(part.lower() in _WORDS for part in _parts(bare)):
            shown = word
        if shown != "…" or kept[-1:] != ["…"]:
            kept.append(shown)
    return " ".join(kept)


def _parts(word: str) -> list[str]:
    parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|.", word)
    return [part for part in parts if part not in "_-/:"] or ["?"]
