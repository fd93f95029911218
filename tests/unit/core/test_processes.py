"""Many processes, and their sudden ends."""

import fcntl
import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable

import pytest

from tests.support.waiting import wait_until
from tests.unit.core.conftest import State
from vv_core.common import journals
from vv_core.jobs import heartbeat
from vv_core.stages import stage

THREADS = """
import threading
from vv_core.jobs import heartbeat
def work():
    for _ in range(500): heartbeat("a")
threads = [threading.Thread(target=work) for _ in range(4)]
for t in threads: t.start()
for t in threads: t.join()
"""
ENDLESS = """
import os
from vv_core.common import journals
number = 0
while True:
    journals.emit("heartbeat", "x.py", {"job": str(number)})
    number += 1
    os.write(1, b"%d\\n" % number)
"""


def test_many_processes_and_threads_lose_and_tear_nothing(state: State) -> None:
    processes = [state.python(THREADS) for _ in range(8)]

    assert [process.wait(60) for process in processes] == [0] * 8
    assert len(state.files()) == 8
    assert len(state.events("heartbeat")) == 16_000


def test_what_was_recorded_before_a_kill_is_there_and_whole(state: State) -> None:
    acknowledged = 0
    with state.python(ENDLESS, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for line in process.stdout:
            acknowledged = int(line)
            if acknowledged == 1000:
                process.kill()

    *lines, rest = state.files()[0].read_bytes().split(b"\n")
    events = [json.loads(line) for line in lines]
    jobs = [event["job"] for event in events if event["type"] == "heartbeat"]
    assert acknowledged <= len(jobs) <= acknowledged + 1
    assert [str(number) for number in range(len(jobs))] == jobs
    # The kernel looks for a SIGKILL before each page of a write: of the line that was just written a beginning may be
    # there, which nobody was told of.
    assert rest == b"" or len(jobs) == acknowledged


def test_the_kernel_drops_the_lock_of_a_killed_process(state: State) -> None:
    with state.python(ENDLESS, stdout=subprocess.DEVNULL) as process:
        file = wait_until(state.files)[0]
        with file.open() as reader:
            wait_until(lambda: not _free(reader.fileno()), what="the writer's lock")
            process.kill()
            process.wait(30)

            assert _free(reader.fileno())


def test_a_child_writes_a_file_of_its_own(state: State) -> None:
    heartbeat("parent")
    _in_child(lambda: heartbeat("child"))
    heartbeat("parent again")

    assert len(state.files()) == 2
    assert [
        [event["job"] for event in State(state.folder).events("heartbeat") if event["job"].startswith(who)]
        for who in ("parent", "child")
    ] == [["parent", "parent again"], ["child"]]


def test_a_child_does_not_keep_its_parents_lock(state: State) -> None:
    code = """
import os, sys, time
from vv_core.jobs import heartbeat
heartbeat("a")
if os.fork() == 0:
    print("child lives", flush=True)
    sys.stdin.readline()
    os._exit(0)
os._exit(0)
"""
    with state.python(code, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        parent.wait(30)
        with state.files()[0].open() as reader:
            assert _free(reader.fileno())
        assert parent.stdin is not None
        parent.stdin.write("\n")


@pytest.mark.exhaustive
def test_a_fork_while_other_threads_report_loses_nothing_and_leaves_no_lock(state: State) -> None:
    stop = threading.Event()
    counts = [0, 0]

    def work(number: int) -> None:
        while not stop.is_set():
            heartbeat("thread")
            counts[number] += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(20):
        _in_child(lambda: heartbeat("child"))
    stop.set()
    for thread in threads:
        thread.join()

    assert sum(counts) == len([e for e in state.events("heartbeat") if e["job"] == "thread"])
    assert len([e for e in state.events("heartbeat") if e["job"] == "child"]) == 20


def test_a_fork_inside_a_stage_is_reported_by_the_parent_only(state: State) -> None:
    def child() -> None:
        with stage("inner"):
            pass

    with stage("outer") as run:
        _in_child(child)
        _in_child(lambda: run_stage_end_in_child(run))

    finished = state.events("stage.finished")
    assert sorted(event["stage"] for event in finished) == ["inner", "outer"]
    inner = next(event for event in state.events("stage.started") if event["stage"] == "inner")
    assert run.id == inner["parent"]


def run_stage_end_in_child(run: object) -> None:
    """Leave the inherited run as the child's `with` would."""
    span = stage("outer")
    span._runs.append(run)  # type: ignore[arg-type]
    span.__exit__(None, None, None)


def test_multiprocessing_children_report(state: State) -> None:
    code = """
import multiprocessing
from vv_core.jobs import heartbeat
if __name__ == "__main__":
    heartbeat("parent")
    with multiprocessing.get_context("fork").Pool(3) as pool:
        pool.map(heartbeat, ["child"] * 30)
        pool.close(); pool.join()
"""
    state.run(code)

    assert len(state.events("heartbeat")) == 31


def test_losses_are_told_at_the_end_of_the_process(state: State) -> None:
    code = "from vv_core.common import journals\njournals.emit('x', 'c', {'bad': float('nan')})"

    state.run(code, stderr=subprocess.DEVNULL)

    assert [event["count"] for event in state.events("dropped")] == [1]


def test_a_report_during_a_signal_that_ends_the_process_is_written(state: State) -> None:
    code = """
import signal, sys, time
from vv_core.alerter import send_alert
def end(*_):
    send_alert("ERROR", "ended", "", "x.py"); sys.exit(0)
signal.signal(signal.SIGTERM, end)
print("ready", flush=True)
while True:  # not pause(): the signal may come just before it
    time.sleep(0.05)
"""
    with state.python(code, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)

    assert [event["title"] for event in state.events("alert")] == ["ended"]


def test_the_journal_of_the_parent_goes_on_after_many_forks(state: State) -> None:
    for _ in range(5):
        _in_child(lambda: None)
    heartbeat("a")

    assert journals.complete()
    assert len(state.files()) == 1


def _in_child(action: Callable[[], None]) -> None:
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            action()
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0


def _free(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    fcntl.flock(fd, fcntl.LOCK_UN)
    return True
