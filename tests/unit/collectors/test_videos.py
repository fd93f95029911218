"""What lies in input/ and corrupted/, counted beside the scrape."""

import errno
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.clock import Clock
from tests.support.waiting import wait_until
from tests.unit.collectors.test_collectors import series
from vv_exporter.collectors.videos import VideosCollector
from vv_exporter.context import Context
from vv_exporter.metrics.exporter import SERIES_LIMITED
from vv_exporter.metrics.videos import VIDEOS_EXHAUSTED
from vv_exporter.probes import videos
from vv_exporter.probes.videos import (
    INTERVAL,
    SETTLED_SECONDS,
    TIMEOUT,
    WAITING,
    Census,
    VideoCensus,
    Waiting,
    census,
)
from vv_exporter.settings import load
from vv_exporter.state.store import Store

THRESHOLD = {("vv_threshold_pipeline_stalled_seconds",): 7200.0}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "input" / "cam1").mkdir(parents=True)
    (tmp_path / "corrupted").mkdir()
    return tmp_path


@pytest.fixture
def context(root: Path) -> Iterator[Context]:
    clock = Clock()
    store = Store(root / "state.db", clock)
    settings = load({"VV_STATE_DIR": str(root), "VIDEO_STORAGE_ROOT": str(root), "PIPELINE_STALLED_AFTER": "2h"})
    yield Context(settings=settings, store=store, clock=clock, monotonic=Clock())
    store.close()


def put(path: Path, size: int = 1, changed: float = 1000.0) -> None:
    path.write_bytes(bytes(size))
    os.utime(path, (changed, changed))


def counts(root: Path) -> tuple[int, int, int]:
    found = census(root)
    assert found is not None
    return found.quarantined, found.quarantined_bytes, len(found.waiting)


class TestCensus:
    def test_files_are_counted_in_folders_too_and_each_is_told_from_the_others(self, root: Path) -> None:
        put(root / "input" / "a.mp4")
        put(root / "input" / "cam1" / "b.dav")
        put(root / "corrupted" / "c.mp4", size=30)
        put(root / "corrupted" / "d.json", size=5)

        assert counts(root) == (2, 35, 2)

    @pytest.mark.parametrize("name", [".hidden", "a.mp4.part", "a.TMP", "a.partial", "a.json"])
    def test_what_is_unfinished_does_not_wait(self, root: Path, name: str) -> None:
        put(root / "input" / name)

        assert counts(root) == (0, 0, 0)

    @pytest.mark.parametrize("name", ["a.mp4.meta.json", ".vv-0197"])
    def test_side_cars_and_unfinished_copies_are_not_quarantined_files(self, root: Path, name: str) -> None:
        put(root / "corrupted" / name)

        assert counts(root) == (0, 0, 0)

    def test_links_and_pipes_are_left_out(self, root: Path) -> None:
        (root / "input" / "loop").symlink_to(root / "input")
        (root / "input" / "link.mp4").symlink_to("/etc/passwd")
        os.mkfifo(root / "input" / "pipe.mp4")

        assert counts(root) == (0, 0, 0)

    def test_one_folder_that_is_not_there_is_empty(self, root: Path) -> None:
        (root / "corrupted").rmdir()
        put(root / "input" / "a.mp4")

        assert counts(root) == (0, 0, 1)

    def test_without_both_nothing_is_known(self, tmp_path: Path) -> None:
        assert census(tmp_path) is None

    def test_it_is_bounded(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(videos, "MOST", 5)
        for number in range(9):
            put(root / "corrupted" / str(number))

        found = census(root)
        assert found is not None
        assert found.quarantined == 5
        assert not found.complete

    def test_a_folder_that_is_too_deep_costs_its_own_files_only(self, root: Path) -> None:
        (root / "input" / "here.mp4").touch()
        os.utime(root / "input" / "here.mp4", (1000, 1000))
        folder = os.open(root / "input", os.O_RDONLY)
        for _ in range(20):
            os.mkdir("d" * 250, dir_fd=folder)
            below = os.open("d" * 250, os.O_RDONLY, dir_fd=folder)
            os.close(folder)
            folder = below
        os.close(folder)

        found = census(root)

        assert found is not None
        assert len(found.waiting) == 1
        assert "too long" in found.unread

    def test_a_folder_that_may_not_be_read_costs_its_own_files_only(
        self, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (root / "input" / "closed").mkdir()
        (root / "input" / "here.mp4").touch()
        scandir = os.scandir

        def refuse(path: str) -> Any:
            if path.endswith("closed"):
                raise PermissionError(errno.EACCES, "Permission denied")
            return scandir(path)

        monkeypatch.setattr(os, "scandir", refuse)
        found = census(root)

        assert found is not None
        assert len(found.waiting) == 1
        assert found.unread == f"{root}/input/closed (Permission denied)"

    def test_a_disk_that_fails_makes_all_unknown(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (root / "input" / "below").mkdir()
        scandir = os.scandir

        def fail(path: str) -> Any:
            if path.endswith("below"):
                raise OSError(errno.EIO, "Input/output error")
            return scandir(path)

        monkeypatch.setattr(os, "scandir", fail)

        with pytest.raises(OSError, match="Input/output error"):
            census(root)

    def test_names_that_are_not_utf_8_are_counted(self, root: Path) -> None:
        put(Path(os.fsdecode(os.fsencode(root / "corrupted") + b"/\xff\n.mp4")))

        assert counts(root) == (1, 1, 0)


class TestWaiting:
    """Since when videos wait, with one clock for the time of day and the time that passes."""

    @pytest.fixture
    def clock(self, context: Context) -> Clock:
        assert isinstance(context.clock, Clock)
        return context.clock

    def waiting(self, context: Context) -> Waiting:
        return Waiting(context.store, context.clock, context.clock)

    def see(self, waiting: Waiting, root: Path) -> None:
        found = census(root)
        assert found is not None
        waiting.see(found.waiting)

    @pytest.mark.parametrize("changed", [0.0, 1000.0, 1_699_000_000.0, 1_999_999_999.0])
    def test_a_video_waits_since_it_was_seen_whatever_its_time_says(
        self, root: Path, context: Context, clock: Clock, changed: float
    ) -> None:
        waiting, seen = self.waiting(context), clock.now
        put(root / "input" / "a.mp4", changed=changed)
        for _ in range(20):
            self.see(waiting, root)
            clock.advance(60)

        assert waiting.since() == seen

    def test_it_waits_on_across_restarts(self, root: Path, context: Context, clock: Clock) -> None:
        seen = clock.now
        put(root / "input" / "a.mp4")
        for _ in range(20):
            waiting = self.waiting(context)
            for _ in range(3):
                self.see(waiting, root)
                clock.advance(SETTLED_SECONDS)

        assert waiting.since() == seen

    def test_one_that_is_given_back_begins_anew(self, root: Path, context: Context, clock: Clock) -> None:
        waiting, video = self.waiting(context), root / "input" / "a.mp4"
        put(video)
        for _ in range(3):
            self.see(waiting, root)
            clock.advance(SETTLED_SECONDS)
        video.rename(root / "corrupted" / "a.mp4")
        self.see(waiting, root)
        assert waiting.since() is None

        (root / "corrupted" / "a.mp4").rename(video)
        self.see(waiting, root)

        assert waiting.since() == clock.now

    def test_another_file_of_the_same_name_is_another_video(self, root: Path, context: Context, clock: Clock) -> None:
        waiting = self.waiting(context)
        put(root / "input" / "a.mp4")
        for _ in range(3):
            self.see(waiting, root)
            clock.advance(SETTLED_SECONDS)
        put(root / "input" / "b.mp4")
        (root / "input" / "b.mp4").replace(root / "input" / "a.mp4")
        self.see(waiting, root)

        assert waiting.since() == clock.now

    def test_the_first_are_remembered_where_very_many_wait(
        self, root: Path, context: Context, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(videos, "MOST_REMEMBERED", 3)
        waiting, seen = self.waiting(context), clock.now
        for number in range(10):
            put(root / "input" / f"{number}.mp4")
            self.see(waiting, root)
            clock.advance(SETTLED_SECONDS)
        self.see(waiting, root)

        assert sorted(one.since for one in context.store.docs(WAITING).values()) == [
            seen + number * SETTLED_SECONDS for number in range(3)
        ]


class TestCollector:
    def test_it_shows_what_it_found_and_what_was_counted(self, root: Path, context: Context) -> None:
        put(root / "input" / "a.mp4")
        put(root / "corrupted" / "b.mp4", size=7)
        with context.store.transaction() as tx:
            tx.inc(VIDEOS_EXHAUSTED, ("scan",))
        service = census_of(context, census)
        collector = VideosCollector(context, service)
        service.start()
        try:
            shown = wait_until(lambda: complete(series(collector.collect())))
        finally:
            service.stop()

        shown.pop(("vv_videos_exhausted_created", "scan"))
        assert shown == THRESHOLD | {
            ("vv_videos_exhausted_total", "scan"): 1,
            ("vv_quarantine_files",): 1,
            ("vv_quarantine_bytes",): 7,
            ("vv_backlog_videos",): 1,
            ("vv_backlog_oldest_timestamp_seconds",): context.clock(),
        }

    def test_more_files_than_are_looked_at_are_told(
        self, root: Path, context: Context, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(videos, "MOST", 5)
        for number in range(9):
            put(root / "input" / f"{number}.mp4")
        service = census_of(context, census)
        service.start()
        try:
            wait_until(lambda: context.store.value(SERIES_LIMITED, ("vv_backlog_videos",)))
        finally:
            service.stop()

    def test_without_a_storage_only_counters_are_shown(self, context: Context) -> None:
        settings = load({"VV_STATE_DIR": str(context.settings.state_dir)})
        bare = replace(context, settings=settings)
        service = census_of(bare, census)
        service.start()
        service.stop()
        collector = VideosCollector(bare, service)

        assert series(collector.collect()) == {("vv_threshold_pipeline_stalled_seconds",): 1800}

    def test_a_look_that_hangs_holds_up_nobody_and_its_last_answer_ends(self, root: Path, context: Context) -> None:
        clock, hang, asked = context.monotonic, threading.Event(), threading.Event()
        assert isinstance(clock, Clock)

        def look(_: Path) -> Census | None:
            if asked.is_set():
                hang.wait(30)
            asked.set()
            return Census(4, 4, frozenset())

        service = census_of(context, look)
        collector = VideosCollector(context, service)
        service.start()
        try:
            wait_until(lambda: complete(series(collector.collect())))
            clock.advance(INTERVAL + TIMEOUT)
            before = series(collector.collect())
            clock.advance(1)
            after = series(collector.collect())
        finally:
            hang.set()
            service.stop()

        assert before["vv_quarantine_files",] == 4
        assert after == THRESHOLD

    def test_a_failing_look_is_logged_once_and_tried_again(
        self, root: Path, context: Context, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(videos, "INTERVAL", 0.0)
        looks = []

        def look(_: Path) -> Census | None:
            looks.append(1)
            if len(looks) < 4:
                raise OSError("broken")
            return Census(4, 4, frozenset())

        service = census_of(context, look)
        collector = VideosCollector(context, service)
        service.start()
        try:
            wait_until(lambda: complete(series(collector.collect())))
        finally:
            service.stop()

        assert caplog.text.count("cannot be counted: broken") == 1


def census_of(context: Context, look: Callable[[Path], Census | None]) -> VideoCensus:
    root = context.settings.video_storage_root
    return VideoCensus(root, context.store, context.clock, context.monotonic, look)


def complete(shown: dict[tuple[str, ...], float]) -> dict[tuple[str, ...], float]:
    return shown if ("vv_quarantine_files",) in shown else {}
