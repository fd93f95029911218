"""How far the exporter is behind with the journal, also while its reader hangs."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.clock import Clock
from tests.support.waiting import wait_until
from vv_exporter.collectors import journal
from vv_exporter.context import Context
from vv_exporter.journal import files
from vv_exporter.journal.reader import Reader
from vv_exporter.services import Services, build_services
from vv_exporter.settings import load
from vv_exporter.state.store import Store


def shown(collector: journal.JournalCollector) -> dict[str, float]:
    return {sample.name: float(sample.value) for family in collector.collect() for sample in family.samples}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def services(tmp_path: Path, clock: Clock) -> Iterator[Services]:
    """Not started yet."""
    store = Store(tmp_path / "state.db", clock)
    context = Context(settings=load({"VV_STATE_DIR": str(tmp_path)}), store=store, clock=clock, monotonic=clock)
    yield build_services(context)
    store.close()


def test_a_reader_that_hangs_is_told_as_lag(services: Services, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    monkeypatch.setattr(Reader, "round", lambda self: not released.wait(60))
    collector = journal.build(services)
    services.reader.start()
    try:
        clock.advance(4)
        on_a_busy_machine = shown(collector)["vv_event_lag_seconds"]
        clock.advance(120)
        hanging = shown(collector)["vv_event_lag_seconds"]
    finally:
        released.set()
        services.reader.stop()

    assert on_a_busy_machine == 0
    assert hanging == 124


def test_what_waits_is_unknown_until_the_folder_was_looked_at(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = threading.Event()
    scan = files.scan
    monkeypatch.setattr(files, "scan", lambda folder: released.wait(60) and scan(folder))
    collector = journal.build(services)
    services.reader.start()
    try:
        assert "vv_event_backlog_bytes" not in shown(collector)
        released.set()
        wait_until(lambda: shown(collector)["vv_event_backlog_bytes"] == 0)
    finally:
        released.set()
        services.reader.stop()
