"""A thousand random histories of a device whose clock is wrong, set, slept through and lost, against what is true.

The journal, its reader, the folds, the store and the collectors are real; only clocks are not. A model that knows the
truth says what must be told and what must not; where the clock left no trace of the truth (a time that was written with
a wrong clock in an earlier boot) it knows bounds, and only what holds within them all is asked for.

What is asked for whenever the clock has been right for a minute, in any boot: nothing is missed, and nothing is false.
At the end of each history the bounds close: whatever the clock did, what lasts is told as soon as it has lasted for its
time with a clock that is right, and what happens then is known exactly.

Each run looks at a hundred histories; `CLOCK_HISTORIES=1000` looks at as many, `CLOCK_SEED` at others.
"""

from __future__ import annotations

import os
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.clocks import Clocks
from tests.support.fast_store import FastStore
from tests.support.journals import RawWriter
from vv_exporter.collectors.dvr import Dvrs
from vv_exporter.collectors.jobs import JobsCollector
from vv_exporter.collectors.pipeline import PipelineCollector
from vv_exporter.collectors.self_monitor import SelfMonitorCollector
from vv_exporter.common.schedule import next_due
from vv_exporter.common.times import EARLIEST
from vv_exporter.context import Context
from vv_exporter.journal.configured_jobs import ConfiguredJobs
from vv_exporter.journal.folds import Folds, discover
from vv_exporter.journal.reader import Reader
from vv_exporter.metrics.jobs import JOB_RUNS
from vv_exporter.metrics.pipeline import STAGE_DURATION
from vv_exporter.settings import Settings, load
from vv_exporter.state.openalerts import ALERTS
from vv_exporter.status.series import Series

HISTORIES = int(os.environ.get("CLOCK_HISTORIES", "100"))
SEED = int(os.environ.get("CLOCK_SEED", "0"))
PARTS = 20  # tests, so that they can run side by side
ACTIONS = 24  # of each history
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
SCHEDULE, GRACE = "*/10 * * * *", 120.0
JOB_LIMIT, STAGE_LIMIT = 900.0, 300.0
DVR_FAILURES, DVR_LONG, FROZEN, STALLED = 3, 900.0, 60.0, 120.0
CONFIG = f"""
jobs: {{nightly: {{schedule: "{SCHEDULE}", grace: 2m, max_runtime: 15m}}}}
stages: {{scan: {{limit: {STAGE_LIMIT:.0f}s}}}}
"""


class Fact:
    """When something was: between `low` and `high` by a clock that is right, as far as the device can know."""

    def __init__(self, now: float) -> None:
        self.low = self.high = now
        self.current = True
        """Whether this boot's clock showed it, which is followed exactly."""
        self.perhaps = False
        """Whether it may count as of this boot."""


class Truth:
    """What happened, whatever the clock showed."""

    def __init__(self, clocks: Clocks) -> None:
        self.clocks = clocks
        self.facts: list[Fact] = []
        self.errors = [0.0]
        """By how much the clock was wrong in this boot."""
        self.alerts = 0
        self.ended: Counter[str] = Counter()
        self.job_known = [self.fact()]
        self.job_run: float | None = None  # monotonic start
        self.stage_run: float | None = None
        self.dvr_failures = 0
        self.dvr_down: Fact | None = None
        self.frame: Fact | None = None
        self.checked: Fact | None = None

    def fact(self) -> Fact:
        """Something is now."""
        self.facts.append(Fact(self.clocks.now))
        return self.facts[-1]

    def clock_moved(self) -> None:
        """The clock was set, or the device has started: what lies in the future by it counts as now."""
        self.errors.append(self.clocks.error)
        if self.clocks.wall() < EARLIEST:
            return  # it is known not to be set
        for fact in self.facts:
            if not fact.current and fact.low < EARLIEST:  # no clock showed that
                fact.high, fact.perhaps = max(fact.high, self.clocks.now), True
            if not fact.current and fact.high > self.clocks.wall():
                fact.high, fact.perhaps = self.clocks.now, True
                fact.low = min(fact.low, self.clocks.now)

    def switched_off(self) -> None:
        """Nobody will know by how much the clock of this boot was wrong."""
        for fact in self.facts:
            if fact.current or fact.perhaps:
                fact.low += min(0.0, *self.errors)
                fact.high += max(0.0, *self.errors)
                fact.current = fact.perhaps = False
        self.errors = []
        self.ended["job"] += self.job_run is not None
        self.ended["stage"] += self.stage_run is not None
        self.job_run = self.stage_run = None


class Device:
    """The exporter and four scripts on one machine."""

    def __init__(self, folder: Path, folds: Folds, settings: Settings, seed: int) -> None:
        folder.mkdir()
        self.random = random.Random(seed)
        self.clocks = Clocks()
        self.folder, self.folds, self.settings = folder, folds, settings
        self.truth = Truth(self.clocks)
        self.right_since = self.clocks.now
        self.runs = 0
        self.run_ids: dict[str, str] = {}
        self.writers: dict[str, RawWriter] = {}
        self.store: FastStore | None = None
        self.start()

    # The machine.

    def start(self) -> None:
        """The exporter."""
        self.store = FastStore(self.folder / "state.db", self.clocks)
        clocks = self.clocks
        context = Context(self.settings, self.store, clocks.wall, clocks.monotonic, clocks.boottime, clocks.boot)
        self.reader = Reader(
            self.folder / "journal", self.store, self.folds, self.settings,
            clocks.wall, clocks.monotonic, clocks.boottime, clocks.boot,
        )  # fmt: skip
        jobs = ConfiguredJobs(self.store, self.settings.jobs)
        jobs.start()
        jobs.stop()
        self.collectors = [
            JobsCollector(context),
            PipelineCollector(context),
            Dvrs(self.store, []),
            SelfMonitorCollector(self.store, self.settings.self_monitor),
        ]

    def stop(self) -> None:
        if self.store is not None:
            self.store.close()
        self.store = None

    def writer(self, name: str) -> RawWriter:
        if name not in self.writers:
            self.runs += 1
            self.writers[name] = RawWriter(
                self.folder / "journal", f"{self.runs:04d}-{name}", boot=self.clocks.boot, component=f"{name}.py"
            )
        return self.writers[name]

    def kill(self, name: str) -> None:
        if name in self.writers:
            self.writers.pop(name).close()

    def event(self, script: str, type_: str, **fields: object) -> None:
        self.writer(script).event(type_, ts=self.clocks.wall(), **fields)

    def look(self) -> None:
        """What the exporter does within seconds, if it runs."""
        if self.store is None:
            return
        self.store.follow_clock()
        for _ in range(2):
            while self.reader.round():
                pass
            self.clocks.advance(1.1)

    # What may happen.

    def pass_time(self) -> None:
        self.clocks.advance(self.random.choice([5, 30, MINUTE, 10 * MINUTE, 2 * HOUR]))

    def sleep(self) -> None:
        self.clocks.sleep(self.random.choice([MINUTE, HOUR, 10 * HOUR]))

    def set_clock(self) -> None:
        r = self.random
        error = r.choice(
            [0.0, 0.0, r.uniform(-DAY, DAY), r.choice([-1, 1]) * r.choice([10.0, 10 * MINUTE, HOUR, 3 * DAY])]
        )
        self.set_error(error)

    def set_error(self, error: float) -> None:
        if error != self.clocks.error:
            self.clocks.set_error(error)
            self.right_since = self.clocks.now
        if self.store is not None:
            self.store.follow_clock()
            self.truth.clock_moved()
        else:
            self.truth.errors.append(error)

    def reboot(self) -> None:
        """Or a power cut: for the journal and the store they are one."""
        r = self.random
        for name in list(self.writers):
            self.kill(name)
        self.stop()
        self.truth.switched_off()
        off = r.choice([20.0, HOUR, DAY, 3 * DAY])
        behind, ahead = self.clocks.error - off - r.uniform(0, HOUR), r.uniform(HOUR, 2 * DAY)
        error = r.choice([0.0, 0.0, behind, ahead, -self.clocks.now])  # the last: 1970
        self.clocks.reboot(off, error)
        self.truth.errors = [error]
        self.right_since = self.clocks.now
        self.start()
        self.truth.clock_moved()

    def restart_exporter(self) -> None:
        self.stop()
        if self.random.random() < 0.5:
            for act in self.random.choices(self.happenings(), k=2):
                self.done.append(f"meanwhile {act.__name__}")
                act()
        self.start()
        self.truth.clock_moved()

    def happenings(self) -> list[Callable[[], None]]:
        jobs = [self.job_succeeds, self.job_fails, self.job_begins, self.job_ends]
        stages = [self.stage_begins, self.stage_ends, self.scripts_killed]
        return [*jobs, *stages, self.dvr_fails, self.dvr_fails, self.dvr_streams, self.alert, self.check]

    # What scripts do.

    def job_succeeds(self) -> None:
        self.event("cron", "heartbeat", job="nightly")
        self.truth.job_known.append(self.truth.fact())

    def job_fails(self) -> None:
        self.event("cron", "job.finished", job="nightly", run="f", result="failure", seconds=1.0, exit_code=3)
        self.truth.ended["job_failed"] += 1

    def job_begins(self) -> None:
        if self.truth.job_run is None:
            mono = self.truth.job_run = self.clocks.monotonic()
            self.run_ids["job"] = f"job-{self.clocks.boot}-{mono}"
            self.event("job", "job.started", job="nightly", run=self.run_ids["job"], mono=mono)
            self.truth.job_known.append(self.truth.fact())

    def job_ends(self) -> None:
        if self.truth.job_run is not None:
            self.event("job", "job.finished", job="nightly", run=self.run_ids["job"], result="success", seconds=1.0)
            self.truth.job_known.append(self.truth.fact())
            self.truth.job_run = None

    def stage_begins(self) -> None:
        if self.truth.stage_run is None:
            mono = self.truth.stage_run = self.clocks.monotonic()
            self.run_ids["stage"] = f"stage-{self.clocks.boot}-{mono}"
            self.event("stage", "stage.started", stage="scan", run=self.run_ids["stage"], mono=mono)

    def stage_ends(self) -> None:
        if self.truth.stage_run is not None:
            self.event(
                "stage", "stage.finished", stage="scan", run=self.run_ids["stage"], outcome="failure", seconds=1.0
            )
            self.truth.ended["stage_failed"] += 1
            self.truth.stage_run = None

    def scripts_killed(self) -> None:
        self.kill("job")
        self.kill("stage")
        self.truth.ended["job"] += self.truth.job_run is not None
        self.truth.ended["stage"] += self.truth.stage_run is not None
        self.truth.job_run = self.truth.stage_run = None

    def dvr_fails(self) -> None:
        for _ in range(self.random.choice([1, 2, 4])):
            self.event("agent", "dvr.attempt", dvr="front", result="timeout")
            self.truth.dvr_down = self.truth.dvr_down or self.truth.fact()
            self.truth.dvr_failures += 1
            self.look()

    def dvr_streams(self) -> None:
        self.event("agent", "dvr.attempt", dvr="front", result="ok")
        self.event("agent", "dvr.frames", dvr="front", frames=25, last=self.clocks.wall())
        self.truth.dvr_failures, self.truth.dvr_down = 0, None
        self.truth.frame = self.truth.fact()

    def alert(self) -> None:
        self.truth.alerts += 1
        title = f"alert {self.truth.alerts}"
        self.event("agent", "alert", id=str(self.truth.alerts), level="ERROR", title=title)

    def check(self) -> None:
        self.event("self-monitor", "supervisor.checked", containers={})
        self.truth.checked = self.truth.fact()

    # What is told.

    def act(self) -> None:
        others = [self.pass_time, self.pass_time, self.sleep, self.set_clock, self.set_clock, self.reboot,
                  self.restart_exporter]  # fmt: skip
        act = self.random.choice([*self.happenings(), *others, *others])
        self.done.append(f"{act.__name__} at {self.clocks.now:.0f} ({self.clocks.error:+.0f})")
        act()
        self.look()

    def live(self) -> None:
        """A history; in its last minutes the clock is right."""
        self.done: list[str] = []
        for _ in range(ACTIONS):
            before = self.clocks.boot
            self.act()
            if self.clocks.boot != before and self.random.random() < 0.5:
                self.put_right()
            if self.clocks.error == 0 and self.clocks.now - self.right_since >= MINUTE:
                self.judge()
        self.put_right()
        self.lasts_on()
        self.begins_anew()

    def put_right(self) -> None:
        """A minute later all is as it should be: each boot of a board without a clock."""
        self.set_error(0.0)
        self.done.append("the clock is right")
        for _ in range(6):
            self.clocks.advance(10)
            self.look()
        self.judge()

    def lasts_on(self) -> None:
        """Nothing happens any more. What a wrong clock left uncertain is certain once it has lasted for its time."""
        self.done.append("nothing happens any more")
        since, truth = self.clocks.now, self.truth
        due = next_due(SCHEDULE, "UTC", since) + GRACE + MINUTE
        while self.clocks.now < max(due, since + DVR_LONG + MINUTE):
            self.clocks.advance(MINUTE)
            self.look()
            self.judge()
        told = self.told()
        assert "JobMissed" in told, "\n".join(self.done)
        assert ("SelfMonitorStalled" in told) == (truth.checked is not None), "\n".join(self.done)
        assert ("DvrUnreachableProlonged" in told) == (truth.dvr_failures >= DVR_FAILURES), "\n".join(self.done)

    def begins_anew(self) -> None:
        """All is well: what was told is over within a minute; then everything fails, and is told when it is time."""
        for act in (self.job_succeeds, self.check, self.dvr_streams, self.scripts_killed):
            act()
        self.look()
        self.clocks.advance(MINUTE)
        self.check()
        self.look()
        self.done.append("all is well")
        assert self.told() == set(), "\n".join(self.done)
        while self.truth.dvr_failures < DVR_FAILURES:
            self.dvr_fails()
        self.stage_begins()
        self.job_begins()
        self.lasts_on()
        assert {"StageOverdue", "JobRunningTooLong", "DvrUnreachable"} <= self.told(), "\n".join(self.done)

    def judge(self) -> None:
        """Compare what is told with what is true. A writer that is gone is noticed within seconds."""
        told, now, truth = self.told(), self.clocks.now, self.truth
        assert self.store is not None
        within: dict[str, tuple[bool, bool]] = {
            "JobMissed": self.both(lambda at: now - next_due(SCHEDULE, "UTC", at) > GRACE, truth.job_known),
            "DvrUnreachable": (truth.dvr_failures >= DVR_FAILURES,) * 2,
            "JobRunningTooLong": self.running(truth.job_run, JOB_LIMIT),
            "StageOverdue": self.running(truth.stage_run, STAGE_LIMIT),
        }
        if truth.dvr_down is not None and truth.dvr_failures >= DVR_FAILURES:
            within["DvrUnreachableProlonged"] = self.both(lambda at: now - at >= DVR_LONG, [truth.dvr_down])
        if truth.checked is not None:
            within["SelfMonitorStalled"] = self.both(lambda at: now - at > STALLED, [truth.checked])
        for name, (low, high) in within.items():
            if low == high:
                assert (name in told) == low, f"{name} {'is missed' if low else 'is false'}\n" + "\n".join(self.done)
        counts = {
            "job": self.store.value(JOB_RUNS, ("nightly", "crashed")) or 0,
            "job_failed": self.store.value(JOB_RUNS, ("nightly", "failure")) or 0,
            "stage": self.observed("crashed"),
            "stage_failed": self.observed("failure"),
        }
        assert counts == {name: truth.ended[name] for name in counts}, "\n".join(self.done)
        alerts = self.store.docs(ALERTS).values()
        assert len(alerts) == truth.alerts, "\n".join(self.done)
        wall, window = self.clocks.wall(), self.settings.alert_window
        assert all(one.first <= one.last <= wall and one.ends <= wall + window for one in alerts), "\n".join(self.done)

    def both(self, holds: Callable[[float], bool], facts: list[Fact]) -> tuple[bool, bool]:
        """Whether it holds if the latest of the facts was as early, and as late, as can be, with a little to spare."""
        low, high = max(fact.low for fact in facts), max(fact.high for fact in facts)
        times = (low - 5, low + 5, high - 5, high + 5)
        found = [bool(holds(min(time, self.clocks.now))) for time in times]
        return all(found), any(found)

    def running(self, since: float | None, limit: float) -> tuple[bool, bool]:
        age = 0.0 if since is None else self.clocks.monotonic() - since
        return age > limit + 5, age > limit - 5

    def observed(self, outcome: str) -> int:
        assert self.store is not None
        series = self.store.find(STAGE_DURATION, ("scan", outcome))
        return sum(series.counts) if series else 0

    def told(self) -> set[str]:
        """The alerts whose conditions hold, as the rules have them, by what is exposed now."""
        series = Series(family for collector in self.collectors for family in collector.collect())
        now = self.clocks.wall()

        def age(metric: str) -> float:
            return max((now - value for _, value in series.all(metric)), default=0.0)

        failures = max((value for _, value in series.all("vv_dvr_consecutive_failures")), default=0)
        ok = any(value for labels, value in series.all("vv_dvr_last_result") if labels["result"] == "ok")
        unreachable = failures >= DVR_FAILURES and not ok
        conditions = {
            "JobMissed": age("vv_job_next_due_timestamp_seconds") > GRACE,
            "JobRunningTooLong": age("vv_job_oldest_start_timestamp_seconds") > JOB_LIMIT,
            "StageOverdue": any(value for _, value in series.all("vv_stage_overdue")),
            "DvrUnreachable": unreachable,
            "DvrUnreachableProlonged": unreachable and age("vv_dvr_down_since_timestamp_seconds") >= DVR_LONG,
            "SelfMonitorStalled": age("vv_self_monitor_last_check_timestamp_seconds") > STALLED,
        }
        return {name for name, holds in conditions.items() if holds}


@pytest.fixture(scope="module")
def folds() -> Folds:
    return discover()


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("settings")
    (folder / "vv.yml").write_text(CONFIG)
    return load({"VV_STATE_DIR": str(folder), "VV_CONFIG": str(folder / "vv.yml")})


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """In memory, where there is such a place: the disk is not what is tested."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else tmp_path) as name:
        yield Path(name)


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.exhaustive
def test_nothing_is_missed_and_nothing_is_false_once_the_clock_is_right(
    folder: Path, folds: Folds, settings: Settings, part: int
) -> None:
    for number in range(HISTORIES // PARTS):
        seed = SEED + part * 1000 + number
        device = Device(folder / str(number), folds, settings, seed)
        try:
            device.live()
        except Exception as error:
            error.add_note(f"seed {seed}\n" + "\n".join(device.done))
            raise
        finally:
            for name in list(device.writers):
                device.kill(name)
            device.stop()
