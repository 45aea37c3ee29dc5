"""Follow nodules: the same ones found in the prior study, measured there again, and compared.

In: what was seen in a chest CT, the prior study.  Out: a link to the past for each nodule; what is gone.
Never: a volume that another version has measured; a prior that does not fit passed off as one.

A nodule that only one of the two scans was seen to have is looked for in the other at its place, before it
is called new or resolved.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from wetread.domain.comparison import Comparison, GoneFinding, PriorComparison, Status
from wetread.domain.finding import Segment
from wetread.domain.model import Model
from wetread.domain.problem import Problem, ProblemCode, RefusedImages
from wetread.domain.volume import FloatArray, Triple
from wetread.imaging.guard import check_pixels
from wetread.imaging.volume import read_volume
from wetread.infer.chest_kept import keep_images, keep_place
from wetread.infer.chest_look import ChestScan, Seen, open_chest
from wetread.infer.chest_past import compare_sizes, find_known, sized
from wetread.infer.prior import KnownFinding, PriorStudy
from wetread.infer.request import ReadRequest
from wetread.measure.again import look_again
from wetread.measure.alignment import keep_alignment
from wetread.measure.growth import Sized
from wetread.measure.nodules import Nodule, Search, overlap
from wetread.measure.pairing import Match, Pair, Spot, confirm, is_shown, pair_spots
from wetread.measure.register import register
from wetread.measure.registration import PriorDoesNotFit, Registration

NODULE = "lung nodule"
#: How far from its registered place a nodule may lie, in mm or in radii.
_REACH_MM, _REACH_RADII = 4.0, 1.0
#: What is looked at because the other scan has a nodule there may look less like one.
_LEAST_PROBABILITY = 0.25
#: Diameter of a known nodule that nobody has measured.
_USUAL_MM = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """What ties a nodule of this study to the past."""

    #: ``""``: it has none yet.
    tracking_uid: str = ""
    prior: PriorComparison | None = None
    #: ``new`` or ``not-scanned``; None where it was compared, or nothing was.
    status: Status | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """The nodules of this study, those among them that only the prior one made visible, and their links."""

    #: Largest first: "Nodule 1" is the one to look at.
    nodules: tuple[Nodule, ...]
    links: tuple[Link, ...]
    problems: tuple[Problem, ...] = ()
    comparison: Comparison | None = None

    def compare(self, segments: Sequence[Segment]) -> Comparison | None:
        """Return the comparison with the findings of this study named.

        Parameters
        ----------
        segments
            Those of the nodules, in their order.
        """
        if self.comparison is None:
            return None
        uids = [
            (segment.tracking_uid, link.status) for segment, link in zip(segments, self.links, strict=True)
        ]
        return replace(
            self.comparison,
            new=tuple(uid for uid, status in uids if status is Status.NEW),
            not_scanned=tuple(uid for uid, status in uids if status is Status.NOT_SCANNED),
        )


def follow_nodules(request: ReadRequest, seen: Seen) -> Followed:
    """Compare the nodules of a study with the prior one, if there is one that fits."""
    followed = _ordered([(one, Link()) for one in seen.nodules])
    if request.prior is not None:
        followed = _follow(request, seen, request.prior, followed)
    return replace(followed, problems=request.prior_problems + followed.problems)


def _follow(request: ReadRequest, seen: Seen, prior: PriorStudy, alone: Followed) -> Followed:
    try:
        return follow_scan(seen, _open_prior(request, prior), prior, request.model)
    except (RefusedImages, PriorDoesNotFit) as error:
        return replace(alone, problems=(*prior.problems, _why_not(prior, error)))


def follow_scan(seen: Seen, scan: ChestScan, prior: PriorStudy, model: Model) -> Followed:
    """Compare the nodules of a study with those of the prior scan, measured now.

    Raises
    ------
    PriorDoesNotFit
        If the two scans do not show the same lungs.
    """
    registration = register(seen.scan.lung_view, scan.lung_view)
    here = _Side(scan=seen.scan, search=seen.scan.open_search(model), nodules=list(seen.nodules))
    there = _Side(scan=scan, search=scan.open_search(model))
    there.nodules.extend(_measure_prior(model, prior, there))
    pairs = _Follower(here, there, registration).follow()
    is_same_version = prior.known_by == model.identity
    followed = _ordered(_link(prior, (here, there), pairs, is_same_version=is_same_version))
    comparison = Comparison(
        study_instance_uid=prior.study_instance_uid,
        studied_on=prior.studied_on,
        interval_days=prior.interval_days,
        lung_overlap=round(registration.fit.overlap, 3),
        vessel_likeness=round(registration.fit.likeness, 3),
        gone=tuple(_gone(prior, there, pair, registration) for pair in pairs if not pair.current),
        images=keep_images(prior, scan.grid),
        alignment=keep_alignment(registration),
    )
    return replace(followed, problems=prior.problems, comparison=comparison)


def _ordered(linked: Sequence[tuple[Nodule, Link]]) -> Followed:
    ordered = sorted(linked, key=lambda one: (-one[0].volume_mm3, one[0].center))
    return Followed(nodules=tuple(one for one, _ in ordered), links=tuple(link for _, link in ordered))


def _open_prior(request: ReadRequest, prior: PriorStudy) -> ChestScan:
    volume, problems = read_volume(prior.series)
    problems = (*problems, *check_pixels(volume, request.model.eligibility))
    if any(one.refuses for one in problems):
        raise RefusedImages(problems)
    scan = open_chest(volume, request.model)
    if scan is None:
        raise PriorDoesNotFit("No lung was found in it.")
    return scan


def _why_not(prior: PriorStudy, error: RefusedImages | PriorDoesNotFit) -> Problem:
    fits = not isinstance(error, RefusedImages)
    code = ProblemCode.PRIOR_DOES_NOT_FIT if fits else ProblemCode.PRIOR_UNREADABLE
    day = f" of {prior.studied_on}" if prior.studied_on else ""
    return Problem(code=code, message=f"Not compared with the prior study{day}: {error}", refuses=False)


def _measure_prior(model: Model, prior: PriorStudy, there: _Side) -> list[Nodule]:
    """Measure the prior study again; where this version has read it, at what it found."""
    if prior.known_by != model.identity:
        return list(there.scan.find_nodules(model)[0])
    found: list[Nodule] = []
    for known in prior.known:
        if known.label == NODULE:
            radius = 0.5 * known.measurements.get("mean_diameter_mm", _USUAL_MM)
            one = there.look(known.center_lps_mm, radius)
            if one is not None and not there.has(one, found):
                found.append(one)
    return found


@dataclass(frozen=True, kw_only=True)
class _Side:
    """One of the two scans."""

    scan: ChestScan
    search: Search
    nodules: list[Nodule] = field(default_factory=list)

    def place(self, nodule: Nodule) -> Triple:
        """Return the middle of a nodule, LPS mm."""
        return _point(self.scan.volume.grid.to_lps_mm(nodule.center))

    def spot(self, nodule: Nodule) -> Spot:
        """Return a nodule as it is matched."""
        return Spot(center_lps_mm=self.place(nodule), volume_mm3=nodule.volume_mm3, texture=nodule.texture)

    def look(self, lps_mm: Triple, radius_mm: float) -> Nodule | None:
        """Look at a place."""
        place = _point(self.scan.volume.grid.to_index(lps_mm))
        return look_again(self.search, place, radius_mm, max(_REACH_MM, _REACH_RADII * radius_mm))

    def has(self, nodule: Nodule, among: Sequence[Nodule]) -> bool:
        """Tell whether a nodule covers one of others."""
        return any(overlap(nodule.mask, one.mask) for one in among)


class _Follower:
    """Pairs the nodules of two scans, and looks for what only one of them has."""

    def __init__(self, here: _Side, there: _Side, registration: Registration) -> None:
        self._here, self._there, self._registration = here, there, registration

    def follow(self) -> list[Pair]:
        here, there = self._here, self._there
        spots = [here.spot(one) for one in here.nodules], [there.spot(one) for one in there.nodules]
        return [self._look_for(pair) for pair in pair_spots(*spots, self._registration)]

    def _look_for(self, pair: Pair) -> Pair:
        if pair.match is Match.NEW:
            nodule = self._here.nodules[pair.current[0]]
            place = _point(self._registration.to_prior(self._here.place(nodule)))
            found, how = self._find(self._there, self._here.spot(nodule), place)
            return replace(how, current=pair.current, prior=found) if how else pair
        if pair.match is Match.RESOLVED:
            nodule = self._there.nodules[pair.prior[0]]
            place = _point(self._registration.to_current(self._there.place(nodule)))
            found, how = self._find(self._here, self._there.spot(nodule), place)
            return replace(how, current=found, prior=pair.prior) if how else pair
        return pair

    def _find(self, side: _Side, spot: Spot, place: Triple) -> tuple[tuple[int, ...], Pair | None]:
        """Look for a spot of the other scan; what is found joins the nodules of this one."""
        if not is_shown(side.scan.volume.grid, place):
            return (), Pair(match=Match.NOT_SCANNED, current=(), prior=(), confidence=1.0)
        seen = side.look(place, spot.radius_mm)
        if seen is None or seen.probability < _LEAST_PROBABILITY or side.has(seen, side.nodules):
            return (), None
        pair = confirm(spot, replace(side.spot(seen), center_lps_mm=side.place(seen)), place)
        if pair is None:
            return (), None
        side.nodules.append(seen)
        return (len(side.nodules) - 1,), pair


def _point(lps_mm: FloatArray) -> Triple:
    x, y, z = (float(one) for one in lps_mm)
    return x, y, z


def _link(
    prior: PriorStudy, sides: tuple[_Side, _Side], pairs: Sequence[Pair], *, is_same_version: bool
) -> list[tuple[Nodule, Link]]:
    here, there = sides
    linked = []
    for pair in (one for one in pairs if one.current):
        nodules = [here.nodules[one] for one in pair.current]
        if not pair.prior:
            status = Status.NOT_SCANNED if pair.match is Match.NOT_SCANNED else Status.NEW
            linked += [(one, Link(status=status)) for one in nodules]
            continue
        before = [there.nodules[one] for one in pair.prior]
        known = _known(prior, there, before[0])
        # What another version has measured is no history of this one.
        history = known.history if known and is_same_version else ()
        comparison = compare_sizes(prior, pair, _sizes(sides, pair), history)
        comparison = replace(comparison, place=keep_place(there.scan, before[0]))
        uids = [known.tracking_uid if known else "", *("" for _ in nodules[1:])]
        linked += [
            (one, Link(tracking_uid=uid, prior=comparison)) for one, uid in zip(nodules, uids, strict=True)
        ]
    return linked


def _known(prior: PriorStudy, there: _Side, nodule: Nodule) -> KnownFinding | None:
    return find_known([one for one in prior.known if one.label == NODULE], there.spot(nodule))


def _sizes(sides: tuple[_Side, _Side], pair: Pair) -> tuple[list[Sized], list[Sized]]:
    here, there = (
        [sized(side.nodules[one], side.scan.volume.grid.spacing_mm[0]) for one in indices]
        for side, indices in zip(sides, (pair.current, pair.prior), strict=True)
    )
    return here, there


def _gone(prior: PriorStudy, there: _Side, pair: Pair, registration: Registration) -> GoneFinding:
    nodule = there.nodules[pair.prior[0]]
    known = _known(prior, there, nodule)
    return GoneFinding(
        tracking_uid=known.tracking_uid if known else "",
        label=NODULE,
        status=Status.NOT_SCANNED if pair.match is Match.NOT_SCANNED else Status.RESOLVED,
        center_lps_mm=_point(registration.to_current(there.place(nodule)).round(3)),
        volume_mm3=round(nodule.volume_mm3, 3),
        mean_diameter_mm=round(nodule.axial.mean_mm, 3),
        place=keep_place(there.scan, nodule),
    )
