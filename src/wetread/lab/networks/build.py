"""From a plan's ``[network]`` to a module.

In: ``Plan``.  Out: ``torch.nn.Module``.
Never: an architecture written here that MONAI has.

Classification and regression answer (n, classes) or (n, 1); segmentation (n, classes, *patch); detection
see ``heatmap`` and ``retinanet``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from monai.networks import nets
from torch import nn

from wetread.errors import InvalidPlan
from wetread.lab.networks.deeplab import DeepLab
from wetread.lab.networks.heatmap import HeatMap
from wetread.lab.networks.inception import Inception
from wetread.lab.networks.retinanet import RetinaNet
from wetread.lab.networks.vgg import Vgg
from wetread.lab.plan import Dimensions, NetworkKind, NetworkPlan, Plan, Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What a network must take and give."""

    axes: int
    channels: int
    outputs: int
    patch: tuple[int, ...]


def shape_of(plan: Plan) -> Shape:
    """Return what the plan's network takes and gives."""
    is_block = plan.input.dimensions is Dimensions.BLOCK
    is_neighbours = plan.input.dimensions is Dimensions.NEIGHBOURS
    classes = len(plan.data.classes)
    # The background is no class of a detector.
    outputs = {Task.REGRESSION: 1, Task.DETECTION: classes - 1}.get(plan.task, classes)
    return Shape(
        axes=3 if is_block else 2,
        channels=plan.input.planes if is_neighbours else 1,
        outputs=outputs,
        patch=plan.input.patch,
    )


def build_network(plan: Plan) -> nn.Module:
    """Build the plan's network, with weights by the current seed of torch.

    Raises
    ------
    InvalidPlan
        If the network is for another task, or the patch does not suit it.
    """
    kind = plan.network.kind
    known = [one.value for one in _BUILDERS[_group(plan.task)]]
    if kind not in _BUILDERS[_group(plan.task)]:
        raise InvalidPlan(
            f"network.kind {kind.value!r} is not for {plan.task.value}: take one of {', '.join(known)}."
        )
    try:
        return _BUILDERS[_group(plan.task)][kind](plan.network, shape_of(plan))
    except (ValueError, AssertionError, IndexError) as error:
        raise InvalidPlan(f"network {kind.value!r} does not go with its numbers: {error}") from error


def _group(task: Task) -> Task:
    return Task.CLASSIFICATION if task is Task.REGRESSION else task


def _widths(plan: NetworkPlan, most: int = 16) -> list[int]:
    return [plan.width * min(2**level, most) for level in range(len(plan.layers))]


def _resnet(plan: NetworkPlan, shape: Shape) -> nn.Module:
    if len(plan.layers) != 4:
        raise ValueError("a ResNet has four stages in network.layers")
    is_small = min(shape.patch) < 64  # no early loss of resolution where there is little of it
    return nets.ResNet(
        block="basic",
        layers=list(plan.layers),
        block_inplanes=_widths(plan, most=4),
        spatial_dims=shape.axes,
        n_input_channels=shape.channels,
        conv1_t_size=3 if is_small else 7,
        conv1_t_stride=1 if is_small else 2,
        no_max_pool=is_small,
        num_classes=shape.outputs,
    )


def _densenet(plan: NetworkPlan, shape: Shape) -> nn.Module:
    return nets.DenseNet(
        spatial_dims=shape.axes,
        in_channels=shape.channels,
        out_channels=shape.outputs,
        init_features=2 * plan.width,
        growth_rate=plan.width,
        block_config=plan.layers,
        dropout_prob=plan.dropout,
    )


def _efficientnet(plan: NetworkPlan, shape: Shape) -> nn.Module:  # its size is fixed: B0
    del plan
    return nets.EfficientNetBN(
        "efficientnet-b0",
        pretrained=False,
        spatial_dims=shape.axes,
        in_channels=shape.channels,
        num_classes=shape.outputs,
    )


class _FirstOf(nn.Module):
    """MONAI's ViT answers scores and hidden states: the scores."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, images):  # type: ignore[no-untyped-def]
        """Return scores (n, outputs)."""
        return self.inner(images)[0]


def _vit(plan: NetworkPlan, shape: Shape) -> nn.Module:
    heads = 4
    hidden = plan.width * heads
    size = next(
        one
        for one in (16, 8, 7, 4, 2, 1)
        if all(length % one == 0 and length > one for length in shape.patch)
    )
    return _FirstOf(
        nets.ViT(
            in_channels=shape.channels,
            img_size=shape.patch,
            patch_size=(size,) * shape.axes,
            hidden_size=hidden,
            mlp_dim=2 * hidden,
            num_layers=sum(plan.layers),
            num_heads=heads,
            classification=True,
            num_classes=shape.outputs,
            dropout_rate=plan.dropout,
            spatial_dims=shape.axes,
            post_activation="none",
        )
    )


def _vgg(plan: NetworkPlan, shape: Shape) -> nn.Module:
    return Vgg(shape.axes, shape.channels, shape.outputs, _widths(plan, 8), plan.layers, plan.dropout)


def _inception(plan: NetworkPlan, shape: Shape) -> nn.Module:
    return Inception(shape.axes, shape.channels, shape.outputs, _widths(plan, 8), plan.layers, plan.dropout)


def _unet(units: Callable[[NetworkPlan], int]) -> Callable[[NetworkPlan, Shape], nn.Module]:
    def build(plan: NetworkPlan, shape: Shape) -> nn.Module:
        widths = _widths(plan)
        return nets.UNet(
            spatial_dims=shape.axes,
            in_channels=shape.channels,
            out_channels=shape.outputs,
            channels=widths,
            strides=[2] * (len(widths) - 1),
            num_res_units=units(plan),
            dropout=plan.dropout,
            norm="instance",
        )

    return build


def _attention_unet(plan: NetworkPlan, shape: Shape) -> nn.Module:
    widths = _widths(plan)
    return nets.AttentionUnet(
        spatial_dims=shape.axes,
        in_channels=shape.channels,
        out_channels=shape.outputs,
        channels=widths,
        strides=[2] * (len(widths) - 1),
        dropout=plan.dropout,
    )


def _swin_unetr(plan: NetworkPlan, shape: Shape) -> nn.Module:
    if any(length % 32 for length in shape.patch):
        raise ValueError("input.patch must be multiples of 32")
    return nets.SwinUNETR(
        in_channels=shape.channels,
        out_channels=shape.outputs,
        feature_size=12 * max(1, plan.width // 12),
        spatial_dims=shape.axes,
        drop_rate=plan.dropout,
    )


def _deeplab(plan: NetworkPlan, shape: Shape) -> nn.Module:
    return DeepLab(shape.axes, shape.channels, shape.outputs, plan.width)


def _heatmap(plan: NetworkPlan, shape: Shape) -> nn.Module:
    return HeatMap(shape.axes, shape.channels, shape.outputs, _widths(plan))


def _retinanet(plan: NetworkPlan, shape: Shape) -> nn.Module:
    return RetinaNet(shape.axes, shape.channels, shape.outputs, plan.width)


_BUILDERS: dict[Task, dict[NetworkKind, Callable[[NetworkPlan, Shape], nn.Module]]] = {
    Task.CLASSIFICATION: {
        NetworkKind.RESNET: _resnet,
        NetworkKind.DENSENET: _densenet,
        NetworkKind.EFFICIENTNET: _efficientnet,
        NetworkKind.VIT: _vit,
        NetworkKind.VGG: _vgg,
        NetworkKind.INCEPTION: _inception,
    },
    Task.SEGMENTATION: {
        NetworkKind.UNET: _unet(lambda _: 0),
        NetworkKind.RESIDUAL_UNET: _unet(lambda plan: max(plan.layers)),
        NetworkKind.ATTENTION_UNET: _attention_unet,
        NetworkKind.SWIN_UNETR: _swin_unetr,
        NetworkKind.DEEPLAB: _deeplab,
    },
    Task.DETECTION: {NetworkKind.HEATMAP: _heatmap, NetworkKind.RETINANET: _retinanet},
}
