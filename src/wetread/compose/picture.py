"""Key images: the slice that shows a finding best, marked; and an overview of the chest.

In: a draft with a volume.  Out: RGB pictures.  Never: the patient's name (the header says it).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import reportlab
from PIL import Image, ImageDraw, ImageFont

from wetread.compose.draft import Draft, Picture
from wetread.compose.outline import outline_box, outline_image, outline_plane
from wetread.compose.view import View, choose_view
from wetread.compose.wording import NOT_FOR_CLINICAL_USE, NOTHING_FOUND, finding_line, label_text
from wetread.domain import code
from wetread.domain.finding import Finding
from wetread.domain.volume import FloatArray, Volume

#: Pictures are square, so that a page can lay them out without looking.
SIZE_PIXELS = 768
#: Besides the overview: the largest findings, in the order of the Reading.
MOST_KEY_IMAGES = 6

_LEAST_SILHOUETTE_MM = 40.0
_INSET_PIXELS, _INSET_MARGIN = 232, 14
_LEAST_INSET_MM, _INSET_OF_EXTENT = 28.0, 2.6
_PADDING = 14
_TEXT, _FAINT, _MARK, _WARNING = (240, 244, 248), (150, 160, 172), (255, 196, 61), (255, 120, 92)
_MARKS = {code.PNEUMOTHORAX.value: (255, 92, 80)}
_FONT_PATH = Path(reportlab.__file__).parent / "fonts"

GreyImage = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Frame:
    """Where a turned, isotropic image lies on the square picture."""

    view: View
    #: Shape (rows, columns) of the image before it is turned, and its spacing.
    shape: tuple[int, int]
    spacing_mm: tuple[float, float]
    #: Picture pixels per mm, and of the image's top left corner.
    scale: float
    left: float
    top: float
    width: int
    height: int

    def place(self, points: FloatArray) -> list[tuple[float, float]]:
        """Map (column, row) of the image to (x, y) of the picture."""
        turned = self.view.turn_points(points, self.shape)
        row_mm, column_mm = self.turned_spacing_mm
        x = self.left + turned[:, 0] * column_mm * self.scale
        y = self.top + turned[:, 1] * row_mm * self.scale
        return list(zip(x.tolist(), y.tolist(), strict=True))

    @property
    def turned_spacing_mm(self) -> tuple[float, float]:
        row_mm, column_mm = self.spacing_mm
        return (column_mm, row_mm) if self.view.is_transposed else (row_mm, column_mm)


def render_pictures(draft: Draft) -> tuple[Picture, ...]:
    """Return the overview and a key image for each of the largest findings."""
    volume = draft.source.volume
    if volume is None or draft.reading.grid is None:
        return ()
    pictures = [_overview(draft, volume)]
    named = draft.named_findings
    largest = sorted(range(len(named)), key=lambda index: -_size_mm3(named[index][1]))[:MOST_KEY_IMAGES]
    pictures += [_key_image(draft, volume, *named[index]) for index in sorted(largest)]
    return tuple(pictures)


def _size_mm3(finding: Finding) -> float:
    numbers = finding.measurements
    return numbers.get("volume_mm3", 1000.0 * numbers.get("volume_ml", 0.0))


def _key_image(draft: Draft, volume: Volume, name: str, finding: Finding) -> Picture:
    grid, plane = draft.grid, finding.key_plane
    view = choose_view(grid.directions[1], grid.directions[2])
    grey = _window(np.asarray(volume.voxels[plane]), draft.window)
    frame = _fit(view, (grid.shape[1], grid.shape[2]), (grid.spacing_mm[1], grid.spacing_mm[2]))
    image = _canvas(grey, frame)
    draw = ImageDraw.Draw(image)
    polygons = _polygons(draft, finding)
    extent = np.concatenate(polygons)
    inset = _inset(grey, frame, extent, polygons, _colour(finding))
    for polygon in polygons:
        draw.line(frame.place(polygon), fill=_colour(finding), width=2, joint="curve")
    _name_mark(draw, frame.place(extent), label_text(name, finding), _colour(finding))
    image.paste(inset, _inset_place(frame.place(extent)))
    _letters(draw, view)
    _scale_bar(draw, frame.scale)
    _head(
        draw, finding_line(name, finding), f"Plane {plane + 1} of {grid.shape[0]}, {_position(draft, plane)}"
    )
    _foot(draw, draft)
    return _picture(image, f"Key image: {name.lower()}", plane)


def _overview(draft: Draft, volume: Volume) -> Picture:
    """Show the mean along the front-to-back axis, like a radiograph, with the findings marked."""
    grid = draft.grid
    axis = int(np.argmax([abs(direction[1]) for direction in grid.directions]))
    rest = [other for other in range(3) if other != axis]
    view = choose_view(grid.directions[rest[0]], grid.directions[rest[1]])
    shape = (grid.shape[rest[0]], grid.shape[rest[1]])
    frame = _fit(view, shape, (grid.spacing_mm[rest[0]], grid.spacing_mm[rest[1]]))
    image = _canvas(_projection(volume, axis), frame)
    draw = ImageDraw.Draw(image)
    for name, finding in draft.named_findings:
        index = grid.to_index(finding.center_lps_mm)
        place = np.array([[index[rest[1]] + 0.5, index[rest[0]] + 0.5]])
        silhouette = _silhouette(draft, finding, axis)
        for points in silhouette:
            draw.line(frame.place(points), fill=_colour(finding), width=2)
        reach = max(9.0, frame.scale * _extent_mm(finding) * 0.75)
        ((x, y),) = frame.place(place)
        if not silhouette:
            draw.ellipse((x - reach, y - reach, x + reach, y + reach), outline=_colour(finding), width=2)
        corners = [(x - reach, y - reach), (x + reach, y + reach)]
        extent = [point for points in silhouette for point in frame.place(points)] or corners
        _name_mark(draw, extent, name, _colour(finding))
    _letters(draw, view)
    _scale_bar(draw, frame.scale)
    count = len(draft.reading.findings)
    title = NOTHING_FOUND if not count else f"{count} finding{'s' if count > 1 else ''}"
    _head(draw, f"Overview: {title}", "Mean along the front-to-back axis")
    _foot(draw, draft)
    return _picture(image, "Overview", None)


def _silhouette(draft: Draft, finding: Finding, axis: int) -> tuple[FloatArray, ...]:
    """Return the outlines of a large finding seen along an axis; a circle tells more of a small one."""
    if finding.segment_number is None or _extent_mm(finding) < _LEAST_SILHOUETTE_MM:
        return ()
    mask = draft.reading.get_segment(finding.segment_number).mask
    rest = [other for other in range(3) if other != axis]
    offset = np.array([mask.offset[rest[1]], mask.offset[rest[0]]], dtype=float)
    shadow = np.asarray(mask.voxels.any(axis=axis))
    return tuple(points + offset for points in outline_image(shadow))


def _projection(volume: Volume, axis: int) -> GreyImage:
    """Return the mean along an axis as 8-bit grey, every 4th sample: the eye asks for no more."""
    steps = [slice(None)] * 3
    steps[axis] = slice(None, None, 4)
    mean = np.clip(volume.voxels[tuple(steps)], -1000, 400).mean(axis=axis, dtype=np.float32)
    low, high = np.percentile(mean, (2.0, 99.5))
    grey: GreyImage = np.clip((mean - low) / max(float(high - low), 1.0) * 255, 0, 255).astype(np.uint8)
    return grey


def _window(values: npt.NDArray[Any], window: tuple[int, int]) -> GreyImage:
    center, width = window
    low = center - width / 2
    grey: GreyImage = np.clip((values.astype(np.float32) - low) * (255 / width), 0, 255).astype(np.uint8)
    return grey


def _polygons(draft: Draft, finding: Finding) -> list[FloatArray]:
    """Return the outlines on the key plane."""
    if finding.segment_number is not None:
        mask = draft.reading.get_segment(finding.segment_number).mask
        outlines = outline_plane(mask, finding.key_plane, draft.grid)
        if outlines:
            return [outline.points for outline in outlines]
    return [outline_box(finding.box_lps_mm, finding.key_plane, draft.grid).points]


def _fit(view: View, shape: tuple[int, int], spacing_mm: tuple[float, float]) -> _Frame:
    height_mm, width_mm = shape[0] * spacing_mm[0], shape[1] * spacing_mm[1]
    if view.is_transposed:
        height_mm, width_mm = width_mm, height_mm
    scale = SIZE_PIXELS / max(height_mm, width_mm)
    width, height = max(1, round(width_mm * scale)), max(1, round(height_mm * scale))
    return _Frame(
        view=view,
        shape=shape,
        spacing_mm=spacing_mm,
        scale=scale,
        left=(SIZE_PIXELS - width) / 2,
        top=(SIZE_PIXELS - height) / 2,
        width=width,
        height=height,
    )


def _canvas(grey: GreyImage, frame: _Frame) -> Image.Image:
    turned = Image.fromarray(np.ascontiguousarray(frame.view.turn(grey)))
    scaled = turned.resize((frame.width, frame.height), Image.Resampling.BICUBIC)
    canvas = Image.new("L", (SIZE_PIXELS, SIZE_PIXELS))
    canvas.paste(scaled, (round(frame.left), round(frame.top)))
    return canvas.convert("RGB")


def _inset(
    grey: GreyImage,
    frame: _Frame,
    extent: FloatArray,
    polygons: list[FloatArray],
    colour: tuple[int, int, int],
) -> Image.Image:
    """Return the finding enlarged, with a thin outline."""
    turned = Image.fromarray(np.ascontiguousarray(frame.view.turn(grey)))
    row_mm, column_mm = frame.turned_spacing_mm
    points = frame.view.turn_points(extent, frame.shape)
    low, high = points.min(axis=0), points.max(axis=0)
    centre = (low + high) / 2
    size_mm = max((high - low)[0] * column_mm, (high - low)[1] * row_mm) * _INSET_OF_EXTENT
    size_mm = max(size_mm, _LEAST_INSET_MM)
    half = np.array([size_mm / column_mm, size_mm / row_mm]) / 2
    left, top = (centre - half).tolist()
    right, bottom = (centre + half).tolist()
    size = (_INSET_PIXELS, _INSET_PIXELS)
    enlarged = turned.transform(
        size, Image.Transform.EXTENT, (left, top, right, bottom), Image.Resampling.BICUBIC
    )
    inset = enlarged.convert("RGB")
    draw = ImageDraw.Draw(inset)
    to_inset = _INSET_PIXELS / (half * 2)
    for polygon in polygons:
        placed = (frame.view.turn_points(polygon, frame.shape) - (centre - half)) * to_inset
        draw.line([(x, y) for x, y in placed.tolist()], fill=colour, width=1)
    draw.rectangle((0, 0, _INSET_PIXELS - 1, _INSET_PIXELS - 1), outline=(90, 100, 112))
    draw.text((8, 6), f"{size_mm:.0f} mm", font=font_of(13), fill=_FAINT, **_HALO)
    return inset


def _inset_place(points: list[tuple[float, float]]) -> tuple[int, int]:
    """Return the corner for the enlargement, at the bottom, away from the finding."""
    right, bottom = SIZE_PIXELS - _INSET_PIXELS - _INSET_MARGIN, SIZE_PIXELS - _INSET_PIXELS - 44
    is_covered = any(x > right - 24 and y > bottom - 24 for x, y in points)
    return (_INSET_MARGIN, bottom - 44) if is_covered else (right, bottom)


_HALO: dict[str, Any] = {"stroke_width": 2, "stroke_fill": (0, 0, 0)}


@lru_cache
def font_of(size: int, name: str = "Vera.ttf") -> ImageFont.FreeTypeFont:
    """Return a font of this size."""
    return ImageFont.truetype(str(_FONT_PATH / name), size)


def _colour(finding: Finding) -> tuple[int, int, int]:
    return _MARKS.get(finding.code.value, _MARK)


def _extent_mm(finding: Finding) -> float:
    low, high = finding.box_lps_mm
    return float(np.max(np.abs(np.subtract(high, low))))


def _position(draft: Draft, plane: int) -> str:
    z = draft.grid.to_lps_mm((plane, draft.grid.shape[1] / 2, draft.grid.shape[2] / 2))[2]
    return f"z {z:+.1f} mm"


def _name_mark(
    draw: ImageDraw.ImageDraw, points: list[tuple[float, float]], text: str, colour: tuple[int, int, int]
) -> None:
    """Write the label beside the outline, on the side with more room."""
    xs, ys = [x for x, _ in points], [y for _, y in points]
    width = draw.textlength(text, font=font_of(16))
    x = max(xs) + 8 if max(xs) + 8 + width < SIZE_PIXELS - 24 else max(24.0, min(xs) - 8 - width)
    y = min(max(min(ys) - 8, 84.0), SIZE_PIXELS - 90.0)
    draw.text((x, y), text, font=font_of(16), fill=colour, **_HALO)


def _letters(draw: ImageDraw.ImageDraw, view: View) -> None:
    left, right, top, bottom = view.letters
    middle, edge = SIZE_PIXELS / 2, SIZE_PIXELS - 8
    for place, anchor, letter in (
        ((8, middle), "lm", left),
        ((edge, middle), "rm", right),
        ((middle, 72), "mm", top),
        ((middle, SIZE_PIXELS - 46), "mm", bottom),
    ):
        draw.text(place, letter, font=font_of(20, "VeraBd.ttf"), fill=_TEXT, anchor=anchor, **_HALO)


def _scale_bar(draw: ImageDraw.ImageDraw, scale: float) -> None:
    length_mm = 50.0 if 50.0 * scale < SIZE_PIXELS / 3 else 10.0
    x, y = _PADDING, SIZE_PIXELS - 44
    end = x + length_mm * scale
    draw.line((x, y, end, y), fill=_TEXT, width=2)
    for tick in (x, end):
        draw.line((tick, y - 5, tick, y + 5), fill=_TEXT, width=2)
    draw.text((x, y - 24), f"{length_mm / 10:.0f} cm", font=font_of(14), fill=_TEXT, **_HALO)


def _head(draw: ImageDraw.ImageDraw, title: str, subtitle: str) -> None:
    lines = _wrap(draw, title, 15)
    for row, line in enumerate(lines):
        draw.text((_PADDING, 10 + row * 20), line, font=font_of(15), fill=_TEXT, **_HALO)
    draw.text((_PADDING, 12 + len(lines) * 20), subtitle, font=font_of(12), fill=_FAINT, **_HALO)


def _wrap(draw: ImageDraw.ImageDraw, text: str, size: int) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if draw.textlength(longer, font=font_of(size)) > SIZE_PIXELS - 2 * _PADDING and lines[-1]:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines[:2]


def _foot(draw: ImageDraw.ImageDraw, draft: Draft) -> None:
    model = draft.reading.model
    y = SIZE_PIXELS - 12
    draw.text(
        (_PADDING, y),
        NOT_FOR_CLINICAL_USE,
        font=font_of(13, "VeraBd.ttf"),
        fill=_WARNING,
        anchor="ls",
        **_HALO,
    )
    center, width = draft.window
    text = f"Wetread · {model.name} {model.version} · window {center}/{width}"
    draw.text((SIZE_PIXELS - _PADDING, y), text, font=font_of(12), fill=_FAINT, anchor="rs", **_HALO)


def _picture(image: Image.Image, title: str, plane: int | None) -> Picture:
    return Picture(
        title=title,
        rgb=image.tobytes(),
        width=image.width,
        height=image.height,
        plane=plane,
    )
