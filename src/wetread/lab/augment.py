"""Images as other patients, positions and scanners would have given them.

In: a batch, the most that may happen, a seeded generator.  Out: a batch of the same shape.
Never: a mask that moves otherwise than its image; a draw that a seed does not repeat.

All draws are made on the processor, so that a seed means the same wherever training runs.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from wetread.lab.plan import AugmentationPlan

#: Displacements are drawn on so many places along each axis and smooth in between.
_ELASTIC_PLACES = 5


def augment(
    images: Tensor, masks: Tensor | None, plan: AugmentationPlan, generator: torch.Generator
) -> tuple[Tensor, Tensor | None]:
    """Return a changed batch.

    Parameters
    ----------
    images
        (n, channels, *patch), after the recipe.
    masks
        (n, *patch), class numbers; moved along, nearest neighbour.
    """
    images, masks = _move(images, masks, plan, generator)
    return change_intensities(images, plan, generator), masks


def change_intensities(images: Tensor, plan: AugmentationPlan, generator: torch.Generator) -> Tensor:
    """Return a batch with other contrast, brightness, gamma, sharpness and noise."""
    if plan.intensity_scale:
        images = images * (1 + _draw(images, plan.intensity_scale, generator))
    if plan.intensity_shift:
        images = images + _draw(images, plan.intensity_shift, generator)
    if plan.gamma:
        images = change_gamma(images, torch.exp(_draw(images, plan.gamma, generator)))
    if plan.blur:
        images = blur(images, float(torch.rand(1, generator=generator)) * plan.blur)
    if plan.low_dose:
        images = _lower_dose(images, plan.low_dose, generator)
    if plan.noise:
        noise = torch.randn(images.shape, generator=generator).to(images.device)
        images = images + noise * _draw(images, plan.noise, generator).abs()
    return images


def change_gamma(images: Tensor, exponent: Tensor | float) -> Tensor:
    """Raise each image, between its own least and greatest value, to a power."""
    axes = tuple(range(1, images.ndim))
    low, high = images.amin(axes, keepdim=True), images.amax(axes, keepdim=True)
    span = (high - low).clamp_min(1e-6)
    return ((images - low) / span).pow(exponent) * span + low


def blur(images: Tensor, deviation: float) -> Tensor:
    """Convolve with a Gaussian along each axis; ``deviation`` in voxels."""
    if deviation < 0.1:
        return images
    radius = max(1, round(3 * deviation))
    places = torch.arange(-radius, radius + 1, dtype=images.dtype, device=images.device)
    kernel = torch.exp(-0.5 * (places / deviation) ** 2)
    kernel = kernel / kernel.sum()
    for axis in range(2, images.ndim):
        lines = images.movedim(axis, -1)
        flat = functional.pad(lines.reshape(-1, 1, lines.shape[-1]), (radius, radius), mode="replicate")
        images = functional.conv1d(flat, kernel.view(1, 1, -1)).reshape(lines.shape).movedim(-1, axis)
    return images


def _draw(images: Tensor, most: float, generator: torch.Generator) -> Tensor:
    """Draw one number of -most to most for each image, shaped to go with the batch."""
    values = (2 * torch.rand(len(images), generator=generator) - 1) * most
    return values.view(-1, *[1] * (images.ndim - 1)).to(images.device)


def _lower_dose(images: Tensor, most: float, generator: torch.Generator) -> Tensor:
    # Fewer photons reach the detector behind what absorbs more; filtered back-projection grains the noise.
    noise = torch.randn(images.shape, generator=generator).to(images.device)
    grained = (noise - blur(noise, 1.5)) / 0.9
    return images + grained * _draw(images, most, generator).abs() * torch.exp(0.25 * images.clamp(-4, 4))


def _move(
    images: Tensor, masks: Tensor | None, plan: AugmentationPlan, generator: torch.Generator
) -> tuple[Tensor, Tensor | None]:
    if not (plan.rotate_degrees or plan.scale or plan.shift or plan.flip or plan.elastic):
        return images, masks
    grid = functional.affine_grid(_affine(images, plan, generator), list(images.shape), align_corners=False)
    if plan.elastic:
        grid = grid + _displacements(images, plan.elastic, generator)
    grid = grid.to(images.device)
    moved = functional.grid_sample(images, grid, padding_mode="border", align_corners=False)
    if masks is None:
        return moved, None
    nearest = functional.grid_sample(
        masks[:, None].to(images.dtype), grid, mode="nearest", padding_mode="border", align_corners=False
    )
    return moved, nearest[:, 0].round().to(masks.dtype)


def _affine(images: Tensor, plan: AugmentationPlan, generator: torch.Generator) -> Tensor:
    """Return (n, axes, axes + 1): rotation in the plane of rows and columns, scale, flips, shift."""
    count, axes = len(images), images.ndim - 2

    def draw(most: float, size: int) -> Tensor:
        return (2 * torch.rand(count, size, generator=generator) - 1) * most

    matrix = torch.eye(axes).repeat(count, 1, 1)
    angle = draw(math.radians(plan.rotate_degrees), 1)[:, 0]
    # affine_grid counts axes from the last: 0 is columns, 1 is rows.
    matrix[:, 0, 0] = matrix[:, 1, 1] = torch.cos(angle)
    matrix[:, 0, 1], matrix[:, 1, 0] = torch.sin(angle), -torch.sin(angle)
    matrix = matrix * (1 + draw(plan.scale, 1) + 0.5 * draw(plan.scale, axes)).clamp_min(0.1)[:, None, :]
    if plan.flip:
        matrix = matrix * (torch.randint(0, 2, (count, axes), generator=generator) * 2 - 1)[:, None, :]
    return torch.cat([matrix, 2 * draw(plan.shift, axes)[:, :, None]], dim=2)


def _displacements(images: Tensor, deviation: float, generator: torch.Generator) -> Tensor:
    axes = images.ndim - 2
    coarse = torch.randn((len(images), axes, *[_ELASTIC_PLACES] * axes), generator=generator)
    mode = "trilinear" if axes == 3 else "bilinear"
    smooth = functional.interpolate(coarse, size=images.shape[2:], mode=mode, align_corners=True)
    return 2 * deviation * smooth.movedim(1, -1)
