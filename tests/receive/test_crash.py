"""kill -9 while images come in: every acknowledged one is there afterwards, whole and indexed."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from pydicom import dcmread
from pydicom.uid import generate_uid
from pynetdicom import AE, build_context

from wetread.dicom.digest import digest_data_set
from wetread.store import open_store
from wetread.store.reconcile import reconcile

ROUNDS = 10

SERVICE = """
import sys
from pathlib import Path
from wetread.receive.cstore import ReceiverOptions, start_receiver
from wetread.store import open_store
from wetread.store.reconcile import reconcile

store = open_store(Path(sys.argv[1]))
reconcile(store)
print(start_receiver(ReceiverOptions(port=0), store).port, flush=True)
sys.stdin.read()
"""


def test_what_was_acknowledged_survives_kill(tmp_path: Path, ct: Path) -> None:
    data = tmp_path / "data"
    acknowledged: dict[str, str] = {}
    for number in range(ROUNDS):
        _receive_until_killed(data, ct, acknowledged, lifetime_s=0.15 + 0.05 * number)
    assert len(acknowledged) > ROUNDS
    store = open_store(data)
    try:
        done = reconcile(store)
        known = {uid for uid, _ in store.intake.iter_known()}
        assert done.missing == 0
        assert set(acknowledged) <= known
        for uid, content_digest in acknowledged.items():
            assert store.intake.find_digest(uid) == content_digest
            assert digest_data_set(store.intake.instances.path(uid))[0] == content_digest
        # And the index counts what is there.
        assert store.studies.list_newest()[0].instance_count == len(known)
        assert len(list(store.intake.instances.iter_paths())) == len(known)
        assert reconcile(store).indexed == 0
    finally:
        store.close()


def _receive_until_killed(data: Path, ct: Path, acknowledged: dict[str, str], lifetime_s: float) -> None:
    command = [sys.executable, "-c", SERVICE, str(data)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        deadline = time.monotonic() + lifetime_s
        killer = subprocess.Popen(["sh", "-c", f"sleep {lifetime_s}; kill -9 {process.pid}"])
        _send_until_broken(port, ct, acknowledged, deadline + 5)
        killer.wait()
        process.wait()


def _send_until_broken(port: int, ct: Path, acknowledged: dict[str, str], deadline: float) -> None:
    template = dcmread(ct)
    entity = AE("TESTER")
    context = build_context(template.SOPClassUID, template.file_meta.TransferSyntaxUID)
    association = entity.associate("127.0.0.1", port, contexts=[context], ae_title="WETREAD")
    path = ct.with_name("next.dcm")
    while association.is_established and time.monotonic() < deadline:
        uid = str(generate_uid())
        template.SOPInstanceUID = template.file_meta.MediaStorageSOPInstanceUID = uid
        template.save_as(path)
        try:
            status = association.send_c_store(path)
        except RuntimeError:
            break
        if "Status" in status and status.Status == 0:
            acknowledged[uid] = digest_data_set(path)[0]
    association.abort()
