"""The trail reaches its collector whole and in order, however often that is away."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.audit.collector import MESSAGE, Collector
from tests.audit.trail import make_event
from tests.path.service import await_true
from wetread.certificates import make_authority, sign
from wetread.config import Config, check_config
from wetread.deliver.syslog import AuditSettings, Forwarder, read_collector
from wetread.errors import ConfigError, UnsafeBinding, WetreadError
from wetread.network import ServerTls, server_context
from wetread.store import Store, open_store
from wetread.store.audit_rows import AuditRows
from wetread.store.audit_verify import verify_against

Forward = Callable[..., tuple[Forwarder, list[WetreadError | None]]]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    authority = make_authority("test", 2)
    authority.write(folder, "authority")
    sign(authority, "localhost", hosts=("localhost", "127.0.0.1"), days=2, server=True).write(
        folder, "server"
    )
    sign(authority, "us", hosts=(), days=2, server=False).write(folder, "us")
    return folder


@pytest.fixture
def context(certificates: Path) -> ssl.SSLContext:
    asks = ServerTls(
        certificate=certificates / "server.pem",
        key=certificates / "server.key",
        authorities=certificates / "authority.pem",
    )
    return server_context(asks)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path / "data")
    yield opened
    opened.close()


def settings(certificates: Path, port: int, **given: Path | None) -> AuditSettings:
    values = {
        "syslog_authorities": certificates / "authority.pem",
        "syslog_certificate": certificates / "us.pem",
        "syslog_key": certificates / "us.key",
    }
    return AuditSettings(syslog=f"tls://localhost:{port}", **(values | given))


@pytest.fixture
def forward(store: Store) -> Iterator[Forward]:
    running: list[Forwarder] = []

    def start(configured: AuditSettings) -> tuple[Forwarder, list[WetreadError | None]]:
        collector = read_collector(configured)
        assert collector is not None
        changes: list[WetreadError | None] = []
        forwarder = Forwarder(AuditRows(store.engine), collector, "wetread", changes.append, every_s=0.02)
        forwarder.start()
        running.append(forwarder)
        return forwarder, changes

    yield start
    for forwarder in running:
        forwarder.stop()


def record(store: Store, count: int) -> None:
    for number in range(count):
        store.audit.record(make_event(f"event {number}"))


def test_every_entry_arrives_in_order(
    store: Store, certificates: Path, context: ssl.SSLContext, forward: Forward, tmp_path: Path
) -> None:
    record(store, 20)
    collector = Collector(context)
    collector.start()
    forwarder, _ = forward(settings(certificates, collector.port))
    await_true(lambda: len(collector.lines) == 20, 60, "the first")
    record(store, 5)
    await_true(lambda: len(collector.lines) == 25, 60, "the rest")
    await_true(lambda: forwarder.backlog() == (0, ""), 60, "the count")
    assert collector.sequences() == list(range(1, 26))
    for line, entry in zip(collector.lines, AuditRows(store.engine).list_after(0, 100), strict=True):
        found = MESSAGE.fullmatch(line)
        assert found is not None
        assert (found[1], found[6], found[8], found[9]) == (
            "85",
            "DICOM+RFC3881",
            entry.digest,
            entry.message,
        )
    log = tmp_path / "collector.log"
    log.write_text("\n".join(collector.lines))
    assert list(verify_against(store.engine, log)) == []
    collector.stop()


def test_a_collector_that_is_away_costs_nothing_and_gets_all(
    store: Store, certificates: Path, context: ssl.SSLContext, forward: Forward
) -> None:
    collector = Collector(context)
    collector.start()
    forwarder, changes = forward(settings(certificates, collector.port))
    record(store, 3)
    await_true(lambda: len(collector.lines) == 3, 60, "the first")
    collector.stop()
    record(store, 7)
    await_true(lambda: forwarder.trouble, 60, "trouble")
    assert forwarder.backlog()[0] >= 7
    assert isinstance(changes[0], WetreadError)
    again = Collector(context, port=collector.port)
    again.start()
    await_true(lambda: forwarder.backlog() == (0, ""), 120, "the rest")
    await_true(lambda: again.lines and again.sequences()[-1] == 10, 60, "the last")
    # At least once: what lay in a connection that broke comes again.
    assert set(collector.sequences()) | set(again.sequences()) == set(range(1, 11))
    assert again.sequences() == sorted(again.sequences())
    assert changes[-1] is None
    again.stop()


def test_an_unknown_collector_gets_nothing(
    store: Store, certificates: Path, context: ssl.SSLContext, forward: Forward, tmp_path: Path
) -> None:
    other = make_authority("other", 2)
    other.write(tmp_path, "other")
    collector = Collector(context)
    collector.start()
    record(store, 1)
    forwarder, _ = forward(settings(certificates, collector.port, syslog_authorities=tmp_path / "other.pem"))
    await_true(lambda: forwarder.trouble, 60, "trouble")
    assert "authority" in forwarder.trouble
    assert collector.lines == []
    assert forwarder.backlog()[0] == 1
    collector.stop()


def test_without_our_certificate_it_waits(
    store: Store, certificates: Path, context: ssl.SSLContext, forward: Forward
) -> None:
    collector = Collector(context)
    collector.start()
    record(store, 1)
    bare = settings(certificates, collector.port, syslog_certificate=None, syslog_key=None)
    forwarder, _ = forward(bare)
    await_true(lambda: forwarder.trouble, 60, "trouble")
    await_true(lambda: collector.faults, 60, "the collector's refusal")
    assert collector.lines == []
    await_true(lambda: forwarder.backlog()[0] == 1, 60, "the entry to wait again")
    collector.stop()


@pytest.mark.parametrize("address", ["host:1", "udp://host:1", "tls://host", "tls://:1", "tls://host:x"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ConfigError):
        check_config(Config(audit=AuditSettings(syslog=address)))


def test_nothing_leaves_this_machine_in_the_clear() -> None:
    with pytest.raises(UnsafeBinding):
        check_config(Config(audit=AuditSettings(syslog="tcp://10.0.0.9:514")))
