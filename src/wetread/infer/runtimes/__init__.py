"""Run a network, whatever its format.

In: a package.  Out: ``Session``, tensors by name in and out.
Never: a pickle; code of the package; more threads than there are cores for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from wetread.domain.model import Model
from wetread.errors import InvalidPackage
from wetread.infer.entry import check_unchanged
from wetread.infer.runtimes.kserve import open_kserve
from wetread.infer.runtimes.onnx import open_onnx
from wetread.infer.runtimes.openvino import open_openvino
from wetread.infer.runtimes.session import Session
from wetread.registry import package_folder

__all__ = ["Session", "open_session"]
_OPENERS: Mapping[str, Callable[[Model], Session]] = {
    "onnx": lambda model: open_onnx(_weights(model)),
    "openvino": lambda model: open_openvino(_weights(model)),
    "kserve": lambda model: open_kserve(model.runtime),
}
#: The digest stands for the content: who changes a package gets a new session.
_OPEN: dict[tuple[str, str, str, str], Session] = {}
_MOST_OPEN = 8


def open_session(model: Model) -> Session:
    """Open the network of a model; it stays open for the next image.

    Raises
    ------
    InvalidPackage
        If its kind has no session, the file is no network, or the package has changed.
    """
    if model.runtime.kind not in _OPENERS:
        raise InvalidPackage("The package holds no network that can be opened.", kind=model.runtime.kind)
    key = (model.runtime.kind, str(package_folder(model)), model.runtime.file, model.identity.digest)
    if key not in _OPEN:
        check_unchanged(model)
        while len(_OPEN) >= _MOST_OPEN:
            del _OPEN[next(iter(_OPEN))]  # the one opened first
        _OPEN[key] = _OPENERS[model.runtime.kind](model)
    return _OPEN[key]


def _weights(model: Model) -> str:
    return str(package_folder(model) / model.runtime.file)
