"""One chest CT as it is looked at: thorax, lungs, free pleural air, nodules.

In: a volume and the model's parameters.  Out: what was measured, on the upright grid.
Never: a finding, words for a report; another study.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from wetread.domain.model import Model
from wetread.domain.problem import Problem, ProblemCode
from wetread.domain.volume import Grid, Volume
from wetread.infer.nodule_second import second_reader
from wetread.measure.air import (
    AirRegion,
    AirSettings,
    AirWeights,
    PleuralAir,
    find_pleural_air,
    mark_pleural_air,
    without_air,
)
from wetread.measure.coarse import shrink
from wetread.measure.effusion import Effusion, find_effusions
from wetread.measure.lungs import segment_lungs, touches_ends
from wetread.measure.nodules import Nodule, NoduleSettings, Search, Views, find_nodules, open_search
from wetread.measure.orientation import Upright, to_upright
from wetread.measure.pictures import LungView
from wetread.measure.thorax import Labels, Thorax, find_thorax

_COARSE_MM = 2.0
_BLOCK_MM = 1.3
_WEIGHT = "nodule_weight_"
_GRAVITY_UNKNOWN = Problem(
    code=ProblemCode.GRAVITY_UNKNOWN,
    message="Whether the patient lies on back or front cannot be told: pleural fluid was not looked for.",
    refuses=False,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChestScan:
    """An upright chest CT with its thorax, before any nodule is searched."""

    upright: Upright
    #: The volume's own.
    grid: Grid
    views: Views
    #: With free pleural air and without.
    thorax: Thorax
    clear: Thorax
    air: tuple[AirRegion, ...]

    @property
    def volume(self) -> Volume:
        """The upright CT."""
        return self.views.volume

    @property
    def lung_view(self) -> LungView:
        """It as it is registered."""
        return LungView(volume=self.volume, coarse=self.views.coarse, closed=self.clear.closed)

    def open_search(self, model: Model) -> Search:
        """Prepare to look at places."""
        return open_search(self.views, self.clear, nodule_settings(model.parameters))

    def find_nodules(self, model: Model) -> tuple[tuple[Nodule, ...], bool]:
        """Find the nodules, and tell whether spots were left out because there were too many."""
        agrees = second_reader(model, self.volume)
        return find_nodules(self.views, self.clear, nodule_settings(model.parameters), agrees)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What was measured, on the upright grid."""

    scan: ChestScan
    lungs: Labels
    air: tuple[PleuralAir, ...]
    fluid: tuple[Effusion, ...]
    nodules: tuple[Nodule, ...]
    problems: tuple[Problem, ...]

    @property
    def volume(self) -> Volume:
        """The upright CT."""
        return self.scan.volume

    @property
    def upright(self) -> Upright:
        """The way back to the volume's own grid."""
        return self.scan.upright


def open_chest(volume: Volume, model: Model) -> ChestScan | None:
    """Find the thorax; None where no lung is seen."""
    own, (volume, upright) = volume.grid, to_upright(volume)
    coarse = shrink(volume, _COARSE_MM)
    blocks = shrink(volume, _BLOCK_MM)
    thorax = find_thorax(coarse)
    if thorax is None:
        return None
    air = find_pleural_air(blocks, coarse, thorax, air_settings(model.parameters))
    views = Views(volume=volume, coarse=coarse, blocks=blocks)
    clear = without_air(thorax, coarse, air)
    return ChestScan(upright=upright, grid=own, views=views, thorax=thorax, clear=clear, air=air)


def look_at_chest(volume: Volume, model: Model) -> Seen | None:
    """Look at everything; None where no lung is seen."""
    scan = open_chest(volume, model)
    if scan is None:
        return None
    upright, coarse = scan.volume, scan.views.coarse
    lungs = segment_lungs(upright, coarse, scan.thorax)
    marked = tuple(mark_pleural_air(upright, (coarse, scan.thorax), one, lungs) for one in scan.air)
    fluid = find_effusions(coarse, scan.thorax, model.parameters["effusion_least_ml"])
    nodules, too_many = scan.find_nodules(model)
    limits = _limits(upright, lungs, too_many)
    return Seen(
        scan=scan,
        lungs=lungs,
        air=marked,
        fluid=fluid or (),
        nodules=nodules,
        problems=limits if fluid is not None else (*limits, _GRAVITY_UNKNOWN),
    )


def nodule_settings(parameters: Mapping[str, float]) -> NoduleSettings:
    """Take the operating point of the nodule search out of a model's parameters."""
    return NoduleSettings(
        least_strength_hu=parameters["nodule_least_strength_hu"],
        sure_strength_hu=parameters["nodule_sure_strength_hu"],
        glass_hu=parameters["nodule_glass_hu"],
        least_probability=parameters["nodule_least_probability"],
        least_diameter_mm=parameters["nodule_least_diameter_mm"],
        greatest_diameter_mm=parameters["nodule_greatest_diameter_mm"],
        most_candidates=int(parameters["nodule_most_candidates"]),
        weights={
            name.removeprefix(_WEIGHT): value
            for name, value in parameters.items()
            if name.startswith(_WEIGHT)
        },
    )


def air_settings(parameters: Mapping[str, float]) -> AirSettings:
    """Take the operating point of the search for free air out of a model's parameters."""
    return AirSettings(
        least_ml=parameters["pneumothorax_least_ml"],
        least_probability=parameters["pneumothorax_least_probability"],
        weights=AirWeights(
            intercept=parameters["pneumothorax_weight_intercept"],
            density=parameters["pneumothorax_weight_density"],
            raggedness=parameters["pneumothorax_weight_raggedness"],
            wall=parameters["pneumothorax_weight_wall"],
            line=parameters["pneumothorax_weight_line"],
        ),
    )


def _limits(volume: Volume, lungs: Labels, too_many: bool) -> tuple[Problem, ...]:
    problems = []
    pixel_mm2 = volume.grid.spacing_mm[1] * volume.grid.spacing_mm[2]
    lower, upper = touches_ends(lungs, pixel_mm2)
    if lower or upper:
        ends = " and ".join(name for name, cut in (("lower", lower), ("upper", upper)) if cut)
        problems.append(
            Problem(
                code=ProblemCode.LUNGS_CUT_OFF,
                message=f"The lungs are cut off at the {ends} end of the scan: measured is what is shown.",
                refuses=False,
            )
        )
    if too_many:
        problems.append(
            Problem(
                code=ProblemCode.TOO_MANY_CANDIDATES,
                message="More bright spots than this reader looks at: nodules may have been missed.",
                refuses=False,
            )
        )
    return tuple(problems)
