"""What has changed, as pictures for a report: each finding then and now.

In: a draft whose source has both series at hand.  Out: pairs of pictures with their words.
Never: half a pair. Where an image cannot be read, the words of the report stand alone.
"""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

from wetread.compose.beside import draw_place, find_place
from wetread.compose.draft import Draft
from wetread.domain.comparison import Status
from wetread.errors import InputError

#: More would not be looked at; what matters most comes first.
_MOST = 6
_ORDER = (
    *(Status.NEW, Status.GROWING, None),
    *(Status.DECREASED, Status.RESOLVED, Status.STABLE),
)
_WORDS = {
    Status.NEW: "new",
    Status.GROWING: "grown",
    Status.DECREASED: "smaller",
    Status.RESOLVED: "gone",
    Status.STABLE: "no change",
    None: "not judged",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PicturePair:
    """One finding on both visits."""

    #: E.g. ``"Nodule 1: grown"``.
    title: str
    prior: Image.Image
    now: Image.Image


def draw_pairs(draft: Draft) -> tuple[PicturePair, ...]:
    """Return the pairs; none where one of the two studies is not at hand."""
    reading, source = draft.reading, draft.source
    comparison = reading.comparison
    if comparison is None or source.series is None or source.prior is None:
        return ()
    listed = [
        (reading.status_of(finding), name, number)
        for number, (name, finding) in enumerate(draft.named_findings)
        if finding.prior is not None or comparison.status_of(finding.tracking_uid) is Status.NEW
    ]
    listed += [
        (one.status, one.label.capitalize(), number)
        for number, one in enumerate(comparison.gone, len(reading.findings))
    ]
    known = [one for one in listed if one[0] in _ORDER]
    known.sort(key=lambda one: _ORDER.index(one[0]))
    pairs = (_draw(draft, f"{name}: {_WORDS[status]}", number) for status, name, number in known[:_MOST])
    return tuple(one for one in pairs if one is not None)


def _draw(draft: Draft, title: str, number: int) -> PicturePair | None:
    images = []
    for series, is_prior in ((draft.source.prior, True), (draft.source.series, False)):
        place = find_place(draft.reading, number, is_prior=is_prior)
        try:
            image = draw_place(series, place) if series is not None and place is not None else None
        except (InputError, OSError):
            image = None
        if image is None:
            return None
        images.append(image)
    return PicturePair(title=title, prior=images[0], now=images[1])
