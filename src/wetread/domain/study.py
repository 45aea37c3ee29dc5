"""What arrived: studies, series, instances, by their headers.

In: headers as plain values.  Out: the same, grouped.  Never: pixels, pydicom.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

Scalar = str | int | float
#: DICOM keyword -> value; several values are a tuple. Attributes of a sequence's items stand
#: as ``"ProcedureCodeSequence.CodeValue"``. Empty attributes are ``""``.
Header = Mapping[str, Scalar | tuple[Scalar, ...]]
#: Opens a file for reading where it may be encrypted.
Opener = Callable[[Path], BinaryIO]


def open_plain(path: Path) -> BinaryIO:
    """Open a file as it lies there."""
    return path.open("rb")


def study_key(study_instance_uid: str) -> str:
    """Return the 16 hexadecimal digits that name a study where its UID must not stand: addresses, logs."""
    return hashlib.sha256(study_instance_uid.encode()).hexdigest()[:16]


def header_text(header: Header, keyword: str) -> str:
    """Return a value as text, several joined by a backslash; ``""`` where absent."""
    value = header.get(keyword, "")
    if isinstance(value, tuple):
        return "\\".join(str(item) for item in value)
    return str(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One SOP instance."""

    sop_instance_uid: str
    sop_class_uid: str
    series_instance_uid: str
    study_instance_uid: str
    transfer_syntax_uid: str
    header: Header = field(repr=False)
    #: The DICOM file; it may be encrypted, so read it by ``open``.
    path: Path = field(repr=False)
    opener: Opener = field(default=open_plain, repr=False, compare=False, metadata={"travels": False})

    def open(self) -> BinaryIO:
        """Open the DICOM file for reading, wherever in it."""
        return self.opener(self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """The instances of one series, at least one."""

    series_instance_uid: str
    instances: tuple[Instance, ...]

    @property
    def header(self) -> Header:
        """Header of the first instance: use it for what the series has in common."""
        return self.instances[0].header

    @property
    def modality(self) -> str:
        """Modality (0008,0060), e.g. ``CT``."""
        return header_text(self.header, "Modality")


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """The series of one study, at least one."""

    study_instance_uid: str
    series: tuple[Series, ...]
    #: Grows by one each time the set of instances has changed since the last reading.
    revision: int = 1

    @property
    def header(self) -> Header:
        """Header of the first series: use it for what the study has in common."""
        return self.series[0].header

    def get_series(self, series_instance_uid: str) -> Series:
        """Return the series, or raise KeyError."""
        for series in self.series:
            if series.series_instance_uid == series_instance_uid:
                return series
        raise KeyError(series_instance_uid)


def group_instances(instances: list[Instance], revision: int = 1) -> list[Study]:
    """Group instances to series and studies; order by UID, so that it never depends on arrival."""
    grouped: dict[str, dict[str, list[Instance]]] = {}
    for instance in sorted(instances, key=lambda one: one.sop_instance_uid):
        by_series = grouped.setdefault(instance.study_instance_uid, {})
        by_series.setdefault(instance.series_instance_uid, []).append(instance)
    return [
        Study(
            study_instance_uid=study_uid,
            revision=revision,
            series=tuple(
                Series(series_instance_uid=uid, instances=tuple(members))
                for uid, members in sorted(by_series.items())
            ),
        )
        for study_uid, by_series in sorted(grouped.items())
    ]
