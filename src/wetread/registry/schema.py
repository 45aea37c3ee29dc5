"""The words of ``model.toml`` and the check that only they are used.

In: parsed TOML.  Out: nothing, or InvalidPackage naming the key and the nearest valid word.
Never: a default for what a package must say itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from wetread.domain.lifecycle import ModelState
from wetread.domain.measurement import MEASUREMENTS
from wetread.errors import InvalidPackage

STATES = tuple(ModelState)
#: Beyond every size, time and threshold; what is larger fits neither clocks nor limits.
_LARGEST = 1e12
RUNTIME_KINDS = ("python", "onnx", "openvino", "kserve", "container", "dicom-peer")
ENGINES = ("docker", "podman")
ARRANGEMENTS = ("planes", "slab", "volume")
ACTIVATIONS = ("none", "sigmoid", "softmax")
#: Coding schemes that results are written in.
SCHEMES = ("SCT", "RADLEX", "DCM")
PRIORITIES = ("stat", "urgent", "routine")
BLENDS = ("gaussian", "constant")
PADDINGS = ("zero", "edge")
DECISIONS = ("threshold", "highest")
CATEGORIES = ("abnormality", "anatomy")
TASK_KINDS = ("classification", "segmentation", "detection", "regression")
ORIENTATIONS = ("axial", "coronal", "sagittal")


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """What one key must hold."""

    #: ``text``, ``number``, ``whole number``, ``yes or no``, ``list of texts``, ``two numbers``,
    #: ``three whole numbers``, ``list of tables``.
    kind: str
    required: bool = False
    #: The only texts allowed, where there are such.
    words: tuple[str, ...] = ()


_TEXT = Key(kind="text", required=True)
_NUMBER = Key(kind="number")

#: Table -> key -> what it must hold; ``""`` is the top level.
SCHEMA: Mapping[str, Mapping[str, Key]] = {
    "": {
        "name": _TEXT,
        "version": _TEXT,
        "title": _TEXT,
        "intended_use": _TEXT,
        "state": Key(kind="text", required=True, words=STATES),
        "operating_point": _TEXT,
    },
    "eligibility": {
        "modalities": Key(kind="list of texts", required=True),
        "orientations": Key(kind="list of texts", words=ORIENTATIONS),
        "minimum_slices": Key(kind="whole number"),
        "maximum_slice_spacing_mm": _NUMBER,
        "maximum_slice_thickness_mm": _NUMBER,
        "minimum_extent_mm": _NUMBER,
        "minimum_age_years": _NUMBER,
        "maximum_age_years": _NUMBER,
        "allows_contrast_agent": Key(kind="yes or no"),
        "pixel_range": Key(kind="two numbers"),
        "preferred_kernels": Key(kind="list of texts"),
        "preferred_slice_spacing_mm": _NUMBER,
    },
    "runtime": {
        "kind": Key(kind="text", required=True, words=RUNTIME_KINDS),
        "entry": Key(kind="text"),
        "sample_entry": Key(kind="text"),
        "file": Key(kind="text"),
        "arrangement": Key(kind="text", words=ARRANGEMENTS),
        "reach": Key(kind="whole number"),
        "window": Key(kind="three whole numbers"),
        "overlap": _NUMBER,
        "blend": Key(kind="text", words=BLENDS),
        "padding": Key(kind="text", words=PADDINGS),
        "compares": Key(kind="yes or no"),
        "measures": Key(kind="yes or no"),
        "axes": Key(kind="text"),
        "activation": Key(kind="text", words=ACTIVATIONS),
        "url": Key(kind="text"),
        "remote_model": Key(kind="text"),
        "remote_version": Key(kind="text"),
        "allows_plain_http": Key(kind="yes or no"),
        "peer": Key(kind="text"),
        "tls": Key(kind="yes or no"),
        "answers_from": Key(kind="text"),
        "image": Key(kind="text"),
        "engine": Key(kind="text", words=ENGINES),
        "cpus": _NUMBER,
        "timeout_s": _NUMBER,
        "memory_mb": Key(kind="whole number"),
    },
    "task": {
        "kind": Key(kind="text", words=TASK_KINDS),
        "classes": Key(kind="list of texts"),
        "positive": Key(kind="text"),
        "threshold": _NUMBER,
        "ordered": Key(kind="yes or no"),
        "decision": Key(kind="text", words=DECISIONS),
    },
    "output": {
        "label": Key(kind="text"),
        "code": Key(kind="text"),
        "scheme": Key(kind="text", words=SCHEMES),
        "meaning": Key(kind="text"),
        "channel": Key(kind="whole number"),
        "category": Key(kind="text", words=CATEGORIES),
        "boxes": Key(kind="text"),
        "scores": Key(kind="text"),
        "priority": Key(kind="text", words=PRIORITIES),
        "least_volume_mm3": _NUMBER,
        "most_findings": Key(kind="whole number"),
        "measurement": Key(kind="text", words=tuple(MEASUREMENTS)),
    },
    "recipe": {"steps": Key(kind="list of tables")},
}
#: Tables with keys of the package's own choice, and what each key must hold.
OPEN_TABLES: Mapping[str, Key] = {"parameters": _NUMBER, "acceptance": _NUMBER, "card": Key(kind="text")}


def check_schema(content: Mapping[str, Any]) -> None:
    """Check parsed ``model.toml``.

    Raises
    ------
    InvalidPackage
        Naming the key, what it must hold, and the nearest valid word for a misspelled one.
    """
    tables = [name for name in SCHEMA if name] + list(OPEN_TABLES)
    top = {key: value for key, value in content.items() if key not in tables}
    _check_table("", top, extra_words=tables)
    for name in tables:
        table = content.get(name, {})
        if not isinstance(table, Mapping):
            raise InvalidPackage(f"[{name}] must be a table", key=name)
        if name in SCHEMA:
            _check_table(name, table)
        else:
            for key, value in table.items():
                _check_value(f"{name}.{key}", value, OPEN_TABLES[name])


def _check_table(name: str, table: Mapping[str, Any], extra_words: list[str] | None = None) -> None:
    schema = SCHEMA[name]
    for key, value in table.items():
        full = f"{name}.{key}" if name else key
        if key not in schema:
            raise _unknown(full, key, [*schema, *(extra_words or [])])
        _check_value(full, value, schema[key])
    for key, rule in schema.items():
        if rule.required and key not in table:
            raise InvalidPackage(f"{name}.{key} is missing" if name else f"{key} is missing", key=key)


def _check_value(name: str, value: Any, key: Key) -> None:
    if not _holds(value, key.kind):
        raise InvalidPackage(f"{name} must be a {key.kind}", key=name)
    for word in value if isinstance(value, list) and key.words else [value]:
        if key.words and word not in key.words:
            raise _unknown(f"{name} = {word!r}", str(word), list(key.words))


def _holds(value: Any, kind: str) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind == "text":
        return isinstance(value, str) and bool(value.strip())
    if kind == "number":
        return is_number and value == value and abs(value) < _LARGEST
    if kind == "whole number":
        return is_number and isinstance(value, int) and 0 <= value < _LARGEST
    if kind == "yes or no":
        return isinstance(value, bool)
    if not isinstance(value, list) or not value:
        return False
    if kind == "list of tables":
        return all(isinstance(one, Mapping) for one in value)
    if kind == "three whole numbers":
        return len(value) == 3 and all(_holds(one, "whole number") for one in value)
    if kind == "list of texts":
        return all(_holds(one, "text") for one in value)
    return len(value) == 2 and all(_holds(one, "number") for one in value) and value[0] < value[1]


def _unknown(name: str, word: str, known: list[str]) -> InvalidPackage:
    near = get_close_matches(word, known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
    return InvalidPackage(f"{name} is not known in model.toml: {hint}", key=name)
