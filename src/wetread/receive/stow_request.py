"""One STOW-RS request, from its first byte to its answer.

In: the pieces of a body.  Out: instances in the store, each as soon as its part is whole; the answer.
Never: a part that came half; a try for every instance where the disk has just refused one.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from wetread.dicom.part10 import EXPLICIT
from wetread.domain.problem import ProblemCode
from wetread.domain.study import Instance
from wetread.errors import InputError, StorageError
from wetread.receive.compressed_part import CompressedBulkData, complete
from wetread.receive.json_instance import (
    METADATA_LIMIT,
    BulkData,
    Model,
    find_compressed,
    name_of,
    parse_metadata,
    parse_xml,
    write_data_set,
)
from wetread.receive.multipart import Malformed, Multipart, PartHead, TooMany, read_media_type
from wetread.receive.spool import Basin, Spool, encode_file_meta
from wetread.receive.storage import (
    CANNOT_UNDERSTAND,
    OUT_OF_RESOURCES,
    Received,
    Refusal,
    StorageScp,
    disk_refusal,
)
from wetread.receive.stow_answer import CONFLICT, Result, StowAnswer, make_answer
from wetread.receive.stow_part import (
    BulkPart,
    InstancePart,
    MetadataPart,
    Part,
    SkippedPart,
    write_within,
)
from wetread.receive.trail import Sender

NOT_AUTHORIZED = 0x0124
OTHER_STUDY = 0xA901
TRANSFER_SYNTAX_NOT_SUPPORTED = 0xC122

DICOM, JSON, XML = "application/dicom", "application/dicom+json", "application/dicom+xml"
_MULTIPART = "multipart/related"
#: What may follow the last boundary and is read all the same.
_LONGEST_EPILOGUE = 64 << 10
_TOO_LARGE, _UNSUPPORTED, _DISK_FULL = 413, 415, 507


class StowRefusal(Exception):
    """Why a request as a whole is not taken: an answer, not an error."""

    def __init__(self, http_status: int, message: str) -> None:
        super().__init__(message)
        self.http_status = http_status
        self.message = message


@dataclass(frozen=True, slots=True, kw_only=True)
class Handing:
    """Who hands in, and what they may."""

    sender: Sender
    #: What the index keeps as the source of the instances.
    source: str
    #: The study that the address names; "": any.
    study_instance_uid: str = ""
    #: Senders whose studies they may add to; None: all.
    sources: tuple[str, ...] | None = None


class StowRequest:
    """Takes the body of one request; whoever made it calls ``close``, however it ends."""

    def __init__(
        self,
        scp: StorageScp,
        handing: Handing,
        content_type: str,
        limits: tuple[int, int],
        on_close: Callable[[], None],
    ) -> None:
        self._scp = scp
        self._handing = handing
        self._instance_limit, most_parts = limits
        self._on_close = on_close
        self._results: list[Result] = []
        self._models: list[Model] = []
        self._bulk: dict[str, BulkData] = {}
        self._basin = Basin()
        self._metadata_left = METADATA_LIMIT
        self._epilogue = 0
        self._part: Part | None = None
        self._refusal: StowRefusal | None = None
        self._is_disk_out = self._is_closed = False
        self._root = ""
        self._multipart = self._begin_body(content_type, most_parts)

    @property
    def wants_more(self) -> bool:
        """Whether more of the body should be read."""
        return self._refusal is None and self._epilogue <= _LONGEST_EPILOGUE

    def feed(self, data: bytes) -> None:
        """Take the next piece of the body; instances whose parts end in it are stored."""
        if not self.wants_more:
            return
        if self._multipart is None:
            self._guarded(partial(self.write, memoryview(data)))
        elif self._multipart.is_over:
            self._epilogue += len(data)
        else:
            self._guarded(partial(self._multipart.write, data))

    def refuse(self, refusal: StowRefusal) -> None:
        """Take nothing more, for a reason that lies outside of the body."""
        self._refusal = self._refusal or refusal

    def finish(self) -> StowAnswer:
        """End the body.

        Raises
        ------
        StowRefusal
            If nothing of it was stored, and not for a reason that is an instance's.
        """
        if self._refusal is None:
            self._guarded(self.end if self._multipart is None else self._multipart.finish)
        if self._refusal is None:
            for model in self._models:
                self._store_model(model)
        refusal = self._refusal
        if refusal is None and not self._results:
            refusal = StowRefusal(400, "There is no instance in the body.")
        self._end_transfer(is_broken=refusal is not None)
        if refusal is None:
            return make_answer(self._results)
        self._tell(refusal.message)
        if not any(one.is_stored for one in self._results):
            raise refusal
        return make_answer([*self._results, Result(status=CANNOT_UNDERSTAND)])

    def break_off(self) -> None:
        """Nobody waits for the answer any more: what came whole stays."""
        self._end_transfer(is_broken=True)
        self._tell(
            "A STOW-RS request broke off: what was not answered must be sent again.",
            ProblemCode.ASSOCIATION_BROKEN,
        )

    def close(self) -> None:
        """Leave nothing half behind."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            if self._part is not None:
                self._part.discard()
            for one in self._bulk.values():
                one.spool.discard()
            self._end_transfer(is_broken=True)
        finally:
            self._on_close()

    # One part after the other, as ``Multipart`` finds them.

    def begin(self, head: PartHead) -> None:
        """Begin a part."""
        self._part = self._open_part(head)

    def write(self, data: memoryview) -> None:
        """Take the next bytes of the part."""
        if self._part is not None:
            self._part.write(data)

    def end(self) -> None:
        """The part came whole."""
        part, self._part = self._part, None
        if isinstance(part, InstancePart):
            try:
                self._store_part(part)
            finally:
                part.discard()
        elif isinstance(part, MetadataPart):
            self._take_metadata(part)
        elif isinstance(part, BulkPart):
            part.spool.finish()
            self._keep_bulk(part)

    def _begin_body(self, content_type: str, most_parts: int) -> Multipart | None:
        media_type = read_media_type(content_type)
        self._root = media_type.name
        if media_type.name == _MULTIPART:
            self._root = media_type.parameters.get("type", "").lower()
        if self._root not in (DICOM, JSON, XML) and (self._root or media_type.name != _MULTIPART):
            raise StowRefusal(
                _UNSUPPORTED,
                "Send multipart/related of application/dicom, or of application/dicom+json or"
                " application/dicom+xml with bulk data.",
            )
        if media_type.name == _MULTIPART:
            try:
                return Multipart(media_type.parameters.get("boundary", ""), self, most_parts)
            except Malformed as error:
                raise StowRefusal(400, str(error)) from error
        self.begin(PartHead(media_type=media_type))
        return None

    def _guarded(self, take: Callable[[], None]) -> None:
        try:
            take()
        except Malformed as error:
            self._refusal = StowRefusal(400, str(error))
        except TooMany:
            self._refusal = StowRefusal(_TOO_LARGE, "The body has too many parts: send less at a time.")
        except StowRefusal as refusal:
            self._refusal = refusal

    def _open_part(self, head: PartHead) -> Part:
        name = head.media_type.name
        has_metadata = self._root in (JSON, XML)
        if name == DICOM or (not name and not has_metadata):
            return InstancePart(self._open_spool, self._instance_limit)
        if name in (JSON, XML):
            return MetadataPart(self._grow_metadata, parse_metadata if name == JSON else parse_xml)
        if head.location and not name.startswith("multipart/") and (has_metadata or self._models):
            return BulkPart(self._open_spool(), head, self._instance_limit)
        self._fail(CANNOT_UNDERSTAND, "A part has a media type that is not taken.", _UNSUPPORTED)
        return SkippedPart()

    def _open_spool(self) -> Spool:
        intake = self._scp.store.intake
        try:
            intake.space.check()
        except StorageError:
            self._is_disk_out = True
        # One memory for all: what came before is in its file, and stored or waiting there.
        spool = Spool(intake.incoming, self._scp.store.vault, self._basin)
        if self._is_disk_out:
            # Nothing is written: what follows would be refused all the same.
            spool.fail(OSError(errno.ENOSPC, "The disk has just refused."))
        return spool

    def _grow_metadata(self, size: int) -> None:
        self._metadata_left -= size
        if self._metadata_left < 0:
            raise StowRefusal(_TOO_LARGE, "The metadata are too large: send fewer instances at a time.")

    def _store_part(self, part: InstancePart) -> None:
        spool = part.finish()
        name = (part.sop_class_uid, part.sop_instance_uid)
        if spool is None:
            message = part.error.message if part.error else "There is no data set."
            self._fail(CANNOT_UNDERSTAND, message, name=name)
        else:
            self._store(spool, name)

    def _take_metadata(self, part: MetadataPart) -> None:
        try:
            self._models += part.parse(bytes(part.data))
        except InputError as error:
            self._fail(CANNOT_UNDERSTAND, error.message)

    def _keep_bulk(self, part: BulkPart) -> None:
        location = part.head.location
        before = self._bulk.get(location)
        if before is not None:
            before.spool.discard()
        self._bulk[location] = BulkData(spool=part.spool, media_type=part.head.media_type)

    def _store_model(self, model: Model) -> None:
        name = ("", "")
        spool: Spool | None = None
        try:
            name = name_of(model)
            spool = self._open_spool()
            compressed = find_compressed(model, self._bulk)
            if compressed is not None:
                model = complete(model, compressed)
            spool.begin(encode_file_meta(*name, compressed.transfer_syntax_uid if compressed else EXPLICIT))
            write_data_set(model, self._bulk, partial(write_within, spool, limit=self._instance_limit))
            spool.finish()
            self._store(spool, name)
        except CompressedBulkData as error:
            self._fail(TRANSFER_SYNTAX_NOT_SUPPORTED, error.message, _UNSUPPORTED, name)
        except InputError as error:
            self._fail(CANNOT_UNDERSTAND, error.message, name=name)
        except OSError as error:
            # Its bulk data did not reach the disk, or do not come back from it.
            assert spool is not None  # noqa: S101 - nothing before it touches the disk
            spool.error = spool.error or error
            self._store(spool, name)
        finally:
            if spool is not None:
                spool.discard()

    def _store(self, spool: Spool, name: tuple[str, str]) -> None:
        outcome = self._scp.take_in(
            Received(
                sop_class_uid=name[0],
                sop_instance_uid=name[1],
                sender=self._handing.sender,
                source=self._handing.source,
                transfer=self,
                spool=spool,
                check=self._check,
            )
        )
        instance = outcome.instance
        if instance is not None:
            self._results.append(_stored(instance))
            return
        self._is_disk_out = self._is_disk_out or outcome.code == ProblemCode.STORAGE_ERROR
        is_large = outcome.status == OUT_OF_RESOURCES and outcome.code != ProblemCode.STORAGE_ERROR
        reason = _DISK_FULL if outcome.code == ProblemCode.STORAGE_ERROR else CONFLICT
        self._add_failure(outcome.status, _TOO_LARGE if is_large else reason, name)

    def _check(self, instance: Instance) -> None:
        uid, wanted = instance.study_instance_uid, self._handing.study_instance_uid
        if wanted and uid != wanted:
            raise Refusal(
                status=OTHER_STUDY,
                code=ProblemCode.UNREADABLE_INSTANCE,
                message="An instance belongs to another study than the address names.",
            )
        if not self._may_add_to(uid):
            raise Refusal(
                status=NOT_AUTHORIZED,
                code=ProblemCode.ASSOCIATION_REFUSED,
                message="An instance for a study of another sender was refused.",
            )

    def _may_add_to(self, study_instance_uid: str) -> bool:
        sources = self._handing.sources
        if sources is None:
            return True
        try:
            row = self._scp.store.studies.find(study_instance_uid)
        except StorageError as error:
            raise disk_refusal(error) from error
        return row is None or row.source in sources

    def _fail(
        self, status: int, message: str, http_status: int = CONFLICT, name: tuple[str, str] = ("", "")
    ) -> None:
        self._tell(message)
        self._add_failure(status, http_status, name)

    def _add_failure(self, status: int, http_status: int, name: tuple[str, str]) -> None:
        self._results.append(
            Result(status=status, sop_class_uid=name[0], sop_instance_uid=name[1], http_status=http_status)
        )

    def _tell(self, message: str, code: ProblemCode = ProblemCode.UNREADABLE_INSTANCE) -> None:
        self._scp.notes.problem(message, code, self._handing.source)
        self._scp.trail.refused(self._handing.sender, "", message)

    def _end_transfer(self, *, is_broken: bool) -> None:
        self._scp.trail.ended(self, is_broken=is_broken)


def _stored(instance: Instance) -> Result:
    return Result(
        status=0,
        sop_class_uid=instance.sop_class_uid,
        sop_instance_uid=instance.sop_instance_uid,
        study_instance_uid=instance.study_instance_uid,
        series_instance_uid=instance.series_instance_uid,
    )
