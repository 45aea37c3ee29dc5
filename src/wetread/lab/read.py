"""Find out what somebody's labelled images are, and open them.

In: a path, a table of labels, the name of a part.  Out: ``SampleSet``.  Never: a guess between two kinds.
"""

from __future__ import annotations

from pathlib import Path

from wetread.errors import InvalidSamples
from wetread.lab.arrays import Arrays
from wetread.lab.crops import has_crops, read_crops
from wetread.lab.dicom_folder import read_dicom_folder
from wetread.lab.images import find_parts, read_images
from wetread.lab.labels import Table, read_table
from wetread.lab.nifti_folder import has_nifti, read_nifti_folder
from wetread.lab.samples import SampleSet

#: Which part is meant where nobody says.
_JUDGED = "test"


def read_samples(path: Path, *, labels: Path | None = None, part: str = "") -> SampleSet:
    """Open labelled images.

    Parameters
    ----------
    path
        An ``.npz`` file (``lab.images``, ``lab.crops``), a folder of NIfTI (``lab.nifti_folder``), or DICOM
        (``lab.dicom_folder``).
    labels
        A CSV beside it (``lab.labels``).
    part
        Of an ``.npz`` file with ``train_images`` and so on: which. Where nobody says, ``test``.

    Raises
    ------
    InvalidSamples
        Or one of its kinds, if they cannot be used.
    """
    if not path.exists():
        raise InvalidSamples("There is no such file or folder", data=path.name)
    table = None if labels is None else read_table(labels)
    if path.suffix.lower() == ".npz":
        return _read_arrays(path, table, part)
    if part:
        raise InvalidSamples("Only an .npz file has parts", data=path.name)
    if not path.is_dir():
        raise InvalidSamples("Name an .npz file, or the folder that holds images and labels", data=path.name)
    if has_nifti(path):
        return read_nifti_folder(path, table)
    return read_dicom_folder(path, table)


def _read_arrays(path: Path, table: Table | None, part: str) -> SampleSet:
    arrays = Arrays(path)
    if has_crops(arrays):
        return read_crops(arrays, table)
    if table is not None:
        raise InvalidSamples("This file holds its labels itself: leave the table out", file=path.name)
    parts = find_parts(arrays)
    if not parts:
        known = ", ".join(list(arrays.headers)[:6])
        raise InvalidSamples(
            "The file must hold images and labels, or <id>_img and <id>_votes", file=path.name, holds=known
        )
    if not part and "" not in parts and _JUDGED in parts:
        part = _JUDGED
    return read_images(arrays, part)
