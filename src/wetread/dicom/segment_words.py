"""Codes for what a segmentation marks, by everyday English words.

In: a word such as ``spleen`` or ``left kidney``.  Out: its code in PS3.16, and whether it is anatomy.
Never: a guess; a word that is not in the context groups has no code.
"""

from __future__ import annotations

import re

from pydicom.sr.codedict import codes

from wetread.domain.code import Code

# PS3.16: CID 7194, 7159 (abnormal); CID 7192, 7154, 7155, 7153, 7160 (anatomy).
_ABNORMAL = (7194, 7159)
_ANATOMY = (7192, 7154, 7155, 7153, 7160)
#: Words of data sets for what the groups call otherwise.
_ALSO = {
    "tumor": "Neoplasm",
    "tumour": "Neoplasm",
    "cancer": "Neoplasm",
    "lung nodule": "Nodule",
    "left lung": "Lung",
    "right lung": "Lung",
    "left kidney": "Kidney",
    "right kidney": "Kidney",
    "haemorrhage": "Hemorrhage",
}


def find_segment_code(word: str) -> tuple[Code, bool] | None:
    """Return the code of what a word names, and whether it is anatomy; None where no group lists it.

    References
    ----------
    PS3.16 CID 7192 (anatomical structures), CID 7194 (morphologically abnormal structures).
    """
    plain = " ".join(re.findall(r"[a-z]+", word.lower()))
    name = _ALSO.get(plain) or "".join(part.capitalize() for part in plain.split())
    for groups, is_anatomy in ((_ABNORMAL, False), (_ANATOMY, True)):
        for number in groups:
            found = getattr(getattr(codes, f"cid{number}"), name, None) if name else None
            if found is not None:
                code = Code(value=found.value, scheme=found.scheme_designator, meaning=found.meaning)
                return code, is_anatomy
    return None
