"""Starts of the device are counted once each, however often the exporter starts in one and whatever the clock shows."""

from pathlib import Path

from tests.support.clock import Clock
from vv_exporter.metrics.host import BOOTS
from vv_exporter.state.boots import count_boot
from vv_exporter.state.store import Store
from vv_exporter.state.timeline import Filter, read


def test_each_start_counts_once(tmp_path: Path) -> None:
    clock = Clock()
    counts = []
    for boot in ("a", "a", "b", "b", "", "a", "c"):
        store = Store(tmp_path / "state.db", clock)
        count_boot(store, boot)
        counts.append(store.value(BOOTS))
        told = [one.title for one in read(store, Filter()).moments if one.kind == "host.started"]
        store.close()
        clock.advance(-86400)

    assert counts == [0, 0, 1, 1, 1, 2, 3]
    assert told == ["The device rebooted"] * 3
