"""How far the exporter is behind with the journal, also while its reader hangs."""

import threading
from pathlib import Path

import pytest

from tests.support.clock import Clock
from vv_exporter.collectors import journal
from vv_exporter.context import Context
from vv_exporter.journal.reader import Reader
from vv_exporter.settings import load
from vv_exporter.state.store import Store


def lag(collector: journal.JournalCollector) -> float:
    (value,) = [
        sample.value
        for family in collector.collect()
        for sample in family.samples
        if sample.name == "vv_event_lag_seconds"
    ]
    return float(value)


def test_a_reader_that_hangs_is_told_as_lag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    monkeypatch.setattr(Reader, "round", lambda self: not released.wait(60))
    clock = Clock()
    store = Store(tmp_path / "state.db", clock)
    context = Context(settings=load({"VV_STATE_DIR": str(tmp_path)}), store=store, clock=clock, monotonic=clock)
    collector = journal.build(context)
    collector.start()
    try:
        clock.advance(4)
        on_a_busy_machine = lag(collector)
        clock.advance(120)
        hanging = lag(collector)
    finally:
        released.set()
        collector.stop()
        store.close()

    assert on_a_busy_machine == 0
    assert hanging == 124
