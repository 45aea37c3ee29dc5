"""Pictures: what an address asks of them, in the words of WADO-RS and of WADO-URI.

In: parameters.  Out: ``RenderOptions``.  Never: a parameter ignored that would change what is seen.

References
----------
PS3.18 sections 8.3.5 (Rendered), 9.1.2 (WADO-URI).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from wetread.errors import InvalidQuery
from wetread.imaging.display import Shape, Window
from wetread.imaging.render import JPEG, PNG, RenderOptions, Viewport
from wetread.share.accept import MediaType, choose

OFFERED = (MediaType(name=JPEG), MediaType(name=PNG))
_SHAPES = {
    "LINEAR": Shape.LINEAR,
    "LINEAR_EXACT": Shape.LINEAR_EXACT,
    "SIGMOID": Shape.SIGMOID,
    # PS3.18 8.3.5.1.4 writes them small.
    "linear": Shape.LINEAR,
    "linear-exact": Shape.LINEAR_EXACT,
    "sigmoid": Shape.SIGMOID,
}


def read_rendering(parameters: Mapping[str, str], accepted: Sequence[MediaType]) -> RenderOptions:
    """Return what WADO-RS asks: ``window``, ``viewport``, ``quality``.

    Raises
    ------
    InvalidQuery
        If a parameter is not understood.
    NotAcceptable
        If neither JPEG nor PNG is accepted.
    """
    return RenderOptions(
        media_type=choose(accepted, OFFERED).name,
        window=_window(parameters.get("window", "")),
        viewport=_viewport(parameters.get("viewport", "")),
        quality=_quality(parameters.get("quality", parameters.get("imageQuality", "90"))),
    )


def read_uri_rendering(parameters: Mapping[str, str], media_type: str) -> RenderOptions:
    """Return what WADO-URI asks: ``windowCenter``, ``windowWidth``, ``rows``, ``columns``, quality."""
    center, width = parameters.get("windowCenter", ""), parameters.get("windowWidth", "")
    if bool(center) != bool(width):
        raise InvalidQuery("windowCenter and windowWidth belong together.")
    rows, columns = parameters.get("rows", ""), parameters.get("columns", "")
    viewport = f"{columns or rows},{rows or columns}" if rows or columns else ""
    return RenderOptions(
        media_type=media_type,
        window=_window(f"{center},{width}" if center else ""),
        viewport=_viewport(viewport),
        quality=_quality(parameters.get("imageQuality", "90")),
    )


def _window(text: str) -> Window | None:
    if not text:
        return None
    center, width, *shape = text.split(",")[:4] if text.count(",") in (1, 2) else ("", "")
    name = shape[0] if shape else "LINEAR"
    if name not in _SHAPES:
        raise InvalidQuery("A window's function is linear, linear-exact or sigmoid.")
    try:
        return Window(center=_finite(center), width=_finite(width), shape=_SHAPES[name])
    except ValueError as error:
        raise InvalidQuery("A window is center,width or center,width,function.") from error


def _viewport(text: str) -> Viewport | None:
    """Return the room of ``width,height`` or ``width,height,x,y,w,h``."""
    if not text:
        return None
    parts = text.split(",")
    try:
        width, height, *region = parts
        if len(region) not in (0, 4):
            raise ValueError("A region has four numbers.")
        place = tuple(_finite(one) for one in region)
        return Viewport(width=int(width), height=int(height), region=place or None)  # type: ignore[arg-type]
    except ValueError as error:
        raise InvalidQuery("A viewport is width,height or width,height,x,y,width,height.") from error


def _quality(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 4 and 1 <= int(text) <= 100):
        raise InvalidQuery("The quality is a number from 1 to 100.")
    return int(text)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value
