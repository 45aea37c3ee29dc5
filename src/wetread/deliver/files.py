"""Send files and folders: ``wetread send``.

In: a path and a destination.  Out: a summary.  Never: a file changed on the way.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from wetread.deliver.cstore import Item, Progress, read_item, send_items
from wetread.deliver.destination import Destination
from wetread.deliver.outcome import Outcome, failed
from wetread.domain.progress import DeliveryState
from wetread.errors import NotAcknowledged, UnreadableInstance

#: Media Storage Directory (PS3.10 8.6): a table of contents, not an object to store.
_DICOMDIR = "1.2.840.10008.1.3.10"


@dataclass(frozen=True, slots=True, kw_only=True)
class SendSummary:
    """What became of the files."""

    #: Files that were acknowledged.
    sent: int
    #: A line for each file that was not: its path and the reason.
    refused: tuple[str, ...]
    #: One for each file; ``sop_instance_uid`` is that of the object, or the path where it has none.
    outcomes: tuple[Outcome, ...]


def send_files(path: Path, destination: Destination, progress: Progress | None = None) -> SendSummary:
    """Send a file, or all files below a folder, as they are.

    Parameters
    ----------
    progress
        Called with (done, all) after each file.
    """
    files = sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path]
    items: list[Item] = []
    bad: list[tuple[Path, Outcome]] = []
    for file in files:
        try:
            item = read_item(file)
        except UnreadableInstance as error:
            bad.append((file, failed(str(file), NotAcknowledged(error.message), transient=False)))
            continue
        if item.sop_class_uid != _DICOMDIR:
            items.append(item)
    outcomes = send_items(destination, items, _offset(progress, len(bad)))
    pairs = [*zip([item.path for item in items], outcomes, strict=True), *bad]
    refused = [(file, outcome) for file, outcome in pairs if outcome.state is not DeliveryState.SENT]
    return SendSummary(
        sent=len(pairs) - len(refused),
        refused=tuple(
            f"{file}: {outcome.message}" for file, outcome in sorted(refused, key=lambda one: one[0])
        ),
        outcomes=tuple(outcome for _, outcome in pairs),
    )


def _offset(progress: Progress | None, done_before: int) -> Progress | None:
    if progress is None:
        return None
    report = progress
    return lambda done, total: report(done + done_before, total + done_before)
