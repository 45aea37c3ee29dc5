"""Read a folder, a file or a zip archive of DICOM files.

In: a path.  Out: instances, and a problem for what is none.
Never: a name from an archive used as a path; more unpacked than the limits allow; file names in problems.

File names often are patient names: a problem tells a file by its number in the order of the names.
"""

from __future__ import annotations

import hashlib
import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO

from wetread.archive import open_archive
from wetread.dicom.digest import digest_data_set
from wetread.dicom.header import read_instance
from wetread.domain.problem import Problem, ProblemCode, problem_from_error
from wetread.domain.study import Instance
from wetread.errors import InputError, UnreadableInstance

#: What systems leave in folders; nobody wants to hear of it.
_IGNORED = frozenset({"DICOMDIR", "Thumbs.db", "desktop.ini"})
#: Problems that are told one by one.
_TOLD = 20
_PIECE = 1 << 20
#: In one folder with all its folders.
_MOST_FILES = 200_000


# RuntimeError: encrypted; NotImplementedError: an unknown compression; the rest: a broken list of members.
_ARCHIVE_ERRORS = (
    ArithmeticError,
    EOFError,
    LookupError,
    NotImplementedError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    lzma.LZMAError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ZipLimits:
    """How much an archive may unpack to."""

    members: int = 100_000
    #: Unpacked bytes in all.
    size: int = 16 << 30
    #: Unpacked size by packed size, once ``harmless`` bytes are unpacked: deflate reaches 1032 on zeros.
    ratio: float = 200.0
    harmless: int = 1 << 30

    def allowed(self, packed: int) -> int:
        """Return how many bytes an archive of this size may unpack to."""
        return min(self.size, max(self.harmless, int(self.ratio * packed)))


@dataclass(slots=True)
class _Found:
    instances: dict[str, Instance] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def read_folder(
    path: Path, work: Path, limits: ZipLimits | None = None
) -> tuple[list[Instance], list[Problem]]:
    """Return the instances at a path, and what else lay there.

    Parameters
    ----------
    path
        A folder (read with all its folders), a DICOM file, or a zip archive.
    work
        Where members of an archive are unpacked to, under names of our own; made when needed.

    Returns
    -------
    tuple
        Instances, each UID once, and problems; a problem refuses only where there is no instance at all.
    """
    found = _Found()
    if _is_zip(path):
        files = _unpack(path, work, limits or ZipLimits(), found)
    elif path.is_dir():
        files = iter(_list_files(path, found))
    else:
        files = iter([path])
    for number, file in enumerate(files, start=1):
        _take(file, number, found)
    return list(found.instances.values()), _told(found)


def _list_files(folder: Path, found: _Found) -> list[Path]:
    """Return the files of a folder in the order of their names; links lead nowhere."""
    files = []
    for path in folder.rglob("*"):
        if path.is_symlink():
            # A medium that somebody brought must not make us read another one's files.
            problem = UnreadableInstance("A link is not followed: copy the file it leads to.")
            found.problems.append(problem_from_error(problem))
        elif _is_wanted(path):
            files.append(path)
        if len(files) + len(found.problems) > _MOST_FILES:
            problem = UnreadableInstance("The folder has too many files: analyze its folders one by one.")
            found.problems.insert(0, problem_from_error(problem))
            break
    return sorted(files)


def _take(file: Path, number: int, found: _Found) -> None:
    try:
        if _is_zip(file):
            raise UnreadableInstance("An archive inside is not opened: unpack it first.")
        instance = read_instance(file)
    except OSError as error:
        problem = problem_from_error(UnreadableInstance("It cannot be read.", reason=error.strerror))
    except InputError as error:
        problem = problem_from_error(error)
    else:
        _keep(instance, number, found)
        return
    found.problems.append(replace(problem, message=f"File {number}: {problem.message}"))


def _keep(instance: Instance, number: int, found: _Found) -> None:
    known = found.instances.setdefault(instance.sop_instance_uid, instance)
    if known is not instance and _content(known.path) != _content(instance.path):
        message = f"File {number} has the SOP Instance UID of another one with other content: left out."
        found.problems.append(Problem(code=ProblemCode.CONTENT_CONFLICT, message=message))


def _content(path: Path) -> str:
    return digest_data_set(path)[0]


def _told(found: _Found) -> list[Problem]:
    refuses = not found.instances
    told = [replace(problem, refuses=refuses) for problem in found.problems[:_TOLD]]
    more = found.problems[_TOLD:]
    if more:
        message = f"{len(more)} more files like these."
        told.append(Problem(code=more[0].code, message=message, refuses=refuses))
    return told


def _is_wanted(path: Path) -> bool:
    hidden = path.name.startswith(".") or "__MACOSX" in path.parts
    return not hidden and path.name not in _IGNORED and path.is_file()


def _is_zip(path: Path) -> bool:
    if not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            head = file.read(132)
    except OSError:
        return False
    # A DICOM file may carry an archive in its preamble or at its end: it stays a DICOM file (PS3.10 7.1).
    return head[:4] in (b"PK\x03\x04", b"PK\x05\x06") and head[128:] != b"DICM"


def _unpack(path: Path, work: Path, limits: ZipLimits, found: _Found) -> Iterator[Path]:
    """Unpack one member after the other; stop where a limit is reached."""
    work.mkdir(parents=True, exist_ok=True)
    left = limits.allowed(path.stat().st_size)
    try:
        with open_archive(path) as archive:
            members = [one for one in archive.infolist() if not one.is_dir() and _is_wanted_member(one)]
            if len(members) > limits.members:
                raise UnreadableInstance("The archive has too many members.", limit=limits.members)
            for number, member in enumerate(members, start=1):
                target = work / f"{hashlib.sha256(f'{number} {member.filename}'.encode()).hexdigest()}.dcm"
                left -= _unpack_member(archive, member, target, left)
                yield target
    except _ARCHIVE_ERRORS as error:
        problem = UnreadableInstance(
            "The archive cannot be unpacked completely.", reason=type(error).__name__
        )
        found.problems.append(problem_from_error(problem))
    except UnreadableInstance as error:
        found.problems.append(problem_from_error(error))


def _is_wanted_member(member: zipfile.ZipInfo) -> bool:
    # The name decides only whether it is looked at; it is never a path.
    name = member.filename.replace("\\", "/").rsplit("/", 1)[-1]
    hidden = name.startswith(".") or "__MACOSX" in member.filename
    return not hidden and name not in _IGNORED


def _unpack_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path, left: int) -> int:
    with archive.open(member) as source, target.open("xb") as file:
        return _copy(source, file, left)


def _copy(source: IO[bytes], target: IO[bytes], left: int) -> int:
    # What is read counts, not what the archive claims.
    size = 0
    while piece := source.read(_PIECE):
        size += len(piece)
        if size > left:
            raise UnreadableInstance("The archive unpacks to more than is allowed: unpack it yourself.")
        target.write(piece)
    return size
