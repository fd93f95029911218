"""Stages in processes that know little of each other: children of every kind, containers, and their sudden ends."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.clock import Clock
from tests.unit.core.conftest import State
from vv_exporter.journal.folds import discover
from vv_exporter.journal.reader import Reader
from vv_exporter.metrics.pipeline import STAGE_DURATION
from vv_exporter.settings import load
from vv_exporter.state.runs import STAGE_RUNS
from vv_exporter.state.store import Store

POOL = """
import multiprocessing, sys, threading
from vv_core.stages import stage

def inner():
    with stage("inner"):
        pass

def work(number):
    with stage(f"worker"):
        threads = [threading.Thread(target=inner) for _ in range(2)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()

if __name__ == "__main__":
    with stage("outer"):
        pool = multiprocessing.get_context(sys.argv[1]).Pool(2)
        pool.map(work, range(6))
        pool.close()
        pool.join()
"""
KILLED_CHILD = """
import multiprocessing, os
from vv_core.stages import stage

def work():
    with stage("inner"):
        os.kill(os.getpid(), 9)

with stage("outer"):
    child = multiprocessing.get_context("fork").Process(target=work)
    child.start()
    child.join()
"""
WAITING = """
import os, sys
from vv_core.stages import stage
with stage(sys.argv[1], video="a.mp4"):
    print(os.getpid(), flush=True)
    sys.stdin.read()
"""


class Exporter:
    """The exporter's reader, at work in this process."""

    def __init__(self, state: State) -> None:
        self._clock = Clock()
        self.store = Store(state.folder / "state.db", self._clock)
        settings = load({"VV_STATE_DIR": str(state.folder)})
        self._reader = Reader(state.journal, self.store, discover(), settings, self._clock, self._clock)

    def read(self) -> dict[tuple[str, ...], int]:
        """Read all there is; how many runs of each stage ended how."""
        self._clock.advance(1)
        while self._reader.round():
            pass
        return {labels: sum(one.counts) for labels, one in self.store.series(STAGE_DURATION) if sum(one.counts)}

    def open(self) -> list[str]:
        return sorted(run.name for run in self.store.docs(STAGE_RUNS).values())


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_children_of_multiprocessing_report_their_own_stages(state: State, tmp_path: Path, method: str) -> None:
    script = tmp_path / "pool.py"
    script.write_text(POOL)
    env = {**os.environ, "VV_STATE_DIR": str(state.folder)}
    subprocess.run([sys.executable, script, method], env=env, check=True, timeout=60)

    runs = {event["run"]: event for event in state.events("stage.started")}
    named = {run: event["stage"] for run, event in runs.items()}
    (outer,) = (run for run, name in named.items() if name == "outer")
    parents: dict[str, set[str | None]] = {}
    for run, event in runs.items():
        parents.setdefault(named[run], set()).add(event.get("parent"))
    assert sorted(named.values()) == ["inner"] * 12 + ["outer"] + ["worker"] * 6
    # Only a fork knows what it was forked in; threads begin without a parent.
    assert parents == {"outer": {None}, "inner": {None}, "worker": {outer if method == "fork" else None}}
    assert sorted(event["run"] for event in state.events("stage.finished")) == sorted(runs)


def test_a_child_that_is_killed_leaves_its_own_stage_only(state: State) -> None:
    state.run(KILLED_CHILD)

    assert Exporter(state).read() == {("inner", "crashed"): 1, ("outer", "success"): 1}


def in_a_pid_namespace(*command: str) -> list[str]:
    """The command as a container's first process, with the process id 1."""
    unprivileged = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *unprivileged, "--pid", "--fork", "--kill-child", *command]


def test_a_crash_in_one_container_is_seen_from_another_and_harms_no_third(state: State) -> None:
    env = {**os.environ, "VV_STATE_DIR": str(state.folder)}

    def container(stage: str) -> "subprocess.Popen[str]":
        command = in_a_pid_namespace(sys.executable, "-c", WAITING, stage)
        return subprocess.Popen(command, env=env, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    with container("scan") as first, container("summarize") as second:
        assert first.stdout
        assert second.stdout
        assert (first.stdout.readline(), second.stdout.readline()) == ("1\n", "1\n")
        exporter = Exporter(state)
        before = exporter.read()
        running = exporter.open()
        os.kill(int(Path(f"/proc/{first.pid}/task/{first.pid}/children").read_text()), signal.SIGKILL)
        first.wait(30)
        after = exporter.read()
        left = exporter.open()
        second.communicate()

    assert (before, running) == ({}, ["scan", "summarize"])
    assert (after, left) == ({("scan", "crashed"): 1}, ["summarize"])
    assert exporter.read() == {("scan", "crashed"): 1, ("summarize", "success"): 1}


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_a_script_that_is_ended_by_a_signal_has_crashed(state: State, end: signal.Signals) -> None:
    with state.python(WAITING, "scan", stdin=subprocess.PIPE, stdout=subprocess.PIPE) as script:
        assert script.stdout
        script.stdout.readline()
        script.send_signal(end)
        script.wait(30)

    assert Exporter(state).read() == {("scan", "crashed"): 1}


def test_a_script_that_the_kernel_kills_has_crashed(state: State) -> None:
    code = """
from vv_core.stages import stage
import resource, os
with stage("scan"):
    resource.setrlimit(resource.RLIMIT_CPU, (1, 1))  # the kernel ends it with SIGKILL, as it does for memory
    while True: pass
"""
    with state.python(code) as script:
        assert script.wait(60) == -signal.SIGKILL

    assert Exporter(state).read() == {("scan", "crashed"): 1}


@pytest.mark.parametrize("nested", [1, 3])
def test_every_stage_that_was_open_has_crashed(state: State, nested: int) -> None:
    code = """
import contextlib, os, sys
from vv_core.stages import stage
with contextlib.ExitStack() as stack:
    for depth in range(int(sys.argv[1])): stack.enter_context(stage(f"s{depth}"))
    os._exit(0)
"""
    state.run(code, str(nested))

    assert Exporter(state).read() == {(f"s{depth}", "crashed"): 1 for depth in range(nested)}


def test_threads_that_report_at_once_do_not_mix_up_their_runs(state: State) -> None:
    code = """
import threading
from vv_core.stages import stage
def work(name):
    for number in range(100):
        with stage(name) as run:
            with stage(f"{name}.inner"):
                run.note(video=name)
threads = [threading.Thread(target=work, args=(f"t{number}",)) for number in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""
    state.run(code)

    started = {event["run"]: event for event in state.events("stage.started")}
    for event in state.events("stage.started"):
        if event["stage"].endswith(".inner"):
            assert started[event["parent"]]["stage"] + ".inner" == event["stage"]
        else:
            assert "parent" not in event
    for event in state.events("stage.noted"):
        assert started[event["run"]]["stage"] == event["video"]
    assert Exporter(state).read() == {
        (name, "success"): 100 for number in range(4) for name in (f"t{number}", f"t{number}.inner")
    }
