"""That the exporter cannot write is told out of memory, once, and once that it can again."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.clock import Clock
from tests.support.disks import small_disk
from vv_exporter.alert_path.unwritten import INTERVAL_SECONDS, TRIED, UnwrittenState
from vv_exporter.delivery import webhook
from vv_exporter.delivery.direct import OUTGOING
from vv_exporter.messages.message import Message
from vv_exporter.metrics.jobs import JOB_RUNS
from vv_exporter.settings import load
from vv_exporter.state.database import StoreError
from vv_exporter.state.store import Store
from vv_exporter.state.timeline import HISTORY

LABELS = ("nightly", "success")


class Bench:
    """A store in `folder`, and what is told of it."""

    def __init__(self, folder: Path) -> None:
        self.clock, self.monotonic = Clock(), Clock(1000.0)
        settings = load({"VV_STATE_DIR": str(folder), "VV_DEVICE_ID": "edge-7", "WEBHOOK_URL": "http://127.0.0.1:1/"})
        self.store = Store(settings.exporter_dir / "state.db", self.clock)
        self.held: list[Message] = []
        self.work = UnwrittenState(self.store, ["slack"], settings, self.clock, self.monotonic, self.held.append)

    def run(self, seconds: float) -> None:
        for _ in range(int(seconds / INTERVAL_SECONDS)):
            self.work.round()
            self.clock.advance(INTERVAL_SECONDS)
            self.monotonic.advance(INTERVAL_SECONDS)

    def count(self) -> None:
        with self.store.transaction() as tx:
            tx.inc(JOB_RUNS, LABELS)

    def over(self) -> list[Message]:
        return [one.message for one in self.store.docs(OUTGOING).values()]


@pytest.fixture
def make() -> Iterator[Callable[[Path], Bench]]:
    made: list[Bench] = []

    def make(folder: Path) -> Bench:
        made.append(Bench(folder))
        return made[-1]

    yield make
    for bench in made:
        bench.store.close()


@pytest.mark.parametrize("filled", ["before its start", "while it runs"])
def test_a_full_disk_is_told_once_and_once_that_there_is_room(
    make: Callable[[Path], Bench], tmp_path: Path, filled: str
) -> None:
    with small_disk(tmp_path / "disk") as disk:
        if filled == "before its start":
            (disk.folder / "exporter").mkdir()
            disk.fill()
        bench = make(disk.folder)
        if filled == "while it runs":
            bench.count()
            disk.fill()
            with pytest.raises(StoreError):
                for _ in range(1000):
                    bench.count()
        bench.run(25)
        assert bench.held == []
        bench.run(3600)

        (told,) = bench.held
        assert told.title == f"The disk of {disk.folder} is full"
        assert (told.severity, told.alertname, told.resolved) == ("critical", "StateNotWritable", False)
        assert "df -h" in told.suggested_actions
        assert bench.over() == []

        disk.empty()
        bench.run(60)
        (over,) = bench.over()
        assert (over.key, over.alert_id, over.resolved) == (told.key, told.alert_id, True)
        assert len(bench.held) == 1
        # What could not be written down meanwhile: for the record, and for the webhook.
        (entry,) = bench.store.history(HISTORY)
        assert entry.body["title"].startswith("The exporter could write nothing down for 60 min")
        parcels = webhook.OUTBOX.waiting(bench.store).values()
        assert [parcel.headers["VV-Alert-Status"] for parcel in parcels] == ["firing", "resolved"]
        bench.store.close()


@pytest.mark.parametrize("number", [errno.EIO, errno.EROFS, errno.EDQUOT])
def test_whatever_keeps_it_from_writing_is_told_in_the_words_of_the_database(
    make: Callable[[Path], Bench], tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = make(tmp_path)

    class Broken:
        total_changes = 0

        def __enter__(self) -> None:
            raise sqlite3.OperationalError(os.strerror(number))

        def __exit__(self, *_: object) -> None: ...

    with monkeypatch.context() as patch:
        patch.setattr(Store, "_connection", property(lambda _: Broken()))
        with pytest.raises(StoreError):
            bench.count()
        bench.run(600)
    bench.run(60)

    (told,) = bench.held
    assert told.title == f"The exporter cannot write to {tmp_path}"
    assert os.strerror(number) in told.details
    assert len(bench.over()) == 1


def test_in_health_nothing_is_written_and_what_is_over_at_once_is_told_to_nobody(
    make: Callable[[Path], Bench], tmp_path: Path
) -> None:
    bench = make(tmp_path)
    bench.count()
    bench.run(3600)
    assert bench.store.document(TRIED, "") is None

    bench.store.unwritable = "database or disk is full"
    bench.run(60)

    assert bench.held == []
    assert bench.over() == []


def test_a_disk_on_which_now_and_then_a_write_succeeds_is_told_of_once(
    make: Callable[[Path], Bench], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = make(tmp_path)

    def no_space(changes: object) -> None:
        bench.store.unwritable = "database or disk is full"
        raise StoreError(bench.store.unwritable)

    bench.store.unwritable = "database or disk is full"
    for _ in range(5):
        with monkeypatch.context() as patch:
            patch.setattr(bench.store, "_write_transaction", no_space)
            bench.run(60)
        bench.run(20)
    assert len(bench.held) == 1
    assert bench.over() == []

    bench.run(60)
    assert len(bench.over()) == 1
