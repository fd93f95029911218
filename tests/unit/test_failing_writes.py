"""Each writer of the exporter, with each of its writes failing in turn and all after it, until there is room again.

Meanwhile it goes on, or says that it could not; afterwards nothing is lost that was promised, nothing is counted twice,
and nobody has to help.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
import yaml

from tests.support.clock import Clock
from tests.support.failing import Work, fail_each_write
from tests.support.journals import RawWriter
from vv_core.logs import AppLogHandler
from vv_exporter.alertmanager.token import read_token
from vv_exporter.channels import Answer
from vv_exporter.delivery.direct import OUTGOING, DirectWorker, put
from vv_exporter.journal.folds import discover
from vv_exporter.journal.reader import Reader
from vv_exporter.messages.message import Message
from vv_exporter.metrics.jobs import JOB_RUNS
from vv_exporter.render import render
from vv_exporter.settings import Settings, SettingsError, load
from vv_exporter.state import timeline
from vv_exporter.state.database import StoreError
from vv_exporter.state.store import Store

ERRORS = (errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EROFS)
LABELS = ("nightly", "success")
Space = Callable[[], None]


class Disk:
    """Fails at each write with one error, in a folder of its own each time."""

    def __init__(self, folder: Path, error: int) -> None:
        self.error = error
        self._folders = (folder / str(number) for number in count())

    def fail(self, prepare: Callable[[Path], Work], every: int = 1) -> int:
        """Gives how many writes there were. A full disk at each (or each `every`-th) write; the others take turns."""
        turn = ERRORS.index(self.error)
        first, step = (1 + turn * every, (len(ERRORS) - 1) * every) if turn else (1, every)
        return fail_each_write(lambda: prepare(next(self._folders)), self.error, first, step)


pytestmark = pytest.mark.exhaustive


@pytest.fixture(params=ERRORS, ids=lambda error: errno.errorcode[error])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Disk:
    return Disk(tmp_path, request.param)


def settings_in(folder: Path, **environ: str) -> Settings:
    return load({"VV_STATE_DIR": str(folder), "VV_DEVICE_ID": "edge-7", **environ})


def opened(folder: Path) -> Store:
    return Store(folder / "exporter" / "state.db", Clock())


def opened_somehow(folder: Path) -> Store | None:
    with contextlib.suppress(StoreError):
        return opened(folder)
    return None


def add_one(store: Store | None) -> int:
    """How often it was counted: once, or not at all."""
    if store is None:
        return 0
    try:
        with store.transaction() as tx:
            tx.inc(JOB_RUNS, LABELS)
            timeline.add_to_timeline(tx, tx.now, timeline.Entry("a", "b"))
    except StoreError:
        assert store.unwritable
        return 0
    assert not store.unwritable
    return 1


@contextlib.contextmanager
def anew(folder: Path) -> Iterator[Store]:
    store = opened(folder)
    try:
        yield store
    finally:
        store.close()


def test_the_store_keeps_what_it_said_it_kept_and_nothing_else(disk: Disk) -> None:
    def prepare(folder: Path) -> Work:
        def work(space: Space) -> None:
            store = opened_somehow(folder)
            kept = sum(add_one(store) for _ in range(3))
            if store is not None:  # it is asked meanwhile
                assert store.value(JOB_RUNS, LABELS) == (kept or None)
                assert len(store.history(timeline.HISTORY)) == kept
            space()
            store = store or opened(folder)
            kept += add_one(store)
            assert store.unwritable == ""
            assert store.value(JOB_RUNS, LABELS) == kept
            store.close()
            with anew(folder) as store:
                assert store.value(JOB_RUNS, LABELS) == kept
                assert len(store.history(timeline.HISTORY)) == kept

        return work

    assert disk.fail(prepare) > 10


def test_an_exporter_that_was_stopped_meanwhile_counts_each_event_of_the_journal_once(
    disk: Disk,
) -> None:
    def prepare(folder: Path) -> Work:
        with anew(folder) as store:
            add_one(store)
        writer = RawWriter(folder / "journal", "w")
        for _ in range(3):
            writer.event("heartbeat", job="beats")
        writer.close()

        def read(store: Store) -> None:
            clock = Clock()
            reader = Reader(folder / "journal", store, discover(), settings_in(folder), clock, clock)
            for _ in range(4):
                clock.advance(1)
                with contextlib.suppress(StoreError):
                    reader.round()

        def work(space: Space) -> None:
            store = opened_somehow(folder)
            if store is not None:
                read(store)
                store.close()
            space()
            with anew(folder) as store:
                read(store)
                assert store.value(JOB_RUNS, ("beats", "success")) == 3
                assert list((folder / "journal").iterdir()) == []

        return work

    assert disk.fail(prepare) > 5


def test_the_token_is_made_when_it_can_be_and_stays(disk: Disk) -> None:
    def prepare(folder: Path) -> Work:
        settings = settings_in(folder)

        def work(space: Space) -> None:
            known = set()
            for _ in range(2):
                with contextlib.suppress(OSError):
                    known.add(read_token(settings))
            space()
            known.add(read_token(settings))
            assert len(known) == 1
            assert read_token(settings) in known

        return work

    assert disk.fail(prepare) >= 4


def test_the_log_writes_on_and_no_line_is_torn_into_another(disk: Disk) -> None:
    def prepare(folder: Path) -> Work:
        folder.mkdir()

        def work(space: Space) -> None:
            os.environ["VV_STATE_DIR"] = str(folder)
            logger = logging.Logger("w")
            logger.addHandler(AppLogHandler(str(folder / "logs" / "app.log"), "w", 400))
            for number in range(8):  # several files
                logger.error("line %d %s", number, "x" * 80)
            space()
            logger.error("line 8")
            logger.error("line 9")
            texts = [path.read_text() for path in sorted((folder / "logs").iterdir())]
            lines = [line for text in texts for line in text.splitlines()]
            whole = [line for line in lines if line.rpartition(" ")[2] in ("8", "9", "x" * 80)]
            assert [line.split()[-1] for line in (folder / "logs" / "app.log").read_text().splitlines()][-1] == "9"
            assert all(line.count("ERROR") == 1 for line in whole)
            assert len(lines) - len(whole) <= 1, lines  # what was cut short stands by itself

        return work

    assert disk.fail(prepare) > 10


class Slack:
    """Takes everything."""

    name = title = "slack"

    def __init__(self) -> None:
        self.taken: list[Message] = []

    def send(self, message: Message) -> Answer:
        self.taken.append(message)
        return Answer(200, "ok")

    test = send


def test_a_message_that_was_written_down_is_sent_once(disk: Disk) -> None:
    message = Message("k", "title", "critical", "edge-7", "c", 1.8e9, "id")

    def prepare(folder: Path) -> Work:
        def work(space: Space) -> None:
            store, slack, written = opened_somehow(folder), Slack(), 0
            clock = Clock()
            sender = None if store is None else DirectWorker(store, slack, clock)
            for _ in range(3):
                if store is None or sender is None:
                    continue
                with contextlib.suppress(StoreError):
                    with store.transaction() as tx:
                        put(tx, message, ["slack"])
                    written += 1
                clock.advance(120)
                with contextlib.suppress(StoreError):
                    sender.round()
            space()
            if store is None or sender is None:
                return
            for _ in range(8):
                clock.advance(120)
                sender.round()
            assert len(slack.taken) == written
            assert store.docs(OUTGOING) == {}

        return work

    assert disk.fail(prepare) > 10


def test_a_rendered_configuration_is_whole_at_any_time_and_new_when_there_is_room(disk: Disk) -> None:
    def prepare(folder: Path) -> Work:
        out = folder / "config"
        old, new = (settings_in(folder, VV_SCRAPE_INTERVAL=interval) for interval in ("10s", "20s"))
        if not prepared:
            render(old, out)
            prepared.append(out)
        else:
            folder.mkdir()
            shutil.copytree(prepared[0], out)

        def work(space: Space) -> None:
            with contextlib.suppress(OSError, SettingsError):
                render(new, out)
            assert yaml.safe_load((out / "prometheus.yml").read_text())["global"]["scrape_interval"] in ("10s", "20s")
            assert yaml.safe_load((out / "alertmanager.yml").read_text())["receivers"]
            for path in (out / "rules").glob("*.yml"):
                assert yaml.safe_load(path.read_text())["groups"]
            space()
            render(new, out)
            assert yaml.safe_load((out / "prometheus.yml").read_text())["global"]["scrape_interval"] == "20s"

        return work

    prepared: list[Path] = []
    assert disk.fail(prepare, every=12) > 20
