"""Make the weights of ``lung-nodule`` again (``models/lung-nodule/make.py``).

In: crops of nodules.  Out: a network for each fold, its probabilities for the patients it never saw, the
package's weights: all of them as one ONNX network, whose answer is their mean.
Never: a patient judged by a network that was trained on him; a half-made file under its name.

What is in the run folder already is not made again: a run that was stopped goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from wetread.infer.lung_nodule import NETWORK_STEP
from wetread.lab.export import halve_weights, save_network, trace
from wetread.lab.nodule_net import (
    FOLDS,
    REACH,
    Crop,
    NetPlan,
    NoduleNet,
    fold_of,
    read_crop,
    train_net,
)
from wetread.lab.nodule_score import PROBABILITIES
from wetread.lab.read import read_samples
from wetread.measure.nodule_traits import HIGHEST, LOWEST

_BATCH = 16
NETWORKS = "net{}.pt"
#: How the image is mirrored for the first, second, third network: their errors differ more so.
TURNS: tuple[tuple[int, ...], ...] = ((), (2,), (3,), (2, 3))


class Ensemble(nn.Module):
    """The mean probability of several networks: (batch, 5, rows, columns) to (batch, 1, rows, columns)."""

    def __init__(self, nets: Sequence[NoduleNet]) -> None:
        super().__init__()
        self.nets = nn.ModuleList(nets)

    def forward(self, x: Tensor) -> Tensor:
        """Return probabilities."""
        clipped = x.clamp(LOWEST, HIGHEST)
        answers = [
            mirror(torch.sigmoid(net(mirror(clipped, axes))), axes)
            for net, axes in zip(self.nets, TURNS, strict=False)
        ]
        return torch.stack(answers).mean(0)


def mirror(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Return images mirrored along axes."""
    # As a gather: ``flip`` has no right form in ONNX where sizes are free.
    for axis in axes:
        x = x.index_select(axis, x.shape[axis] - 1 - torch.arange(x.shape[axis]))
    return x


def train_folds(
    crops: Sequence[Crop],
    run: Path,
    plan: NetPlan,
    told: Callable[[int, int, float], None] = lambda _fold, _step, _loss: None,
) -> list[NoduleNet]:
    """Return a network for each fold, trained on the others; those in ``run`` are read.

    Parameters
    ----------
    told
        Called now and then with the fold, the step and the loss.
    """
    return [_fold(crops, run, plan, fold, told) for fold in range(FOLDS)]


def _fold(
    crops: Sequence[Crop], run: Path, plan: NetPlan, fold: int, told: Callable[[int, int, float], None]
) -> NoduleNet:
    path = run / NETWORKS.format(fold)
    if path.exists():
        return _read_net(path, plan)
    others = [one for one in crops if fold_of(one.patient) != fold]
    net = train_net(others, replace(plan, seed=fold), partial(told, fold))
    torch.save(net.state_dict(), part := path.with_suffix(".part"))
    part.rename(path)
    return net


def read_nets(run: Path, plan: NetPlan | None = None) -> list[NoduleNet]:
    """Return the networks that ``train_folds`` left in a run folder, one for each fold."""
    return [_read_net(run / NETWORKS.format(fold), plan or NetPlan()) for fold in range(FOLDS)]


def _read_net(path: Path, plan: NetPlan) -> NoduleNet:
    net = NoduleNet(plan.widths)
    net.load_state_dict(torch.load(path, weights_only=True))
    return net.eval()


def judge_folds(crops: Sequence[Crop], nets: Sequence[NoduleNet], run: Path) -> None:
    """Write the probabilities of each crop, by the network that never saw its patient."""
    for fold, net in enumerate(nets):
        path = run / PROBABILITIES.format(fold)
        if not path.exists():
            part = path.with_suffix(".part.npz")
            judged = dict(_judge(crops, net, fold))
            np.savez(part, allow_pickle=False, **judged)
            part.rename(path)


def _judge(crops: Sequence[Crop], net: NoduleNet, fold: int) -> Iterator[tuple[str, npt.NDArray[np.float16]]]:
    for crop in crops:
        if fold_of(crop.patient) == fold:
            slabs = np.stack([crop.grey[i : i + 2 * REACH + 1] for i in range(len(crop.share))])
            with torch.inference_mode():
                yield crop.id, turned_mean(net, torch.from_numpy(slabs).float()).astype(np.float16)


def turned_mean(net: nn.Module, slabs: Tensor) -> npt.NDArray[np.float32]:
    """Return the mean probability over the image as it is and mirrored, (slices, rows, columns)."""
    total = torch.zeros(len(slabs), *slabs.shape[2:])
    for axes in TURNS:
        turned = slabs.flip(axes).contiguous(memory_format=torch.channels_last)
        for start in range(0, len(slabs), _BATCH):
            with torch.autocast("cpu", dtype=torch.bfloat16):
                logits = net(turned[start : start + _BATCH])
            total[start : start + _BATCH] += torch.sigmoid(logits.float()).flip(axes)[:, 0]
    return np.asarray((total / len(TURNS)).numpy())


def export_ensemble(nets: Sequence[NoduleNet], path: Path) -> None:
    """Write the networks as one ONNX file, weights in half precision, computed in single."""
    ensemble = Ensemble(nets).eval()
    ensemble.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    side = torch.export.Dim
    sizes = {
        0: side("slices", min=1, max=512),
        2: NETWORK_STEP * side("rows", min=2, max=128),
        3: NETWORK_STEP * side("columns", min=2, max=128),
    }
    example = torch.zeros(2, 2 * REACH + 1, 64, 96)
    network = trace(ensemble, {"slabs": example}, sizes, "probability")
    halve_weights(network)
    save_network(network, path)


def read_all(data: Path, labels: Path | None = None) -> list[Crop]:
    """Read and normalise every crop of a file."""
    samples = read_samples(data, labels=labels)
    with np.load(data, allow_pickle=False) as arrays:
        return [
            read_crop(samples, number, arrays[f"{one.id}_votes"])
            for number, one in enumerate(samples.samples)
        ]
