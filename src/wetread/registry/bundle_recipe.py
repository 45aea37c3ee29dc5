"""What a bundle does with an image before and after its network, as words of ``model.toml``.

In: the configuration of its inference.  Out: ``Handling``: steps of the recipe, window, activation, decision.
Never: a transform that is left out because it is not known; a transform's own code.

References
----------
MONAI transforms and ``SlidingWindowInferer``, as of MONAI 1.6: names, arguments and their defaults.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from wetread.errors import InvalidPackage
from wetread.measure.orientation import axis_order
from wetread.registry.bundle_config import BundleConfig

_Table = Mapping[str, Any]
#: Nothing of them changes what the network sees, as our images come: one channel, floats, in memory.
_NOTHING = frozenset({
    "EnsureChannelFirst", "AddChannel", "EnsureType", "ToTensor", "CastToType", "ToDevice", "Identity",
    "SaveImage", "DeleteItems",
})  # fmt: skip
#: Arguments that say where things are kept or computed, not what.
_SILENT = frozenset({
    "_target_", "_disabled_", "_desc_", "keys", "allow_missing_keys", "dtype", "device", "meta_keys",
    "orig_keys", "orig_meta_keys", "meta_key_postfix", "lazy", "padding_mode", "align_corners", "labels",
    "transform", "to_tensor", "recompute_affine", "output_dtype",
})  # fmt: skip
_INFERER_SILENT = frozenset({
    "_target_", "_desc_", "sw_batch_size", "sw_device", "device", "progress", "cache_roi_weight_map",
    "cpu_thresh", "buffer_steps", "buffer_dim",
})  # fmt: skip


@dataclass(kw_only=True)
class Handling:
    """What is done around a network."""

    steps: list[dict[str, Any]] = field(default_factory=list)
    #: Where the tensor's axes point to; ``""``: the bundle does not say.
    axes: str = ""
    window: list[int] = field(default_factory=list)
    overlap: float = 0.25
    blend: str = "constant"
    padding: str = "zero"
    activation: str = "none"
    #: ``threshold``, ``highest``, or ``""`` where it says nothing.
    decision: str = ""
    threshold: float = 0.5
    #: What is done otherwise than in the bundle, for the card.
    notes: list[str] = field(default_factory=list)


def read_handling(config: BundleConfig, axes: str = "") -> Handling:
    """Read what is done before and after the network.

    Parameters
    ----------
    axes
        Where the tensor's axes point to, for a bundle that does not turn its images itself.

    Raises
    ------
    InvalidPackage
        Naming a transform or an argument that has no counterpart here.
    """
    handling = Handling(axes=axes)
    for name, table, where in _transforms(config, "preprocessing"):
        _BEFORE.get(name, _unknown)(_Arguments(config, table, where, name), handling)
    if not handling.axes:
        raise InvalidPackage(
            "The bundle does not turn its images one way (Orientationd): say by --axes where the axes of its"
            " tensors point to, e.g. RAS.",
            key="preprocessing",
        )
    if "inferer" in config:
        _read_inferer(config, handling)
    if "postprocessing" in config:
        for name, table, where in _transforms(config, "postprocessing"):
            _AFTER.get(name, _unknown)(_Arguments(config, table, where, name), handling)
    return handling


class _Arguments:
    """What a transform is called with; what nobody asked for in the end is refused."""

    def __init__(self, config: BundleConfig, table: _Table, where: str, name: str) -> None:
        self._config, self._table = config, table
        self.where, self.name = where, name
        self._asked: set[str] = set()

    def take(self, key: str, default: Any = None) -> Any:
        self._asked.add(key)
        return self._config.within(self._table, key, self.where, default)

    def number(self, key: str, default: float | None = None) -> float:
        value = self.take(key, default)
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e12:
            raise self.wrong(key, "must be a number")
        return float(value)

    def numbers(self, key: str) -> list[float]:
        value = self.take(key)
        if not isinstance(value, list) or len(value) != 3:
            raise self.wrong(key, "must be three numbers")
        if any(
            isinstance(one, bool) or not isinstance(one, int | float) or not abs(one) < 1e12 for one in value
        ):
            raise self.wrong(key, "must be three numbers")
        return [float(one) for one in value]

    def must(self, key: str, allowed: tuple[Any, ...], default: Any) -> Any:
        value = self.take(key, default)
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if not any(value is one or (isinstance(value, str) and value == one) for one in allowed):
            known = ", ".join(map(str, allowed))
            raise self.wrong(key, f"has no counterpart here unless it is {known}")
        return value

    def finish(self) -> None:
        for key in self._table:
            if key not in self._asked and key not in _SILENT:
                raise self.wrong(key, "has no counterpart here")

    def wrong(self, key: str, what: str) -> InvalidPackage:
        where = f"{self.where}#{key}"
        return InvalidPackage(f"The bundle's {where} ({self.name}) {what}.", key=where[:200])


def _transforms(config: BundleConfig, where: str) -> Iterator[tuple[str, _Table, str]]:
    table = config.get(where)
    if not isinstance(table, Mapping):
        raise InvalidPackage(f"The bundle's {where} is no Compose of transforms.", key=where)
    listed = config.get(f"{where}#transforms") if "transforms" in table else [table]
    for number, one in enumerate(listed if isinstance(listed, list) else []):
        place = f"{where}#transforms#{number}"
        found = config.whole(one, place) if isinstance(one, str) else one
        if not isinstance(found, Mapping) or not isinstance(found.get("_target_"), str):
            raise InvalidPackage(f"The bundle's {place} is no transform.", key=place)
        if config.within(found, "_disabled_", place, default=False) is True:
            continue
        keys = config.within(found, "keys", place)
        if isinstance(keys, list) and len(keys) > 1 and where == "preprocessing":
            raise InvalidPackage(f"The bundle's {place} is for several images; one is read here.", key=place)
        yield _known_as(found["_target_"]), found, place


def _known_as(target: str) -> str:
    """Return what a transform is called without its module and the ending of those for dictionaries."""
    name = target.rpartition(".")[2]
    for ending in ("Dict", "D", "d"):
        bare = name.removesuffix(ending)
        if bare != name and (bare in _BEFORE or bare in _AFTER):
            return bare
    return name


def _unknown(arguments: _Arguments, _handling: Handling) -> None:
    known = ", ".join(sorted((_BEFORE.keys() | _AFTER.keys()) - _NOTHING))
    raise InvalidPackage(
        f"The bundle's {arguments.where} is {arguments.name[:60]}, which has no counterpart here. Known are"
        f" {known}: write a python package instead (docs/how-to/bring-your-model.md).",
        key=arguments.where,
    )


def _nothing(_arguments: _Arguments, _handling: Handling) -> None:
    pass


def _load(arguments: _Arguments, _handling: Handling) -> None:
    # Otherwise what it calls R would be L.
    arguments.must("affine_lps_to_ras", (True,), True)


def _orientation(arguments: _Arguments, handling: Handling) -> None:
    axes = arguments.take("axcodes")
    axes = "".join(axes) if isinstance(axes, list) and all(isinstance(one, str) for one in axes) else axes
    if not isinstance(axes, str) or sorted(axes.translate(str.maketrans("RAI", "LPS"))) != ["L", "P", "S"]:
        raise arguments.wrong("axcodes", "must be three letters like RAS")
    if any(step["kind"] in ("resample", "resize") for step in handling.steps):
        raise arguments.wrong("axcodes", "comes behind a step that needs it before")
    arguments.finish()
    handling.axes = axes


def _spacing(arguments: _Arguments, handling: Handling) -> None:
    pixdim = arguments.numbers("pixdim")
    if min(pixdim) <= 0:
        raise arguments.wrong("pixdim", "must be three lengths above 0")
    arguments.must("mode", ("bilinear",), "bilinear")
    arguments.must("diagonal", (False,), False)
    arguments.must("scale_extent", (False,), False)
    arguments.finish()
    handling.steps.append(
        {"kind": "resample", "spacing_mm": _upright(arguments, pixdim, handling), "keeps": "first"}
    )


def _resize(arguments: _Arguments, handling: Handling) -> None:
    size = arguments.numbers("spatial_size")
    arguments.must("mode", ("trilinear",), "area")
    arguments.must("size_mode", ("all",), "all")
    arguments.must("anti_aliasing", (False,), False)
    arguments.finish()
    handling.steps.append(
        {"kind": "resize", "shape": [int(one) for one in _upright(arguments, size, handling)]}
    )


def _upright(arguments: _Arguments, values: list[float], handling: Handling) -> list[float]:
    """Return values along the tensor's axes in the order planes, rows, columns."""
    if not handling.axes:
        raise InvalidPackage(
            f"The bundle's {arguments.where} ({arguments.name}) comes before its images are turned one way:"
            " say by --axes where they point to.",
            key=arguments.where,
        )
    found = [0.0, 0.0, 0.0]
    for value, axis in zip(values, axis_order(handling.axes), strict=True):
        found[axis] = value
    return found


def _scale_range(arguments: _Arguments, handling: Handling) -> None:
    low, high = arguments.number("a_min"), arguments.number("a_max")
    if not low < high:
        raise arguments.wrong("a_max", "must be above a_min")
    to_low, to_high = arguments.number("b_min", 0.0), arguments.number("b_max", 1.0)
    if arguments.must("clip", (True, False), False):
        handling.steps.append({"kind": "window", "low": low, "high": high})
        _stretch(handling, to_low, to_high)
    else:
        factor = (to_high - to_low) / (high - low)
        handling.steps.append({"kind": "linear", "factor": factor, "add": to_low - low * factor})
    arguments.finish()


def _scale_percentiles(arguments: _Arguments, handling: Handling) -> None:
    low, high = arguments.number("lower"), arguments.number("upper")
    arguments.must("clip", (True,), False)
    arguments.must("relative", (False,), False)
    arguments.take("channel_wise")
    handling.steps.append({"kind": "percentile", "low": low, "high": high})
    _stretch(handling, arguments.number("b_min", 0.0), arguments.number("b_max", 1.0))
    arguments.finish()


def _scale(arguments: _Arguments, handling: Handling) -> None:
    arguments.must("factor", (None,), None)
    arguments.take("channel_wise")
    handling.steps.append({"kind": "min-max"})
    _stretch(handling, arguments.number("minv", 0.0), arguments.number("maxv", 1.0))
    arguments.finish()


def _stretch(handling: Handling, low: float, high: float) -> None:
    if (low, high) != (0.0, 1.0):
        handling.steps.append({"kind": "linear", "factor": high - low, "add": low})


def _normalize(arguments: _Arguments, handling: Handling) -> None:
    step: dict[str, Any] = {"kind": "z-score"}
    given = [arguments.take(key) is not None for key in ("subtrahend", "divisor")]
    if all(given):
        step |= {"mean": arguments.number("subtrahend"), "deviation": arguments.number("divisor")}
    elif any(given):
        raise arguments.wrong("subtrahend", "and divisor have counterparts here only together")
    if arguments.must("nonzero", (True, False), False):
        step["nonzero"] = True
    # One channel: all is that channel.
    arguments.take("channel_wise")
    arguments.finish()
    handling.steps.append(step)


def _activations(arguments: _Arguments, handling: Handling) -> None:
    is_sigmoid = arguments.must("sigmoid", (True, False), False)
    is_softmax = arguments.must("softmax", (True, False), False)
    arguments.must("other", (None,), None)
    arguments.finish()
    handling.activation = "softmax" if is_softmax else "sigmoid" if is_sigmoid else handling.activation


def _as_discrete(arguments: _Arguments, handling: Handling) -> None:
    is_highest = arguments.must("argmax", (True, False), False)
    threshold = arguments.take("threshold")
    arguments.must("rounding", (None,), None)
    arguments.take("to_onehot")
    arguments.finish()
    if is_highest:
        handling.decision = "highest"
        # Which channel is highest is the same before and after.
        handling.activation = "softmax" if handling.activation == "none" else handling.activation
    elif threshold is not None:
        handling.decision = "threshold"
        handling.threshold = arguments.number("threshold")


def _invert(arguments: _Arguments, handling: Handling) -> None:
    if arguments.must("nearest_interp", (True, False), True):
        handling.notes.append(
            "The bundle brings masks back to the images by the nearest voxel; here probabilities, linear."
        )
    arguments.finish()


def _read_inferer(config: BundleConfig, handling: Handling) -> None:
    table = config.get("inferer")
    target = table.get("_target_", "") if isinstance(table, Mapping) else ""
    arguments = _Arguments(config, table if isinstance(table, Mapping) else {}, "inferer", str(target)[:60])
    match str(target).rpartition(".")[2]:
        case "SimpleInferer":
            return
        case "SlidingWindowInferer":
            pass
        case _:
            raise arguments.wrong(
                "_target_", "has no counterpart here: known are SlidingWindowInferer, SimpleInferer"
            )
    size = arguments.take("roi_size")
    sizes = [size] * 3 if isinstance(size, int) and not isinstance(size, bool) else size
    is_whole = isinstance(sizes, list) and len(sizes) == 3 and all(type(one) is int for one in sizes)
    if not is_whole or not 1 <= min(sizes) <= max(sizes) <= 512:
        raise arguments.wrong("roi_size", "must be three whole numbers from 1 to 512")
    handling.window = [int(one) for one in _upright(arguments, sizes, handling)]
    overlap = arguments.take("overlap", 0.25)
    overlaps = set(overlap) if isinstance(overlap, list) else {overlap}
    if len(overlaps) != 1 or not all(isinstance(one, int | float) and 0 <= one <= 0.9 for one in overlaps):
        raise arguments.wrong("overlap", "must be one number from 0 to 0.9")
    handling.overlap = float(overlaps.pop())
    handling.blend = arguments.must("mode", ("constant", "gaussian"), "constant")
    if handling.blend == "gaussian" and arguments.number("sigma_scale", 0.125) != 0.125:
        raise arguments.wrong("sigma_scale", "has no counterpart here unless it is 0.125")
    padding = arguments.must("padding_mode", ("constant", "replicate"), "constant")
    handling.padding = "edge" if padding == "replicate" else "zero"
    if arguments.number("cval", 0.0) != 0:
        raise arguments.wrong("cval", "has no counterpart here unless it is 0")
    for key in table:
        if key not in _INFERER_SILENT and key not in (
            "roi_size", "overlap", "mode", "sigma_scale", "padding_mode", "cval",
        ):  # fmt: skip
            raise arguments.wrong(key, "has no counterpart here")


_Reader = Callable[[_Arguments, Handling], None]
_BEFORE: Mapping[str, _Reader] = dict.fromkeys(_NOTHING, _nothing) | {
    "LoadImage": _load,
    "Orientation": _orientation,
    "Spacing": _spacing,
    "Resize": _resize,
    "ScaleIntensityRange": _scale_range,
    "ScaleIntensityRangePercentiles": _scale_percentiles,
    "ScaleIntensity": _scale,
    "NormalizeIntensity": _normalize,
}
_AFTER: Mapping[str, _Reader] = dict.fromkeys(_NOTHING, _nothing) | {
    "Activations": _activations,
    "AsDiscrete": _as_discrete,
    "Invert": _invert,
}
