"""Targets of the fuzzers: functions of bytes that may raise nothing but our own errors.

``test_fuzz`` runs each for some seconds in CI; ``benchmarks/fuzz.py`` for as long as it is told.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import logging
import os
import random
import resource
import signal
import struct
import sys
import tempfile
import time
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pydicom
from pydicom import dcmread
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.encaps import generate_frames

from tests.hostile.build import encapsulated, even, series_of
from tests.hostile.rows import JPEG, JPEG_2000, JPEG_LS, RLE, ROWS
from wetread.compose import compose, read_source
from wetread.dicom.data_set import read_data_set
from wetread.dicom.header import read_instance_bytes
from wetread.domain.document import READING_KINDS, DocumentKind
from wetread.domain.packing import pack_reading, unpack_reading
from wetread.domain.problem import Problem, ProblemCode
from wetread.domain.study import Study, group_instances
from wetread.errors import WetreadError
from wetread.hl7 import make_ack, parse_ack, set_receiver
from wetread.imaging.nifti import read_nifti_volume
from wetread.imaging.pixels import PixelError, read_frames
from wetread.infer.job import ReadJob, make_unread
from wetread.receive.folder import read_folder
from wetread.registry import read_models, read_package
from wetread.registry.package import BUILTIN_FOLDER

warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)

_SAMPLES = Path(pydicom.__file__).parent / "data" / "test_files"
#: Larger seeds slow every round down and find no more.
_LONGEST_SEED = 40_000
#: Of the process that fuzzes, libraries included; and the longest that one input may take.
MEMORY_BYTES = 1 << 30
ROUND_S = 20


@dataclass(frozen=True, kw_only=True)
class Target:
    """One function to be fuzzed."""

    name: str
    run: Callable[[bytes], object]
    seeds: Callable[[], list[bytes]]


def _data_set(data: bytes) -> None:
    instance = read_instance_bytes(data, Path("fuzz"))
    json.dumps(dict(instance.header), allow_nan=False)
    assert "\0" not in json.dumps(dict(instance.header), ensure_ascii=False)
    header = read_data_set(io.BytesIO(data))
    group_instances([instance])
    assert header is not None


def _pixels(data: bytes) -> None:
    """The first byte chooses the transfer syntax, the rest is one frame's code stream.

    Decoders run in processes apart, and here too: a signal ends theirs (gdcm aborts on odd JPEG), anything
    that Python can raise must be a ``PixelError``.
    """
    child = os.fork()
    if child == 0:
        os._exit(_decode(data))
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "not a PixelError"


def _decode(data: bytes) -> int:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.alarm(ROUND_S // 2)
    syntax = (RLE, JPEG_LS, JPEG_2000, JPEG)[data[0] % 4 if data else 0]
    (one,) = series_of(count=1, pixels=encapsulated(data[1:]), syntax=syntax)
    with tempfile.NamedTemporaryFile(suffix=".dcm") as file:
        file.write(one.part10())
        file.flush()
        try:
            read_frames(read_instance_bytes(one.part10(), Path(file.name)))
        except (PixelError, WetreadError):
            return 0
        except BaseException:  # noqa: BLE001 - told to the parent
            return 1
    return 0


def _hl7(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    answer = make_ack(text, "AR", text)
    lines = answer.split("\r")
    assert [line[:3] for line in lines] == ["MSH", "MSA", ""]
    assert not any(ord(letter) < 0x20 for line in lines for letter in line)
    assert parse_ack(answer).code == "AR"
    set_receiver(answer, text, text)
    parse_ack(text)


def _reading(data: bytes) -> None:
    try:
        unpack_reading(data)
    except ValueError:
        return


def _toml(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "model.toml").write_bytes(data)
        read_package(Path(name))


def _nifti(data: bytes) -> None:
    with tempfile.NamedTemporaryFile(suffix=".nii.gz" if data[:2] == b"\x1f\x8b" else ".nii") as file:
        file.write(data)
        file.flush()
        read_nifti_volume(Path(file.name))


def _archive(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "in.zip"
        path.write_bytes(data)
        read_folder(path, Path(name) / "work")
        assert {one.name for one in Path(name).iterdir()} <= {"in.zip", "work"}


_KEYWORDS = (
    *("PatientName", "PatientID", "StudyDescription", "SeriesDescription", "AccessionNumber"),
    *("ReferringPhysicianName", "StudyDate", "PatientBirthDate", "PatientSex", "BodyPartExamined"),
)


def _documents(data: bytes) -> None:
    """Whatever stands in a header: a document of each kind, and an HL7 message of whole segments."""
    texts = data.split(b"\n")
    tags = [int(tag_for_keyword(keyword) or 0) for keyword in _KEYWORDS]
    values = [texts[number % len(texts)][:2000] for number in range(len(tags))]
    changes = {
        tag: (dictionary_VR(tag).encode(), even(value, b" ")) for tag, value in zip(tags, values, strict=True)
    }
    (one,) = series_of(changes, count=1)
    with tempfile.NamedTemporaryFile(suffix=".dcm") as file:
        file.write(one.part10())
        file.flush()
        study = group_instances([read_instance_bytes(one.part10(), Path(file.name))])[0]
        source = read_source(study.series[0], None)
    reading = make_unread(_job(study), Problem(code=ProblemCode.NOT_AXIAL, message="Not axial."))
    documents = {one.kind: one.data for one in compose(reading, source, READING_KINDS)}
    segments = [line[:4] for line in documents[DocumentKind.ORU].decode().split("\r") if line]
    assert segments[0] == "MSH|"
    assert set(segments) <= {"MSH|", "PID|", "OBR|", "NTE|", "TQ1|", "OBX|"}
    assert segments.count("PID|") == 1
    # Line ends of a name are no lines of the report.
    assert "\x1b" not in documents[DocumentKind.TEXT].decode()


def _job(study: Study) -> ReadJob:
    return ReadJob(
        study_instance_uid=study.study_instance_uid,
        revision=1,
        series=study.series[0],
        model=read_models()["chest-ct"],
        made_at=datetime(2026, 11, 24, tzinfo=UTC),
    )


def _dicom_seeds() -> list[bytes]:
    rows = [one.part10() for row in ROWS if row.id != "H21-300-mb" for one in row.make()]
    files = [path.read_bytes() for path in sorted(_SAMPLES.glob("*.dcm"))]
    return [data for data in (*rows, *files) if len(data) < _LONGEST_SEED]


def _frame_seeds() -> list[bytes]:
    names = {
        0: ("MR_small_RLE.dcm", "rtdose_rle.dcm", "SC_rgb_rle_32bit_2frame.dcm"),
        1: ("MR_small_jpeg_ls_lossless.dcm", "JPEGLSNearLossless_16.dcm"),
        2: ("MR_small_jp2klossless.dcm", "693_J2KI.dcm", "J2K_pixelrep_mismatch.dcm"),
        3: ("SC_rgb_jpeg.dcm", "JPEG-lossy.dcm"),
    }
    return [
        bytes([syntax]) + frame
        for syntax, files in names.items()
        for name in files
        if (_SAMPLES / name).exists()
        for frame in generate_frames(dcmread(_SAMPLES / name).PixelData, number_of_frames=1)
        if len(frame) < _LONGEST_SEED
    ]


def _reading_seeds() -> list[bytes]:
    (one,) = series_of(count=1)
    study = group_instances([read_instance_bytes(one.part10(), Path("seed"))])[0]
    unread = make_unread(_job(study), Problem(code=ProblemCode.NOT_AXIAL, message="Not axial."))
    return [pack_reading(unread)]


def _archive_seeds() -> list[bytes]:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, one in enumerate(series_of(count=2)):
            archive.writestr(f"a/{number}.dcm", one.part10())
    return [buffer.getvalue()]


def _nifti_seeds() -> list[bytes]:
    head = struct.pack("<i", 348).ljust(40, b"\0") + struct.pack("<8h", 3, 4, 4, 4, 1, 1, 1, 1)
    head = head.ljust(70, b"\0") + struct.pack("<2h", 4, 16)
    head = head.ljust(76, b"\0") + struct.pack("<8f", 1, 1, 1, 1, 1, 1, 1, 1) + struct.pack("<f", 352)
    head = head.ljust(252, b"\0") + struct.pack("<2h", 1, 1)
    head = head.ljust(280, b"\0") + struct.pack("<12f", 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0)
    whole = head.ljust(344, b"\0") + b"n+1\0" + bytes(4) + bytes(128)
    return [whole, gzip.compress(whole)]


def _toml_seeds() -> list[bytes]:
    return [(BUILTIN_FOLDER / "chest-ct" / "model.toml").read_bytes()]


def _text_seeds() -> list[bytes]:
    return [
        b"Doe^Jane=X^Y\nID|1^2~3&4\\E\\\nChest\r\nOBX|1\n<para>&amp;</para>\n20260101",
        b"MSH|^~\\&|A|B|C|D|1||ORU^R01|M1|P|2.5.1\rPID|1||A^^^X\rMSA|AA|M1\rERR|||207\r",
    ]


TARGETS = {
    target.name: target
    for target in (
        Target(name="data-set", run=_data_set, seeds=_dicom_seeds),
        Target(name="pixels", run=_pixels, seeds=_frame_seeds),
        Target(name="hl7", run=_hl7, seeds=_text_seeds),
        Target(name="documents", run=_documents, seeds=_text_seeds),
        Target(name="reading", run=_reading, seeds=_reading_seeds),
        Target(name="model-toml", run=_toml, seeds=_toml_seeds),
        Target(name="nifti", run=_nifti, seeds=_nifti_seeds),
        Target(name="archive", run=_archive, seeds=_archive_seeds),
    )
}


def run_once(target: Target, data: bytes) -> None:
    """Run a target; our own errors are answers, everything else comes through."""
    with contextlib.suppress(WetreadError):
        target.run(data)


#: What lengths, counts and tags like to be mistaken about, and what structures are made of.
_TOKENS = (
    *(struct.pack("<I", one) for one in (0, 1, 0xFFFFFFFF, 0xFFFFFFFE, 0x7FFFFFFF, 0x80000000, 65536)),
    *(struct.pack("<H", one) for one in (0, 1, 0xFFFF, 0x8000, 0x7FFF)),
    *(
        b"\xfe\xff\x00\xe0",
        b"\xfe\xff\x0d\xe0",
        b"\xfe\xff\xdd\xe0",
        b"SQ\0\0\xff\xff\xff\xff",
        b"UN\0\0",
        b"OB\0\0",
    ),
    *(
        b"DS",
        b"IS",
        b"PN",
        b"UI",
        b"US",
        b"FD",
        b"NaN",
        b"inf",
        b"1e400",
        b"-1",
        b"\\",
        b"\x1b$B",
        b"ISO_IR 192",
    ),
    *(
        b"|",
        b"^",
        b"~",
        b"&",
        b"\r",
        b"\n",
        b"\x0b",
        b"\x1c\r",
        b"MSH|",
        b"MSA|AA|",
        b"\\X0D\\",
        b"\xe2\x80\xa8",
    ),
    *(b"[", b"{", b'"""', b"= [[", b"nan", b"1e999", b"PK\1\2", b"PK\5\6", b"\x1f\x8b", b"<para>", b"&#0;"),
)


def mutate(data: bytes, chance: random.Random) -> bytes:
    """Return data with one to eight changes that know what such data are made of."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 8)):
        at = chance.randrange(len(changed) + 1)
        match chance.randrange(7):
            case 0:
                changed[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                token = chance.choice(_TOKENS)
                changed[at : at + len(token)] = token
            case 2:
                changed[at:at] = chance.choice(_TOKENS)
            case 3:
                del changed[at : at + chance.randint(1, 64)]
            case 4:
                piece = changed[at : at + chance.randint(1, 256)]
                other = chance.randrange(len(changed) + 1)
                changed[other:other] = piece * chance.choice((1, 1, 2, 50))
            case 5:
                del changed[at:]
            case _:
                for place in range(at, min(at + 4, len(changed))):
                    changed[place] ^= 1 << chance.randrange(8)
    return bytes(changed[: 1 << 20])


def main(arguments: list[str]) -> int:
    """Fuzz one target for some seconds with these limits; prints the input that broke it."""
    name, seconds, seed = arguments[0], float(arguments[1]), int(arguments[2])
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
    target, chance = TARGETS[name], random.Random(seed)
    seeds = target.seeds()
    deadline, rounds = time.monotonic() + seconds, 0
    while time.monotonic() < deadline:
        data = mutate(chance.choice(seeds), chance)
        # Before the run: a decoder may take the process with it.
        Path(arguments[3]).write_bytes(data)
        signal.alarm(ROUND_S)
        run_once(target, data)
        signal.alarm(0)
        rounds += 1
    sys.stdout.write(f"{rounds}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
