"""One frame as a picture.

In: an open Part 10 file, a frame's number, what is asked of its display.  Out: PNG or JPEG.
Never: annotations, text, a patient's name; compressed pixels decoded in this process.

References
----------
PS3.18 section 8.3.5; PS3.4 N.2.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image

from wetread.errors import NoSuchFrame, UndecodablePixels
from wetread.imaging.colour import apply_palette, to_rgb
from wetread.imaging.decoder import DECODERS, DecoderPool
from wetread.imaging.display import Display, DisplayReader, Window
from wetread.imaging.frames import Frame, iter_frames
from wetread.imaging.grey import to_grey
from wetread.imaging.layout import PixelLayout, read_layout
from wetread.imaging.stored import to_array

Array = npt.NDArray[Any]

JPEG, PNG = "image/jpeg", "image/png"
THUMBNAIL_SIDE = 128
#: Larger than any scanner's image; a larger one costs more than anybody should be able to ask for.
_MOST_PIXELS = 1 << 26
_MOST_VIEWPORT = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewport:
    """The room for a picture, in pixels; ValueError where there is none."""

    width: int
    height: int
    #: Left, top, width and height of what is shown, in pixels of the image; a negative width or height turns
    #: it over. None: all of it.
    region: tuple[float, float, float, float] | None = None

    def __post_init__(self) -> None:
        """Check that there is room, and something to show."""
        if not (1 <= self.width <= _MOST_VIEWPORT and 1 <= self.height <= _MOST_VIEWPORT):
            raise ValueError(f"A viewport has between 1 and {_MOST_VIEWPORT} pixels a side.")
        if self.region is not None and not (self.region[2] and self.region[3]):
            raise ValueError("A region has a width and a height.")


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderOptions:
    """What is asked of a picture."""

    media_type: str = JPEG
    #: None: the object's own.
    window: Window | None = None
    #: None: a pixel of the picture is one of the image.
    viewport: Viewport | None = None
    #: Of JPEG, 1 to 100.
    quality: int = 90


def render(
    file: BinaryIO, number: int, options: RenderOptions | None = None, *, decoders: DecoderPool = DECODERS
) -> bytes:
    """Return a frame as a picture.

    Raises
    ------
    NoSuchFrame
        If there is none of this number.
    NoPixels
        If the object has no pixel data.
    UndecodablePixels
        If its pixels cannot be decoded or shown.
    UnreadableInstance
        If its structure is broken, or it is cut short.

    Notes
    -----
    A viewport is filled as far as the shape of the image allows: it is made smaller or larger.
    """
    options = options or RenderOptions()
    shown = show(file, number, options.window, decoders=decoders)
    image = Image.fromarray(shown.pixels)
    if options.viewport is not None:
        image = _fit(image, options.viewport, shown.pixel_aspect)
    return _encode(image, options)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shown:
    """A frame as it is seen."""

    #: 8 bits; shape (rows, columns), or (rows, columns, 3) in colour.
    pixels: Array
    #: Height of a pixel by its width.
    pixel_aspect: float


def show(file: BinaryIO, number: int, window: Window | None, *, decoders: DecoderPool = DECODERS) -> Shown:
    """Return a frame as it is seen, pixel by pixel; raises like ``render``.

    Parameters
    ----------
    window
        None: the object's own.
    """
    reader = DisplayReader(number)
    layout = read_layout(file, reader.take)
    _check(layout, number)
    display = reader.finish(layout)
    (frame,) = iter_frames(file, [number], is_decoded=True, layout=layout, decoders=decoders)
    return Shown(pixels=_shown(frame, layout, display, window), pixel_aspect=display.pixel_aspect)


def thumbnail(
    file: BinaryIO,
    side: int = THUMBNAIL_SIDE,
    media_type: str = JPEG,
    *,
    decoders: DecoderPool = DECODERS,
) -> bytes:
    """Return a small picture of the frame in the middle.

    Raises
    ------
    NoPixels, UndecodablePixels, UnreadableInstance
        As ``render``.
    """
    number = (read_layout(file).frames + 1) // 2
    options = RenderOptions(media_type=media_type, viewport=Viewport(width=side, height=side))
    return render(file, number, options, decoders=decoders)


def _check(layout: PixelLayout, number: int) -> None:
    if not 1 <= number <= layout.frames:
        raise NoSuchFrame(number=number, frames=layout.frames)
    layout.require_size()
    if layout.rows * layout.columns > _MOST_PIXELS:
        raise UndecodablePixels("The image is larger than any that is shown.", limit=_MOST_PIXELS)


def _shown(frame: Frame, layout: PixelLayout, display: Display, window: Window | None) -> Array:
    pixels = to_array(frame.data, layout)
    if layout.samples == 3:
        return np.ascontiguousarray(to_rgb(pixels, frame.photometric, layout.bits_stored))
    if layout.samples != 1:
        raise UndecodablePixels("Pixels of this Photometric Interpretation are not shown.")
    if frame.photometric == "PALETTE COLOR":
        if display.palette is None:
            raise UndecodablePixels("The object's palette is missing: send it corrected")
        return apply_palette(pixels, display.palette)
    is_inverted = frame.photometric == "MONOCHROME1"
    if layout.bits_allocated == 1:
        return np.where(pixels != is_inverted, np.uint8(255), np.uint8(0))
    return to_grey(pixels, _with_window(display, window), is_inverted=is_inverted)


def _with_window(display: Display, window: Window | None) -> Display:
    if window is None:
        return display
    return Display(
        slope=display.slope,
        intercept=display.intercept,
        modality_lut=display.modality_lut,
        window=window,
        padding=display.padding,
    )


def _fit(image: Image.Image, viewport: Viewport, pixel_aspect: float) -> Image.Image:
    """Return what is shown of an image, as large as the viewport allows (PS3.18 8.3.5.1.3)."""
    if viewport.region is not None:
        image = _cut(image, viewport.region)
    height = image.height * pixel_aspect
    scale = min(viewport.width / image.width, viewport.height / height)
    size = max(1, round(image.width * scale)), max(1, round(height * scale))
    return image.resize(size, Image.Resampling.BILINEAR, reducing_gap=3.0)


def _cut(image: Image.Image, region: tuple[float, float, float, float]) -> Image.Image:
    left, top, width, height = region
    box = (
        max(0, round(left)),
        max(0, round(top)),
        min(image.width, round(left + abs(width))),
        min(image.height, round(top + abs(height))),
    )
    if box[0] >= box[2] or box[1] >= box[3]:
        raise ValueError("The region lies outside of the image.")
    image = image.crop(box)
    if width < 0:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return image.transpose(Image.Transpose.FLIP_TOP_BOTTOM) if height < 0 else image


def _encode(image: Image.Image, options: RenderOptions) -> bytes:
    picture = io.BytesIO()
    if options.media_type == PNG:
        # The lowest effort: three times as fast for a tenth more bytes.
        image.save(picture, "PNG", compress_level=1)
    else:
        image.save(picture, "JPEG", quality=options.quality)
    return picture.getvalue()
