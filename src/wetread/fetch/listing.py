"""What a PACS lists of one study, down to its instances.

In: a ``Finder``.  Out: ``Listed``.  Never: more questions, or instances, than were granted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from wetread.domain.query import Level
from wetread.domain.study import Header, Scalar
from wetread.fetch.found import IMAGE_KEYS, SERIES_KEYS, STUDY_KEYS, Answer, Finder, Found

#: Series of one study that are asked for their instances.
MOST_SERIES = 1000
MOST_INSTANCES = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """Instances of one study."""

    #: Series -> SOP Instance UIDs.
    instances: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    sop_class_uids: frozenset[str] = frozenset()
    #: There are more than are taken.
    is_cut: bool = False

    @property
    def count(self) -> int:
        """How many there are."""
        return sum(map(len, self.instances.values()))


def list_series(finder: Finder, study: str, more_keys: Iterable[str] = ()) -> Answer:
    """Return the series of a study; raises ``PeerError``."""
    keys = dict.fromkeys((*SERIES_KEYS, *more_keys))
    return finder.find(Level.SERIES, {"StudyInstanceUID": study}, tuple(keys))


def list_instances(finder: Finder, study: str) -> Listed:
    """Return the instances of a study; raises ``PeerError``."""
    answer = list_series(finder, study)
    instances: dict[str, tuple[str, ...]] = {}
    classes: set[str] = set()
    is_cut = answer.is_cut or len(answer.found) > MOST_SERIES
    for series in answer.found[:MOST_SERIES]:
        uid = series.text("SeriesInstanceUID")
        images = finder.find(Level.IMAGE, {"StudyInstanceUID": study, "SeriesInstanceUID": uid}, IMAGE_KEYS)
        instances[uid] = tuple(one.text("SOPInstanceUID") for one in images.found)
        classes |= {one.text("SOPClassUID") for one in images.found} - {""}
        is_cut = is_cut or images.is_cut or sum(map(len, instances.values())) > MOST_INSTANCES
        if is_cut:
            break
    return Listed(instances=instances, sop_class_uids=frozenset(classes), is_cut=is_cut)


def count_instances(study: Found, series: Answer) -> int | None:
    """Return how many instances a PACS tells a study to have; None where it does not count."""
    told = study.count("NumberOfStudyRelatedInstances")
    if told is not None:
        return told
    counts = [one.count("NumberOfSeriesRelatedInstances") for one in series.found]
    known = [count for count in counts if count is not None]
    return sum(known) if known and len(known) == len(counts) else None


def series_headers(study: Found, series: Answer) -> tuple[Header, ...]:
    """Return what is known of each series, with what is known of the study."""
    above: dict[str, Scalar | tuple[Scalar, ...]] = {
        key: value for key, value in study.header.items() if key in STUDY_KEYS or key not in SERIES_KEYS
    }
    if series.found and not series.is_cut:
        return tuple({**above, **one.header} for one in series.found)
    # Only the study is known: one for each modality that it says it has.
    return tuple({**above, "Modality": modality} for modality in study.texts("ModalitiesInStudy")) or (above,)
