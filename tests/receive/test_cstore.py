"""C-STORE with real senders: what is acknowledged is on the disk, what is refused has a reason."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom.data
import pytest
from pydicom import dcmread
from pydicom.uid import (
    AllTransferSyntaxes,
    ExplicitVRBigEndian,
    MediaStorageDirectoryStorage,
    RLELossless,
    generate_uid,
)
from pynetdicom import AE, _config, build_context
from pynetdicom.association import Association
from pynetdicom.dsutils import split_dataset
from pynetdicom.sop_class import Verification

from tests.dicom.small_ct import SmallCt, write_ct
from tests.network.bytes_of import pdu, request, talk
from tests.receive.conftest import Send, uid_of
from wetread.dicom.digest import digest_data_set
from wetread.domain.problem import ProblemCode
from wetread.domain.progress import Acceptance
from wetread.errors import UnsafeBinding
from wetread.imaging.same import is_same_object
from wetread.receive.cstore import Receiver, ReceiverOptions, start_receiver
from wetread.store import Store

#: What pydicom brings along (without what it would download).
PYDICOM_FILES = sorted(
    path for path in Path(pydicom.data.__file__).parent.glob("*_files/**/*") if path.is_file()
)


def codes(store: Store) -> list[str]:
    return [event.code for event in store.history.list_newest() if event.level == "problem"]


def stored_digest(store: Store, uid: str) -> str:
    return digest_data_set(store.intake.instances.path(uid))[0]


def associate(receiver: Receiver, *contexts: Any) -> Association:
    entity = AE("TESTER")
    association = entity.associate("127.0.0.1", receiver.port, contexts=list(contexts), ae_title="WETREAD")
    assert association.is_established
    return association


def is_alive(receiver: Receiver) -> bool:
    association = associate(receiver, build_context(Verification))
    status = association.send_c_echo()
    association.release()
    return bool(status.Status == 0)


@pytest.fixture
def send_raw(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Send a file's data set byte by byte as it is; returns the status."""
    monkeypatch.setattr(_config, "STORE_SEND_CHUNKED_DATASET", True)
    associations = []

    def run(path: Path) -> int | None:
        meta, _ = split_dataset(path)
        context = build_context(meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID)
        association = associate(receiver, context)
        associations.append(association)
        status = association.send_c_store(path)
        association.release()
        return int(status.Status) if "Status" in status else None

    yield run
    for association in associations:
        assert not association.is_alive() or association.is_released


def test_echo_and_store_by_dcmtk(send: Send, store: Store, ct: Path) -> None:
    assert send(tool="echoscu").returncode == 0
    assert send(ct).returncode == 0
    held = dcmread(store.intake.instances.path(uid_of(ct)))
    # DCMTK leaves out the trailing padding.
    assert held.PixelData == dcmread(ct).PixelData
    row = store.studies.list_newest()[0]
    assert (row.instance_count, row.modalities) == (1, ("CT",))
    (event,) = store.history.list_for_study(row.study_instance_uid)
    assert (event.level, event.message) == ("info", "First image from STORESCU.")


def test_nagle_senders_do_not_wait(send: Send, tmp_path: Path, ct: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    template = dcmread(ct)
    for number in range(40):
        template.SOPInstanceUID = template.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        template.save_as(folder / f"{number}.dcm")
    done = send("+sd", folder, TCP_NODELAY="0")
    assert done.returncode == 0
    # Without quick acknowledgements each of them stalls for 40 ms; here they follow each other.
    assert done.stderr.count("Received Store Response (Success)") + done.stdout.count("(Success)") == 40


def test_the_same_again_is_a_success_and_counts_once(send: Send, store: Store, ct: Path) -> None:
    assert send(ct).returncode == 0
    assert send(ct).returncode == 0
    assert store.studies.list_newest()[0].instance_count == 1
    assert codes(store) == []


def test_the_same_in_another_encoding_is_a_success_too(send_raw: Any, store: Store, ct: Path) -> None:
    assert send_raw(ct) == 0x0000
    before = stored_digest(store, uid_of(ct))
    compressed = dcmread(ct)
    compressed.compress(RLELossless, generate_instance_uid=False)
    compressed.save_as(ct)
    assert send_raw(ct) == 0x0000
    assert stored_digest(store, uid_of(ct)) == before
    assert store.studies.list_newest()[0].instance_count == 1
    assert codes(store) == []


def test_other_content_is_a_failure_and_kept_aside(send_raw: Any, store: Store, ct: Path) -> None:
    assert send_raw(ct) == 0x0000
    before = stored_digest(store, uid_of(ct))
    changed = dcmread(ct)
    changed.PatientComments = "changed"
    changed.save_as(ct)
    assert send_raw(ct) == 0x0111
    assert stored_digest(store, uid_of(ct)) == before
    assert len(list(store.intake.conflicts.iter_paths())) == 1
    assert codes(store) == [ProblemCode.CONTENT_CONFLICT]


def test_compressed_and_big_endian_come_as_they_are(send_raw: Any, store: Store, tmp_path: Path) -> None:
    wanted = {
        "MR_small_bigendian.dcm",
        "image_dfl.dcm",
        "JPEG2000.dcm",
        "JPGLosslessP14SV1_1s_1f_8b.dcm",
        "SC_rgb_rle.dcm",
        "JPEG-lossy.dcm",
    }
    seen = set()
    for path in PYDICOM_FILES:
        if path.name not in wanted:
            continue
        assert send_raw(path) == 0x0000, path.name
        assert stored_digest(store, uid_of(path)) == digest_data_set(path)[0]
        seen.add(str(dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID))
    assert ExplicitVRBigEndian in seen
    assert len(seen) >= 5


def test_private_sop_classes_are_stored(send_raw: Any, store: Store, ct: Path) -> None:
    private = dcmread(ct)
    private.SOPClassUID = private.file_meta.MediaStorageSOPClassUID = "1.3.12.2.1107.5.9.1"
    private.save_as(ct)
    assert send_raw(ct) == 0x0000


def test_another_uid_than_announced_is_refused(receiver: Receiver, store: Store, ct: Path) -> None:
    data_set = dcmread(ct)
    association = associate(
        receiver, build_context(data_set.SOPClassUID, data_set.file_meta.TransferSyntaxUID)
    )
    announced = data_set.file_meta.MediaStorageSOPInstanceUID
    data_set.SOPInstanceUID = "1.2.3.4"
    data_set.save_as(ct)
    # The chunked way announces what the meta header says.
    _config.STORE_SEND_CHUNKED_DATASET = True
    raw = bytearray(ct.read_bytes())
    at = raw.find(b"1.2.3.4")
    assert at > 0
    status = association.send_c_store(_with_meta_uid(ct, str(announced)))
    association.release()
    assert status.Status == 0xA900
    assert "another SOP Instance" in status.ErrorComment
    assert list(store.intake.iter_known()) == []


def _with_meta_uid(path: Path, uid: str) -> Path:
    """Write the file again with another UID in the meta header only."""
    from wetread.receive.spool import encode_file_meta

    meta, offset = split_dataset(path)
    head = encode_file_meta(meta.MediaStorageSOPClassUID, uid, meta.TransferSyntaxUID)
    target = path.with_name("other.dcm")
    target.write_bytes(head + path.read_bytes()[offset:])
    return target


@pytest.mark.parametrize("uid", ["../../etc/passwd", "1.2.x", "..", "/etc/cron.d/x"])
def test_a_path_is_no_uid(send_raw: Any, store: Store, ct: Path, uid: str) -> None:
    status = send_raw(_with_meta_uid(ct, uid))
    assert status == 0x0117
    assert list(store.intake.iter_known()) == []
    assert list(store.intake.instances.iter_paths()) == []


@pytest.mark.parametrize("keep", [0.02, 0.3, 0.99])
def test_a_truncated_data_set_is_refused(
    send_raw: Any, receiver: Receiver, store: Store, ct: Path, keep: float
) -> None:
    _, offset = split_dataset(ct)
    data = ct.read_bytes()
    ct.write_bytes(data[: offset + int((len(data) - offset) * keep)])
    assert send_raw(ct) == 0xC000
    assert codes(store)[0] in (ProblemCode.UNREADABLE_INSTANCE, ProblemCode.MISSING_ATTRIBUTE)
    assert list(store.intake.iter_known()) == []
    assert is_alive(receiver)


@pytest.mark.parametrize("lacking", [2, 1000, 300_000])
def test_a_large_one_whose_end_lacks_is_refused(
    send_raw: Any, store: Store, tmp_path: Path, lacking: int
) -> None:
    """Its header is read while pixels still come: what it says of their length must hold."""
    (path,) = write_ct(tmp_path, SmallCt(shape=(1, 512, 512)))
    whole = path.read_bytes()
    path.write_bytes(whole[:-lacking])
    assert send_raw(path) == 0xC000
    assert codes(store)[0] == ProblemCode.UNREADABLE_INSTANCE
    assert list(store.intake.iter_known()) == []
    assert list(store.intake.incoming.iterdir()) == []
    path.write_bytes(whole)
    assert send_raw(path) == 0x0000
    assert stored_digest(store, uid_of(path)) == digest_data_set(path)[0]


def test_all_test_files_of_pydicom(receiver: Receiver, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each acknowledged one is there, byte for byte or in another encoding; each refused one has a reason."""
    monkeypatch.setattr(_config, "STORE_SEND_CHUNKED_DATASET", True)
    acknowledged = refused = 0
    for path in PYDICOM_FILES:
        try:
            meta, _ = split_dataset(path)
            context = build_context(meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID)
            assert meta.MediaStorageSOPInstanceUID
        except Exception:  # noqa: BLE001, S112 - not a file that can be sent at all
            continue
        if meta.TransferSyntaxUID not in AllTransferSyntaxes:
            continue
        if meta.MediaStorageSOPClassUID == MediaStorageDirectoryStorage:
            continue  # DICOMDIR: a table of contents, no storage SOP class
        association = associate(receiver, context)
        status = association.send_c_store(path)
        association.release()
        if status.Status == 0x0000:
            uid = str(meta.MediaStorageSOPInstanceUID)
            is_whole = stored_digest(store, uid) == digest_data_set(path)[0]
            assert is_whole or is_same_object(store.intake.instances.path(uid), path), path.name
            acknowledged += 1
        else:
            assert status.ErrorComment, path.name
            refused += 1
    assert acknowledged > 60
    assert is_alive(receiver)
    known = {uid for uid, _ in store.intake.iter_known()}
    assert len(known) == len(list(store.intake.instances.iter_paths()))


def test_an_unknown_sender_is_turned_away(store: Store, ct: Path) -> None:
    running = start_receiver(ReceiverOptions(port=0, allowed_aets=("SCANNER",)), store)
    try:
        for _ in range(3):
            # PS3.8 table 9-21: permanent, service user, calling AE title not recognized.
            assert talk(running.port, request(calling=b"STRANGER")) == pdu(0x03, bytes((0, 1, 1, 3)))
        entity = AE("SCANNER")
        association = entity.associate(
            "127.0.0.1", running.port, contexts=[build_context(Verification)], ae_title="WETREAD"
        )
        assert association.is_established
        association.release()
    finally:
        running.stop()
    # Three tries are one event.
    (event,) = store.history.list_newest()
    assert event.code == ProblemCode.ASSOCIATION_REFUSED
    assert "'STRANGER'" in event.message


def test_another_called_title_is_turned_away(send: Send, receiver: Receiver, store: Store) -> None:
    assert send(tool="echoscu", aec="OTHER").returncode != 0
    receiver.stop()
    assert "calls us 'OTHER'" in store.history.list_newest()[0].message


def test_beyond_loopback_needs_a_list(store: Store) -> None:
    with pytest.raises(UnsafeBinding):
        start_receiver(ReceiverOptions(port=0, host="0.0.0.0"), store)  # noqa: S104


def test_too_many_associations(store: Store) -> None:
    running = start_receiver(ReceiverOptions(port=0, maximum_associations=2), store)
    try:
        held = [associate(running, build_context(Verification)) for _ in range(2)]
        # Transient, presentation layer, local limit exceeded.
        assert talk(running.port, request()) == pdu(0x03, bytes((0, 2, 3, 2)))
        for association in held:
            association.release()
    finally:
        running.stop()
    assert "too many associations" in store.history.list_newest()[0].message


def test_a_full_disk_is_out_of_resources(
    send_raw: Any, store: Store, ct: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from wetread.receive import spool

    class FullFile(spool.io.FileIO):
        def write(self, data: Any) -> int:
            raise OSError(28, "No space left on device")

    real = spool.io.FileIO
    monkeypatch.setattr(spool.io, "FileIO", FullFile)
    assert send_raw(ct) == 0xA700
    monkeypatch.setattr(spool.io, "FileIO", real)
    assert codes(store) == [ProblemCode.STORAGE_ERROR]
    assert list(store.intake.iter_known()) == []
    # Space is back.
    assert send_raw(ct) == 0x0000


@pytest.mark.sqlite
def test_a_locked_index_is_out_of_resources(send_raw: Any, store: Store, ct: Path) -> None:
    with store.engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE TRIGGER full BEFORE INSERT ON instance BEGIN SELECT RAISE(FAIL, 'disk full'); END"
        )
    # RAISE is an IntegrityError to SQLAlchemy: the row is missing, so the index is asked and tried once more.
    assert send_raw(ct) == 0xA700
    assert list(store.intake.instances.iter_paths()) == []
    with store.engine.begin() as connection:
        connection.exec_driver_sql("DROP TRIGGER full")
    assert send_raw(ct) == 0x0000


def test_a_bug_is_a_processing_failure(
    send_raw: Any, receiver: Receiver, store: Store, ct: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("wetread.receive.storage.read_instance_bytes", broken)
    assert send_raw(ct) == 0x0110
    assert "ZeroDivisionError" in store.history.list_newest()[0].message
    assert is_alive(receiver)


def test_an_abort_leaves_nothing_behind(send: Send, store: Store, receiver: Receiver, ct: Path) -> None:
    send("--abort", ct)
    receiver.stop()
    assert not list(store.intake.incoming.iterdir())
    assert ProblemCode.ASSOCIATION_BROKEN in codes(store)


def test_several_senders_at_once(store: Store, receiver: Receiver, tmp_path: Path, ct: Path) -> None:
    template = dcmread(ct)
    uids = []
    for sender in range(4):
        folder = tmp_path / f"sender{sender}"
        folder.mkdir()
        for number in range(15):
            template.SOPInstanceUID = template.file_meta.MediaStorageSOPInstanceUID = generate_uid()
            uids.append(str(template.SOPInstanceUID))
            template.save_as(folder / f"{number}.dcm")
    stored: list[Acceptance] = []
    running = start_receiver(
        ReceiverOptions(port=0), store, lambda _study, acceptance: stored.append(acceptance)
    )
    command = ["dcmsend", "-aec", "WETREAD", "127.0.0.1", str(running.port), "+sd"]
    threads = [
        threading.Thread(target=subprocess.run, args=([*command, str(tmp_path / f"sender{sender}")],))
        for sender in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    running.stop()
    assert stored == [Acceptance.ACCEPTED] * 60
    assert {uid for uid, _ in store.intake.iter_known()} == set(uids)
    assert store.studies.list_newest()[0].instance_count == 60
