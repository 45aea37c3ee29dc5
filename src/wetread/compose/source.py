"""What was read: the header that documents repeat, the images they refer to, the pixels for pictures.

In: a series and its volume.  Out: ``Source``.  Never: a guess at what the header does not say.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

from pydicom.dataset import Dataset

from wetread.dicom.data_set import read_data_set
from wetread.dicom.planes import Plane, read_planes
from wetread.domain.document import DocumentKind
from wetread.domain.study import Instance, Series
from wetread.domain.volume import FloatArray, Grid, Triple, Volume
from wetread.errors import InputError, MissingAttribute, UnreadableInstance

# Controls, line and paragraph separators, and what turns the reading direction of the words around.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaneSource:
    """The image behind one plane."""

    sop_class_uid: str
    sop_instance_uid: str
    #: ImagePositionPatient as the image says it; None where only the grid knows.
    position_lps_mm: Triple | None = None
    #: From 1; None for an image of one frame.
    frame_number: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentReference:
    """A document composed earlier, to be named as predecessor."""

    kind: DocumentKind
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The study and the series behind a Reading."""

    #: Header of one image of the series, without pixels: patient, study, how to show it.
    header: Dataset = field(repr=False)
    series_instance_uid: str
    #: One for each plane, in the order of the grid; all images of the series where there is no volume.
    planes: tuple[PlaneSource, ...] = field(repr=False)
    #: For pictures; None where nothing could be read.
    volume: Volume | None = field(default=None, repr=False)
    #: Documents of the Reading that this one supersedes.
    predecessors: tuple[DocumentReference, ...] = ()
    #: The series itself, and the one that it was compared with, for pictures of both; None: not at hand.
    series: Series | None = field(default=None, repr=False)
    prior: Series | None = field(default=None, repr=False)

    def text(self, keyword: str) -> str:
        """Return an attribute of the header as one line of text; ``""`` where absent or empty."""
        value = self.header.get(keyword)
        return "" if value is None else _UNSEEN.sub(" ", str(value))


def read_source(
    series: Series,
    volume: Volume | None,
    *,
    predecessors: tuple[DocumentReference, ...] = (),
    prior: Series | None = None,
    grid: Grid | None = None,
) -> Source:
    """Read what documents need to know of a series.

    Parameters
    ----------
    series
        The series that was read. Only one file is opened: the rest is in the instances' headers.
    volume
        The volume that was read; its grid names the SOP instance of each plane.
    predecessors
        Documents of the Reading that is superseded (``reading.predecessor_digest``), as the store knows them.
    prior
        The series that was compared with.
    grid
        Of what was read, where there is no volume: nothing is decoded.

    Raises
    ------
    UnreadableInstance
        If the file of the first plane cannot be read.
    MissingAttribute
        If a plane of the grid names no instance of the series.
    """
    grid = volume.grid if volume is not None else grid
    planes = _grid_planes(series, grid) if grid is not None else _instance_planes(series)
    return Source(
        header=_read_header(_instances_by_uid(series)[planes[0].sop_instance_uid]),
        series_instance_uid=series.series_instance_uid,
        planes=planes,
        volume=volume,
        predecessors=predecessors,
        series=series,
        prior=prior,
    )


def _instances_by_uid(series: Series) -> dict[str, Instance]:
    return {instance.sop_instance_uid: instance for instance in series.instances}


def _instance_planes(series: Series) -> tuple[PlaneSource, ...]:
    return tuple(
        PlaneSource(sop_class_uid=instance.sop_class_uid, sop_instance_uid=instance.sop_instance_uid)
        for instance in series.instances
    )


def _grid_planes(series: Series, grid: Grid) -> tuple[PlaneSource, ...]:
    """Find the image, and the frame of it, behind each plane of the grid."""
    by_uid = _instances_by_uid(series)
    if not grid.sop_instance_uids:
        return _instance_planes(series)
    missing = [uid for uid in grid.sop_instance_uids if uid not in by_uid]
    if missing:
        raise MissingAttribute("A plane of the volume is not in its series.", sop_instance_uid=missing[0])
    frames: dict[str, list[Plane]] = {}
    for plane in read_planes(series)[0]:
        frames.setdefault(plane.instance.sop_instance_uid, []).append(plane)
    return tuple(
        _plane_source(by_uid[uid], frames.get(uid, []), grid.to_lps_mm((index, 0, 0)))
        for index, uid in enumerate(grid.sop_instance_uids)
    )


def _plane_source(instance: Instance, frames: list[Plane], position_lps_mm: FloatArray) -> PlaneSource:
    """Choose the frame that lies where the grid says."""
    if not frames:
        return PlaneSource(sop_class_uid=instance.sop_class_uid, sop_instance_uid=instance.sop_instance_uid)
    nearest = min(frames, key=lambda frame: math.dist(frame.position_lps_mm, position_lps_mm))
    return PlaneSource(
        sop_class_uid=nearest.instance.sop_class_uid,
        sop_instance_uid=nearest.instance.sop_instance_uid,
        position_lps_mm=nearest.position_lps_mm,
        frame_number=nearest.frame + 1 if len(frames) > 1 else None,
    )


def _read_header(instance: Instance) -> Dataset:
    try:
        with instance.open() as file:
            return read_data_set(file)
    except (InputError, OSError) as error:
        raise UnreadableInstance(sop_instance_uid=instance.sop_instance_uid) from error
