"""Encrypted files: what was written comes back; what was changed in any way does not."""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wetread.errors import ConfigError, DamagedFile, StorageError
from wetread.sealed import CHUNK_SIZE, HEADER_SIZE, SealError
from wetread.store.blobs import Blobs, write_file
from wetread.store.cipher import Vault
from wetread.store.keys import EncryptionSettings, Keyring, check_keys, make_key_file, name_key, read_keyring
from wetread.store.rotation import count_keys, rotate_keys

OLD, NEW = bytes(range(32)), bytes(range(1, 33))
SEALED_CHUNK = CHUNK_SIZE + 16
SIZES = st.sampled_from(
    [0, 1, CHUNK_SIZE - 1, CHUNK_SIZE, CHUNK_SIZE + 1, 2 * CHUNK_SIZE, 3 * CHUNK_SIZE + 7]
)


def make_blobs(root: Path, vault: Vault | None = None) -> Blobs:
    for area in ("instances", "documents"):
        (root / area).mkdir(exist_ok=True)
    return Blobs(root / "instances", vault or Vault(root, Keyring(OLD)), ".dcm")


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return make_blobs(tmp_path)


@settings(max_examples=40, deadline=None)
@given(size=SIZES, pieces=st.lists(st.integers(1, 2 * CHUNK_SIZE), min_size=1, max_size=5), data=st.data())
def test_it_reads_and_seeks_as_the_plain_file_does(size: int, pieces: list[int], data: st.DataObject) -> None:
    plain = os.urandom(size)
    with tempfile.TemporaryDirectory() as folder:
        vault = Vault(Path(folder), Keyring(OLD))
        path = Path(folder) / "file"
        cut = [plain[i : i + pieces[0]] for i in range(0, size, pieces[0])]
        write_file(path, cut, vault.seal(path))
        with vault.open(path) as file, io.BytesIO(plain) as same:
            assert file.read() == plain
            for piece in pieces:
                place = data.draw(st.integers(0, size + 10))
                assert file.seek(place) == same.seek(place)
                assert file.read(piece) == same.read(piece)
                assert file.tell() == same.tell()
            assert file.seek(0, os.SEEK_END) == size


def test_nothing_of_the_plaintext_is_in_the_file(blobs: Blobs) -> None:
    blobs.write("a", b"YAMADA^HANAKO" * 10_000)
    assert b"YAMADA" not in blobs.path("a").read_bytes()
    assert blobs.read("a") == b"YAMADA^HANAKO" * 10_000


def test_no_two_files_are_alike(blobs: Blobs) -> None:
    one, other = blobs.write("a", bytes(100)).read_bytes(), blobs.write("b", bytes(100)).read_bytes()
    assert one[HEADER_SIZE:] != other[HEADER_SIZE:]


def test_every_bit_counts(blobs: Blobs) -> None:
    path = blobs.write("a", b"pixels")
    whole = path.read_bytes()
    # Without its first bytes it looks plain.
    blobs = make_blobs(blobs.vault.root, Vault(blobs.vault.root, Keyring(OLD), refuse_plain=True))
    # The second slot is empty: it opens nothing, so that its bits are the only ones without meaning.
    empty = range(HEADER_SIZE - 68, HEADER_SIZE)
    for place in (number for number in range(len(whole)) if number not in empty):
        for bit in (1, 128):
            changed = bytearray(whole)
            changed[place] ^= bit
            path.write_bytes(changed)
            with pytest.raises(DamagedFile):
                blobs.read("a")
    path.write_bytes(whole)
    assert blobs.read("a") == b"pixels"


def _chunks(data: bytes) -> list[bytes]:
    body = data[HEADER_SIZE:]
    return [body[i : i + SEALED_CHUNK] for i in range(0, len(body), SEALED_CHUNK)]


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c[:-1],
        lambda c: c[1:],
        lambda c: [c[1], c[0], *c[2:]],
        lambda c: [c[0], c[0], *c[1:]],
        lambda c: [*c, c[-1]],
        lambda c: [*c[:-1], c[-1][:-1]],
        lambda c: [*c, b"\0"],
        lambda c: c[:0],
        lambda c: [c[0], *c[2:]],
    ],
    ids=["cut", "beheaded", "swapped", "doubled", "lengthened", "torn", "one more", "empty", "one left out"],
)
@pytest.mark.parametrize("size", [3 * CHUNK_SIZE, 3 * CHUNK_SIZE + 5])
def test_the_order_of_chunks_counts(blobs: Blobs, change: object, size: int) -> None:
    path = blobs.write("a", os.urandom(size))
    whole = path.read_bytes()
    path.write_bytes(whole[:HEADER_SIZE] + b"".join(change(_chunks(whole))))  # type: ignore[operator]
    with pytest.raises(DamagedFile):
        blobs.read("a")


def test_a_cut_is_found_before_anything_is_read(blobs: Blobs) -> None:
    path = blobs.write("a", os.urandom(3 * CHUNK_SIZE))
    os.truncate(path, HEADER_SIZE + 2 * SEALED_CHUNK)
    with pytest.raises(SealError):
        blobs.open("a")
    os.truncate(path, 100)
    with pytest.raises(SealError):
        blobs.open("a")


def test_files_cannot_change_places_nor_their_bodies(blobs: Blobs) -> None:
    one, other = blobs.write("a", b"patient A!"), blobs.write("b", b"patient B!")
    first, second = one.read_bytes(), other.read_bytes()
    for mixed in (
        second,
        first[:HEADER_SIZE] + second[HEADER_SIZE:],
        second[:HEADER_SIZE] + first[HEADER_SIZE:],
    ):
        one.write_bytes(mixed)
        with pytest.raises(DamagedFile):
            blobs.read("a")


def test_another_key_opens_nothing(blobs: Blobs) -> None:
    blobs.write("a", b"pixels")
    with pytest.raises(DamagedFile, match=name_key(OLD).hex()):
        make_blobs(blobs.vault.root, Vault(blobs.vault.root, Keyring(NEW))).read("a")


def test_plain_files_of_before_are_read_unless_refused(tmp_path: Path) -> None:
    make_blobs(tmp_path, Vault(tmp_path)).write("a", b"plain")
    assert make_blobs(tmp_path).read("a") == b"plain"
    with pytest.raises(DamagedFile):
        make_blobs(tmp_path, Vault(tmp_path, Keyring(OLD), refuse_plain=True)).read("a")


def test_without_the_key_nothing_is_written_in_plain(tmp_path: Path) -> None:
    locked = make_blobs(tmp_path, Vault(tmp_path, is_locked=True))
    with pytest.raises(StorageError):
        locked.write("a", b"plain")
    assert not list(locked.iter_paths())


def test_take_moves_an_encrypted_file_and_never_replaces(blobs: Blobs) -> None:
    root = blobs.vault.root
    for number, name in enumerate(("one", "two")):
        write_file(root / name, [name.encode()], blobs.vault.seal(root / name))
        if number == 0:
            blobs.take("a", root / name)
    with pytest.raises(FileExistsError):
        blobs.take("a", root / "two")
    assert blobs.read("a") == b"one"
    blobs.remove("a")
    blobs.take("a", root / "two")
    assert blobs.read("a") == b"two"
    assert not (root / "two").exists()


def fill(root: Path, count: int) -> None:
    plain, sealed = make_blobs(root, Vault(root)), make_blobs(root)
    for number in range(count):
        (plain if number % 2 else sealed).write(str(number), f"content {number}".encode() * 1000)


def holds_all(root: Path, key: bytes, count: int) -> None:
    blobs = make_blobs(root, Vault(root, Keyring(key), refuse_plain=True))
    for number in range(count):
        assert blobs.read(str(number)) == f"content {number}".encode() * 1000
    assert len(list(blobs.iter_paths())) == count


def test_rotation_takes_everything_to_the_new_key(tmp_path: Path) -> None:
    fill(tmp_path, 20)
    check_keys(tmp_path, Keyring(OLD))
    vault = Vault(tmp_path, Keyring(NEW, (OLD,)))
    check_keys(tmp_path, vault.keyring)
    done = rotate_keys(vault)
    assert (done.encrypted, done.rewrapped, done.failed) == (10, 10, ())
    assert count_keys(vault).keys == {name_key(NEW).hex(): 20}
    holds_all(tmp_path, NEW, 20)
    # Nothing is left that the old key opens, and the folder asks for it no more.
    check_keys(tmp_path, Keyring(NEW))
    with pytest.raises(ConfigError, match=name_key(NEW).hex()):
        check_keys(tmp_path, Keyring(OLD))
    assert rotate_keys(vault).rewrapped == 0


KILLED = """
import os, sys
from pathlib import Path
import wetread.store.cipher as cipher, wetread.store.rotation as rotation
from wetread.store.cipher import Vault
from wetread.store.keys import Keyring

left = int(sys.argv[2])
def count(act):
    def counted(*arguments, **named):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), 9)
        return act(*arguments, **named)
    return counted
for module, name in ((os, "fsync"), (os, "pwrite"), (Path, "replace"), (rotation, "sync_folder")):
    setattr(module, name, count(getattr(module, name)))
rotation.rotate_keys(Vault(Path(sys.argv[1]), Keyring(bytes(range(1, 33)), (bytes(range(32)),))))
"""


def test_a_killed_rotation_loses_nothing_and_goes_on(tmp_path: Path) -> None:
    """Killed at each kind of write to the disk, again and again, then let through."""
    fill(tmp_path, 8)
    check_keys(tmp_path, Keyring(OLD))
    both = Vault(tmp_path, Keyring(NEW, (OLD,)))
    killed = 0
    for moment in range(1, 9):
        command = [sys.executable, "-c", KILLED, str(tmp_path), str(moment)]
        killed += subprocess.run(command, check=False).returncode == -signal.SIGKILL
        for number in range(8):
            assert make_blobs(tmp_path, both).read(str(number)) == f"content {number}".encode() * 1000
    assert killed >= 6
    assert rotate_keys(both).failed == ()
    holds_all(tmp_path, NEW, 8)
    assert not list(tmp_path.glob("*/??/.*"))


def test_a_removed_file_is_not_brought_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = make_blobs(tmp_path, Vault(tmp_path))
    plain.write("a", b"to be erased")
    sealing = write_file

    def remove_meanwhile(*arguments: object) -> None:
        sealing(*arguments)  # type: ignore[arg-type]
        plain.remove("a")

    monkeypatch.setattr("wetread.store.rotation.write_file", remove_meanwhile)
    rotate_keys(Vault(tmp_path, Keyring(OLD)))
    assert not list((tmp_path / "instances").glob("??/*"))


def test_keys_come_from_a_file_a_variable_or_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "key"
    key_id = make_key_file(path)
    from_file = read_keyring(EncryptionSettings(key_file=path))
    assert from_file is not None
    assert name_key(from_file.current).hex() == key_id
    assert str(from_file.current) not in repr(from_file)
    monkeypatch.setenv("WETREAD_TEST_KEY", from_file.current.hex())
    assert read_keyring(EncryptionSettings(key_variable="WETREAD_TEST_KEY")) == from_file
    assert read_keyring(EncryptionSettings(key_command=("cat", str(path)))) == from_file
    assert read_keyring(EncryptionSettings()) is None


@pytest.mark.parametrize(
    "command",
    [("false",), ("echo", "SECRET"), ("sh", "-c", "echo SECRET; sleep 60"), ("/nowhere/SECRET"[:8],)],
)
def test_a_command_that_gives_no_key_stops_the_start_without_its_words(command: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError) as caught:
        read_keyring(EncryptionSettings(key_command=command, key_command_timeout_s=0.5))
    assert "SECRET" not in str(caught.value)


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    make_key_file(path)
    path.chmod(0o640)
    with pytest.raises(ConfigError, match="600"):
        read_keyring(EncryptionSettings(key_file=path))
    with pytest.raises(ConfigError):
        make_key_file(path)


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    check_keys(tmp_path, Keyring(OLD))
    for keyring in (None, Keyring(NEW)):
        with pytest.raises(ConfigError, match=name_key(OLD).hex()):
            check_keys(tmp_path, keyring)
    check_keys(tmp_path, Keyring(NEW, (OLD,)))


def test_a_copied_folder_opens_at_its_new_place(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    make_blobs(tmp_path / "one").write("a", b"pixels")
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    assert make_blobs(tmp_path / "two").read("a") == b"pixels"
