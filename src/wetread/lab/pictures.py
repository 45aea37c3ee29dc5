"""Pictures of a training: curves, and what the network says of some held-out images.

In: records of epochs; images with what was said.  Out: PNG files in the run folder.  Never: a patient's name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from wetread.lab.checkpoint import write_whole

_COLOURS = ("#1b6ca8", "#d1495b", "#2e8b57", "#8e5ea2", "#c77d00", "#444444")
_WIDTH, _HEIGHT, _EDGE = 480, 240, 36
_TILE = 128


def draw_curves(path: Path, histories: Mapping[str, Sequence[Mapping[str, float]]]) -> None:
    """Draw one panel for each thing recorded (loss, score, ...), one line for each network."""
    names = list(dict.fromkeys(name for one in histories.values() for record in one for name in record))
    picture = Image.new("RGB", (_WIDTH, _HEIGHT * max(1, len(names))), "white")
    draw = ImageDraw.Draw(picture)
    for row, name in enumerate(names):
        lines = {who: [record.get(name, np.nan) for record in one] for who, one in histories.items()}
        _draw_panel(draw, row * _HEIGHT, name, lines)
    _save(path, picture)


def draw_samples(
    path: Path,
    images: Sequence[npt.NDArray[np.float32]],
    captions: Sequence[str],
    outlines: Sequence[npt.NDArray[np.bool_] | None],
) -> None:
    """Draw images side by side, what was found outlined in red, a caption under each."""
    columns = min(4, max(1, len(images)))
    rows = -(-len(images) // columns)
    picture = Image.new("RGB", (columns * _TILE, rows * (_TILE + 16)), "white")
    draw = ImageDraw.Draw(picture)
    for number, (image, caption, outline) in enumerate(zip(images, captions, outlines, strict=True)):
        left, top = number % columns * _TILE, number // columns * (_TILE + 16)
        picture.paste(_tile(image, outline), (left, top))
        draw.text((left + 2, top + _TILE + 2), caption, fill="black")
    _save(path, picture)


def _draw_panel(draw: ImageDraw.ImageDraw, top: int, name: str, lines: Mapping[str, Sequence[float]]) -> None:
    values = np.array([value for line in lines.values() for value in line if np.isfinite(value)])
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    span = high - low or 1.0
    longest = max(2, *(len(line) for line in lines.values()))
    box = (_EDGE, top + 20, _WIDTH - 8, top + _HEIGHT - 24)
    draw.rectangle(box, outline="#bbbbbb")
    draw.text((_EDGE, top + 4), name, fill="black")
    draw.text((2, box[1]), f"{high:.3g}", fill="black")
    draw.text((2, box[3] - 10), f"{low:.3g}", fill="black")
    draw.text((box[2] - 70, box[3] + 4), f"{longest} epochs", fill="black")
    for number, line in enumerate(lines.values()):
        points = [
            (
                box[0] + (box[2] - box[0]) * at / (longest - 1),
                box[3] - (box[3] - box[1]) * (value - low) / span,
            )
            for at, value in enumerate(line)
            if np.isfinite(value)
        ]
        if len(points) > 1:
            draw.line(points, fill=_COLOURS[number % len(_COLOURS)], width=2)


def _tile(image: npt.NDArray[np.float32], outline: npt.NDArray[np.bool_] | None) -> Image.Image:
    low, high = np.percentile(image, [1, 99])
    grey = (255 * np.clip((image - low) / max(float(high - low), 1e-6), 0, 1)).astype(np.uint8)
    colours = np.repeat(grey[..., np.newaxis], 3, axis=2)
    if outline is not None:
        inside = outline.copy()
        inside[1:-1, 1:-1] &= outline[:-2, 1:-1] & outline[2:, 1:-1] & outline[1:-1, :-2] & outline[1:-1, 2:]
        colours[outline & ~inside] = (220, 40, 40)
    return Image.fromarray(colours).resize((_TILE, _TILE), Image.Resampling.NEAREST)


def _save(path: Path, picture: Image.Image) -> None:
    write_whole(path, lambda beside: picture.save(beside, format="PNG"))
