"""WADO-RS: objects, headers, frames and values, as they are accepted.

In: what is held, what is accepted.  Out: a ``Payload``: a media type and its bytes, piece by piece.
Never: a whole series in memory; an answer begun that is known not to be possible.

References
----------
PS3.18 section 10.4; tables 8.7.3-2 to 8.7.3-5 (media types of frames).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

import orjson

from wetread.dicom.bulk import iter_value
from wetread.dicom.json_model import with_base
from wetread.dicom.part10 import BIG_ENDIAN, EXPLICIT, IMPLICIT
from wetread.dicom.xml_model import encode_xml
from wetread.errors import NotAcceptable, NotHeld
from wetread.imaging.frames import iter_frames
from wetread.imaging.layout import Layouts
from wetread.imaging.transcode import to_explicit_little_endian
from wetread.share.accept import DICOM, JSON, OCTETS, XML, MediaType, choose, choose_syntax
from wetread.share.multipart import Multipart, Part
from wetread.store.catalogue import Catalogue, Held
from wetread.store.objects import Place

_PIECE = 1 << 20
_NATIVE = frozenset({IMPLICIT, EXPLICIT, BIG_ENDIAN, "1.2.840.10008.1.2.1.99"})
#: PS3.18 table 8.7.3-5.
FRAME_TYPES = {
    **dict.fromkeys((f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 57, 70)), "image/jpeg"),
    **dict.fromkeys((f"1.2.840.10008.1.2.4.{n}" for n in (80, 81)), "image/jls"),
    **dict.fromkeys((f"1.2.840.10008.1.2.4.{n}" for n in (90, 91)), "image/jp2"),
    **dict.fromkeys((f"1.2.840.10008.1.2.4.{n}" for n in (92, 93)), "image/jpx"),
    **dict.fromkeys((f"1.2.840.10008.1.2.4.{n}" for n in (201, 202, 203)), "image/jphc"),
    **dict.fromkeys((f"1.2.840.10008.1.2.4.{n}" for n in (110, 111, 112)), "image/jxl"),
    "1.2.840.10008.1.2.5": "image/dicom-rle",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """The body of an answer."""

    media_type: str
    pieces: Iterable[bytes]
    #: Bytes of all pieces; None where that is not known before.
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Wado:
    """Answers from one catalogue."""

    catalogue: Catalogue
    #: Of the DICOMweb service, without a slash at the end.
    base_url: str
    #: Of objects whose frames were asked for lately.
    layouts: Layouts = field(default_factory=Layouts)

    def retrieve(self, held: Sequence[Held], accepted: Sequence[MediaType]) -> Payload:
        """Return objects.

        Raises
        ------
        NotAcceptable
            If one of them cannot be had as it is accepted.
        StorageError
            If the file of one of them is gone.
        """
        offered = [MediaType(name=DICOM, is_multipart=True)]
        if len(held) == 1:
            offered.append(MediaType(name=DICOM))
        chosen = choose(accepted, offered)
        # All are settled before the first is sent.
        settled = [(one, choose_syntax(chosen, one.transfer_syntax_uid)) for one in held]
        parts = [
            Part(
                media_type=f"{DICOM}; transfer-syntax={syntax}",
                pieces=self._object(one, syntax),
                location=self.url_of(one),
                size=self.catalogue.size_of(one) if syntax == one.transfer_syntax_uid else None,
            )
            for one, syntax in settled
        ]
        if not chosen.is_multipart:
            return Payload(media_type=DICOM, pieces=parts[0].pieces, size=parts[0].size)
        return _multipart(DICOM, parts)

    def metadata(self, place: tuple[str, ...], accepted: Sequence[MediaType]) -> Payload:
        """Return headers; ``place`` is study, series and instance as far as they are named."""
        offered = [
            *(MediaType(name=name) for name in (JSON, "application/json")),
            MediaType(name=XML, is_multipart=True),
        ]
        chosen = choose(accepted, offered)
        found = self.catalogue.iter_metadata(*place)
        headers = (with_base(metadata, self.url_of(one)) for one, metadata in found)
        if chosen.is_multipart:
            parts = (Part(media_type=XML, pieces=[encode_xml(orjson.loads(one))]) for one in headers)
            return _multipart(XML, parts)
        return Payload(media_type=JSON, pieces=[b"[" + b",".join(headers) + b"]"])

    def frames(self, held: Held, numbers: Sequence[int], accepted: Sequence[MediaType]) -> Payload:
        """Return frames, each once and in the order in which they are asked for.

        Raises
        ------
        NotHeld
            If one does not exist.
        """
        stored = held.transfer_syntax_uid
        stored_type = FRAME_TYPES.get(stored, OCTETS)
        offered = [MediaType(name=name, is_multipart=True) for name in dict.fromkeys((OCTETS, stored_type))]
        if len(numbers) == 1:
            offered += [MediaType(name=name) for name in dict.fromkeys((OCTETS, stored_type))]
        chosen = choose(accepted, offered)
        syntax = _frame_syntax(chosen, stored)
        name = stored_type if syntax == stored else OCTETS
        pieces = self._frames(held, numbers, is_decoded=syntax != stored)
        # The first one is had before anything is sent: that it does not exist must still be an answer.
        first = next(pieces)
        if not chosen.is_multipart:
            return Payload(media_type=name, pieces=[first])
        url = self.url_of(held)
        parts = (
            Part(
                media_type=f"{name}; transfer-syntax={syntax}",
                pieces=[data],
                location=f"{url}/frames/{number}",
            )
            for number, data in zip(numbers, _chain(first, pieces), strict=True)
        )
        return _multipart(name, parts)

    def bulk_data(self, held: Held, place: str, accepted: Sequence[MediaType]) -> Payload:
        """Return one value; ``place`` as the metadata names it, e.g. ``7FE00010``.

        Raises
        ------
        NotHeld
            If there is no such value.
        """
        offered = [MediaType(name=OCTETS, is_multipart=True), MediaType(name=OCTETS)]
        chosen = choose(accepted, offered)
        pieces = _closing(self.catalogue.open(held), lambda file: iter_value(file, place))
        first = next(pieces, b"")
        if not chosen.is_multipart:
            return Payload(media_type=OCTETS, pieces=_chain(first, pieces))
        url = f"{self.url_of(held)}/bulkdata/{place}"
        return _multipart(OCTETS, [Part(media_type=OCTETS, pieces=_chain(first, pieces), location=url)])

    def url_of(self, held: Held | Place) -> str:
        """Return the address of an object."""
        return (
            f"{self.base_url}/studies/{held.study_instance_uid}/series/{held.series_instance_uid}"
            f"/instances/{held.sop_instance_uid}"
        )

    def _object(self, held: Held, syntax: str) -> Iterator[bytes]:
        # Opened when its turn comes.
        with self.catalogue.open(held) as file:
            yield from (
                _iter_file(file) if syntax == held.transfer_syntax_uid else to_explicit_little_endian(file)
            )

    def _frames(self, held: Held, numbers: Sequence[int], *, is_decoded: bool) -> Iterator[bytes]:
        def read(file: BinaryIO) -> Iterator[bytes]:
            layout = self.layouts.find(held.content_digest, file)
            return (frame.data for frame in iter_frames(file, numbers, is_decoded=is_decoded, layout=layout))

        return _closing(self.catalogue.open(held), read)


def read_frame_list(text: str) -> tuple[int, ...]:
    """Return the numbers of a frame list such as ``1,2,7``.

    Raises
    ------
    NotHeld
        If one is no number, or there are too many.
    """
    parts = text.split(",")
    if len(parts) > 10_000 or not all(
        part.isascii() and part.isdecimal() and len(part) < 10 for part in parts
    ):
        raise NotHeld("A frame list is numbers between commas.")
    numbers = tuple(int(part) for part in parts)
    if 0 in numbers:
        raise NotHeld("Frames are counted from 1.")
    return numbers


def _frame_syntax(chosen: MediaType, stored: str) -> str:
    wanted = chosen.transfer_syntax_uid
    is_native = stored in _NATIVE
    if chosen.name == OCTETS and wanted != "*":
        if wanted not in ("", EXPLICIT, stored):
            raise NotAcceptable("Frames are handed out as stored or in Explicit VR Little Endian.")
        return EXPLICIT if is_native or wanted != stored else stored
    if wanted not in ("", "*", stored):
        raise NotAcceptable("Frames are handed out as stored or in Explicit VR Little Endian.")
    return EXPLICIT if is_native else stored


def _multipart(part_type: str, parts: Iterable[Part]) -> Payload:
    body = Multipart(part_type, parts)
    return Payload(media_type=body.media_type, pieces=body, size=body.size)


def _iter_file(file: BinaryIO) -> Iterator[bytes]:
    while piece := file.read(_PIECE):
        yield piece


def _closing(file: BinaryIO, read: Callable[[BinaryIO], Iterable[bytes]]) -> Iterator[bytes]:
    with file:
        yield from read(file)


def _chain(first: bytes, rest: Iterable[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest
