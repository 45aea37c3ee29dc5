"""The reader that has the network of ``lung-nodule`` look at the lungs of a whole scan.

In: a ``ReadRequest`` of a chest CT.  Out: a ``Reading`` of the parts that the network marks.
Never: a network of another digest than the package names; parts left out unsaid.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import ndimage

from wetread.domain.mask import BoolArray, Mask
from wetread.domain.model import Model
from wetread.domain.prediction import FloatArray
from wetread.domain.problem import Problem, ProblemCode
from wetread.domain.reading import Reading
from wetread.errors import InvalidPackage
from wetread.infer.by_task import Part, tell_parts
from wetread.infer.lung_nodule import part_settings
from wetread.infer.nodule_lungs import mark_lungs
from wetread.infer.nodule_second import READER
from wetread.infer.request import ReadRequest
from wetread.measure.coarse import shrink
from wetread.measure.lungs import segment_lungs
from wetread.measure.orientation import to_upright
from wetread.measure.parts import find_parts
from wetread.measure.thorax import find_thorax
from wetread.registry import read_package
from wetread.registry.package import BUILTIN_FOLDER

#: In the card: the digest of the network.
CARD = "network"
_COARSE_MM = 2.0


def read_scan(request: ReadRequest) -> Reading:
    """Read a chest CT.

    Returns
    -------
    Reading
        ``NOT_READ`` with ``NO_LUNGS_FOUND`` where no lung is seen.

    Raises
    ------
    InvalidPackage
        If the network is another than the package names.
    """
    task, output = request.model.task, request.model.output
    if task is None or output is None:
        raise InvalidPackage("The package does not say what it looks for: give it [task] and [output].")
    network = read_network(request.model)
    volume, upright = to_upright(request.volume)
    coarse = shrink(volume, _COARSE_MM)
    thorax = find_thorax(coarse)
    if thorax is None:
        message = "No lung was found in these images: check that this series is a CT of the chest."
        return request.begin_reading(refused=Problem(code=ProblemCode.NO_LUNGS_FOUND, message=message))
    found = mark_lungs(network, volume.voxels, segment_lungs(volume, coarse, thorax) > 0)
    parts = split_map(network, upright.undo(found), task.threshold, request.volume.grid.voxel_volume_mm3)
    reading = tell_parts(request, output, parts[: output.most_findings])
    if len(parts) <= output.most_findings:
        return reading
    message = f"The network marks {len(parts)} parts: the surest {output.most_findings} are told."
    note = Problem(code=ProblemCode.TOO_MANY_CANDIDATES, message=message, refuses=False)
    return replace(reading, problems=(*reading.problems, note))


def read_network(model: Model) -> Model:
    """Return the network that a package names, or raise InvalidPackage."""
    found = read_package(BUILTIN_FOLDER / READER)
    if found.identity.digest != model.card.get(CARD, ""):
        raise InvalidPackage(
            "The network is not the one that this model was made with: install it anew.", model=READER
        )
    return found


def split_map(network: Model, probability: FloatArray, threshold: float, voxel_mm3: float) -> list[Part]:
    """Return the parts that are sure enough, the surest first."""
    labels, scores = find_parts(probability, part_settings(network))
    parts = []
    for number, (box, score) in enumerate(zip(ndimage.find_objects(labels), scores, strict=True), 1):
        if score < threshold:
            break
        inside: BoolArray = np.ascontiguousarray(labels[box] == number)
        start = (box[0].start, box[1].start, box[2].start)
        mask = Mask(shape=probability.shape, offset=start, voxels=inside)
        parts.append(Part(mask=mask, probability=score, volume_mm3=float(inside.sum() * voxel_mm3)))
    return parts
