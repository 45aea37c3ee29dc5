"""What was read: the header that documents repeat, the images they refer to, the pixels for pictures.

In: a series and its volume.  Out: ``Source``.  Never: a guess at what the header does not say.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from wetread.domain.document import DocumentKind
from wetread.domain.study import Instance, Series
from wetread.domain.volume import Triple, Volume
from wetread.errors import MissingAttribute, UnreadableInstance

#: More of the header than this is not needed, and bulk data must not be carried about.
_LONGEST_VALUE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaneSource:
    """The image behind one plane."""

    sop_class_uid: str
    sop_instance_uid: str
    #: ImagePositionPatient as the image says it; None where only the grid knows.
    position_lps_mm: Triple | None = None


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

    def text(self, keyword: str) -> str:
        """Return an attribute of the header as text; ``""`` where absent or empty."""
        value = self.header.get(keyword)
        return "" if value is None else str(value)


def read_source(
    series: Series, volume: Volume | None, *, predecessors: tuple[DocumentReference, ...] = ()
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

    Raises
    ------
    UnreadableInstance
        If the file of the first plane cannot be read.
    MissingAttribute
        If a plane of the grid names no instance of the series.
    """
    by_uid = {instance.sop_instance_uid: instance for instance in series.instances}
    instances = list(series.instances)
    if volume is not None and volume.grid.sop_instance_uids:
        missing = [uid for uid in volume.grid.sop_instance_uids if uid not in by_uid]
        if missing:
            raise MissingAttribute("A plane of the volume is not in its series.", sop_instance_uid=missing[0])
        instances = [by_uid[uid] for uid in volume.grid.sop_instance_uids]
    return Source(
        header=_read_header(instances[0]),
        series_instance_uid=series.series_instance_uid,
        planes=tuple(_plane_source(instance) for instance in instances),
        volume=volume,
        predecessors=predecessors,
    )


def _read_header(instance: Instance) -> Dataset:
    try:
        header = dcmread(instance.path, stop_before_pixels=True, defer_size=_LONGEST_VALUE_BYTES)
    except (OSError, InvalidDicomError, EOFError, ValueError) as error:
        raise UnreadableInstance(sop_instance_uid=instance.sop_instance_uid) from error
    header.remove_private_tags()
    return header


def _plane_source(instance: Instance) -> PlaneSource:
    position = instance.header.get("ImagePositionPatient")
    place: Triple | None = None
    if isinstance(position, tuple) and len(position) == 3:
        place = (float(position[0]), float(position[1]), float(position[2]))
    return PlaneSource(
        sop_class_uid=instance.sop_class_uid,
        sop_instance_uid=instance.sop_instance_uid,
        position_lps_mm=place,
    )
