"""Send DICOM objects by C-STORE.

In: documents or files, and a destination.  Out: an outcome for each.
Never: a wait without a limit; another encoding than the object has.

Which refusals are for good (PS3.4 B.2.3 Table B.2-1, PS3.7 Annex C): A7xx (out of resources), 0110
(processing failure), 0124 (not authorized: somebody will register us) and whatever concerns the
connection may pass, so they are tried again. Everything else says that this object will never be
taken: A9xx, Cxxx, 0111, 0117, 0122 and a presentation context that was not accepted.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import _config, build_context
from pynetdicom.dsutils import split_dataset
from pynetdicom.presentation import PresentationContext

from wetread.deliver.destination import Destination
from wetread.deliver.outcome import Outcome, failed, sent
from wetread.deliver.secure import callee_of
from wetread.deliver.words import keep_known_words
from wetread.dicom import scu
from wetread.dicom.scu import MAXIMUM_CONTEXTS
from wetread.domain.document import Document
from wetread.errors import (
    NotAcknowledged,
    PeerError,
    PeerUnreachable,
    UnreadableInstance,
)
from wetread.passing import open_passing, passing_path

logger = logging.getLogger(__name__)

# Bytes go as they are, in pieces: no decoding, no re-encoding, no whole file in memory.
_config.STORE_SEND_CHUNKED_DATASET = True

#: (done, all)
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One object to send."""

    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str


def send_objects(destination: Destination, documents: Sequence[Document]) -> list[Outcome]:
    """Send the DICOM documents of one delivery over one association; one outcome each, in order."""
    with ExitStack() as passing:
        files = [passing.enter_context(open_passing(document.data)) for document in documents]
        return send_items(destination, [read_item(passing_path(file)) for file in files])


def read_item(path: Path) -> Item:
    """Return what negotiation needs to know about a file.

    Raises
    ------
    UnreadableInstance
        If it is no DICOM file with a meta header.
    """
    try:
        meta, _ = split_dataset(path)
        return Item(
            path=path,
            sop_class_uid=str(meta.MediaStorageSOPClassUID),
            transfer_syntax_uid=str(meta.TransferSyntaxUID),
            sop_instance_uid=str(meta.MediaStorageSOPInstanceUID),
        )
    except OSError as error:
        raise UnreadableInstance("The file cannot be read.", reason=error.strerror) from error
    except Exception as error:  # pydicom raises whatever a broken header leads to
        raise UnreadableInstance("Not a DICOM Part 10 file with a meta header.") from error


def send_items(
    destination: Destination, items: Sequence[Item], progress: Progress | None = None
) -> list[Outcome]:
    """Send objects over as few associations as their kinds allow; one outcome each, in order."""
    outcomes: list[Outcome] = []
    for batch in _batches(items):
        try:
            with open_association(destination, _contexts(batch)) as association:
                for item in batch:
                    outcomes.append(_send_one(association, item))
                    if progress:
                        progress(len(outcomes), len(items))
        except PeerError as error:
            # What this association did not get through is waiting; the next batch would fare the same.
            rest = items[len(outcomes) :]
            return outcomes + [failed(item.sop_instance_uid, error, transient=True) for item in rest]
    return outcomes


def _batches(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """Cut into runs that need no more contexts than one association has."""
    batch: list[Item] = []
    pairs: set[tuple[str, str]] = set()
    for item in items:
        pair = (item.sop_class_uid, item.transfer_syntax_uid)
        if pair not in pairs and len(pairs) == MAXIMUM_CONTEXTS:
            yield batch
            batch, pairs = [], set()
        batch.append(item)
        pairs.add(pair)
    if batch:
        yield batch


def _contexts(batch: Iterable[Item]) -> list[PresentationContext]:
    # One transfer syntax per context: the acceptor chooses one, and objects go as they are.
    pairs = dict.fromkeys((item.sop_class_uid, item.transfer_syntax_uid) for item in batch)
    return [build_context(sop_class, syntax) for sop_class, syntax in pairs]


def open_association(
    destination: Destination, contexts: list[PresentationContext]
) -> AbstractContextManager[Any]:
    """Associate, and release or abort at the end.

    Raises
    ------
    PeerUnreachable, PeerNotTrusted, AssociationRejected
        If there is no association.
    """
    return scu.open_association(callee_of(destination), contexts)


def _send_one(association: Any, item: Item) -> Outcome:
    if not association.is_established:
        raise PeerUnreachable("The destination ended the association.")
    if not _is_accepted(association, item):
        error = NotAcknowledged(
            "The destination does not take this kind of object in this encoding.",
            sop_class_uid=item.sop_class_uid,
            transfer_syntax_uid=item.transfer_syntax_uid,
        )
        return failed(item.sop_instance_uid, error, transient=False)
    try:
        status: Dataset = association.send_c_store(item.path)
    except RuntimeError as error:
        raise PeerUnreachable("The destination ended the association.") from error
    if "Status" not in status:
        association.abort()
        raise PeerUnreachable("The destination did not answer in time, or ended the association.")
    return _outcome(item.sop_instance_uid, status)


def _is_accepted(association: Any, item: Item) -> bool:
    return any(
        context.abstract_syntax == item.sop_class_uid
        and context.transfer_syntax[0] == item.transfer_syntax_uid
        for context in association.accepted_contexts
    )


def _outcome(key: str, status: Dataset) -> Outcome:
    code = int(status.Status)
    text = f"0x{code:04X}"
    if comment := keep_known_words(str(status.get("ErrorComment", ""))):
        text = f"{text} {comment}"
    # Warnings (PS3.4 Table B.2-1, B000 to BFFF): stored all the same.
    if code == 0x0000:
        return sent(key)
    if code & 0xF000 == 0xB000 or code in (0x0001, 0x0107, 0x0116):
        return sent(key, f"stored with warning {text}")
    transient = code & 0xFF00 == 0xA700 or code in (0x0110, 0x0124)
    return failed(key, NotAcknowledged(status=text), transient=transient)
