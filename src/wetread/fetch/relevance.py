"""Which earlier studies of a patient are worth having beside a new one, and why.

In: what is known of the new study and of the others.  Out: a verdict on each, with its reason.
Never: a PACS, a clock; a study left out because of something that was not told.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from wetread.fetch.pacs import PriorSettings

#: Words that scanners and people use for a region (PS3.16 annex L, and abbreviations).
_REGIONS = {
    "chest": "CHEST THORAX THORACIC THX LUNG LUNGS PULMONARY PULMONAL RIB RIBS STERNUM HEART CARDIAC",
    "abdomen": "ABDOMEN ABDOMINAL ABD LIVER KIDNEY PANCREAS SPLEEN COLON STOMACH",
    "pelvis": "PELVIS PELVIC HIP HIPS PROSTATE BLADDER UTERUS",
    "head": "HEAD BRAIN SKULL CRANIUM CEREBRAL SINUS FACE ORBIT ORBITS EAR NEURO",
    "neck": "NECK CSPINE LARYNX THYROID CAROTID",
    "spine": "SPINE LSPINE TSPINE CSPINE LUMBAR VERTEBRA SACRUM",
    "breast": "BREAST BREASTS MAMMA MAMMO MAMMOGRAPHY",
    "limb": "ARM LEG KNEE ANKLE FOOT HAND WRIST ELBOW SHOULDER EXTREMITY FEMUR TIBIA HUMERUS",
}
_WHOLE = frozenset({"WHOLEBODY", "BODY", "TRUNK", "CAP"})
_BY_WORD: dict[str, set[str]] = {}
for _region, _words in _REGIONS.items():
    for _word in _words.split():
        _BY_WORD.setdefault(_word, set()).add(_region)
# As scanners write them in one word.
_BY_WORD["CHESTABDOMEN"] = {"chest", "abdomen"}
_BY_WORD["ABDOMENPELVIS"] = {"abdomen", "pelvis"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """What is known of a study."""

    study_instance_uid: str
    #: ``YYYYMMDD``, or ``""``.
    study_date: str = ""
    study_time: str = ""
    modalities: frozenset[str] = frozenset()
    #: Regions, by ``read_regions``; empty: not known.
    regions: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorVerdict:
    """One earlier study: wanted or not, and why."""

    outline: Outline
    is_wanted: bool
    reason: str


def read_regions(texts: Iterable[str]) -> frozenset[str]:
    """Return the regions of the body that body parts and descriptions name; empty where none does."""
    found: set[str] = set()
    for text in texts:
        for word in re.findall(r"[A-Z]+", text.upper()):
            found |= _REGIONS.keys() if word in _WHOLE else _BY_WORD.get(word, set())
    return frozenset(found)


def judge_priors(
    current: Outline, others: Sequence[Outline], settings: PriorSettings
) -> tuple[PriorVerdict, ...]:
    """Return a verdict on each other study of the patient, newest first."""
    newest_first = sorted(
        others, key=lambda one: (one.study_date, one.study_time, one.study_instance_uid), reverse=True
    )
    verdicts: list[PriorVerdict] = []
    count = 0
    for one in newest_first:
        is_relevant, reason = _judge(current, one, settings)
        if is_relevant and count >= settings.count:
            is_relevant, reason = False, f"{settings.count} newer ones are enough"
        count += is_relevant
        verdicts.append(PriorVerdict(outline=one, is_wanted=is_relevant, reason=reason))
    return tuple(verdicts)


def _judge(current: Outline, other: Outline, settings: PriorSettings) -> tuple[bool, str]:
    age = _days_between(other.study_date, current.study_date)
    if age is not None and age < 0:
        return False, "it is newer than the study itself"
    if age is not None and age > settings.maximum_age_days:
        return False, f"it is {age} days older, more than {settings.maximum_age_days}"
    wanted = frozenset(settings.modalities) or current.modalities
    if wanted and other.modalities and not wanted & other.modalities:
        return False, f"its modality is {_list(other.modalities)}, not {_list(wanted)}"
    if current.regions and other.regions and not current.regions & other.regions:
        return False, f"it shows {_list(other.regions)}, not {_list(current.regions)}"
    shared = current.regions & other.regions
    where = f"shows {_list(shared)} too" if shared else "may show the same region"
    when = f"{age} days older" if age is not None else "of unknown date"
    return True, f"{when}, {where}"


def _days_between(earlier: str, later: str) -> int | None:
    first, second = _day(earlier), _day(later)
    return (second - first).days if first and second else None


def _day(text: str) -> date | None:
    if not re.fullmatch(r"[0-9]{8}", text):
        return None
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        return None


def _list(words: Iterable[str]) -> str:
    return " and ".join(sorted(words))
