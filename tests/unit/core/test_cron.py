"""`vv cron` when things go wrong: overlaps, time that is over, signals, floods of output, sudden ends."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.waiting import wait_until
from tests.unit.core.conftest import State
from tests.unit.core.test_commands import VV, sh, vv
from tests.unit.core.test_stages_apart import Exporter
from vv_exporter.metrics.jobs import JOB_RUNS
from vv_exporter.reporting import cron


def begin(*args: str, **options: object) -> "subprocess.Popen[str]":
    return subprocess.Popen([VV, "cron", "--job", "j", *args], text=True, **options)  # type: ignore[call-overload, no-any-return]


def results(state: State) -> list[str]:
    return [event["result"] for event in state.events("job.finished")]


def alive(pid: int) -> bool:
    """Whether the process runs; one that ended and is not fetched does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


class Held:
    """A run that lasts until it is let go."""

    def __init__(self, state: State, *args: str) -> None:
        self.process = begin(*args, "--", "cat", stdin=subprocess.PIPE)
        before = len(state.events("job.started"))
        wait_until(lambda: len(state.events("job.started")) > before or self.process.poll() is not None)
        self.child = wait_until(
            lambda: int(Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text())
        )

    def let_go(self) -> int:
        assert self.process.stdin
        self.process.stdin.close()
        return self.process.wait(30)


class TestOverlap:
    def test_runs_are_allowed_beside_each_other(self, state: State) -> None:
        held = Held(state)

        assert vv("cron", "--job", "j", "--", "true").returncode == 0
        assert held.let_go() == 0
        assert results(state) == ["success"] * 2

    def test_a_run_is_skipped_while_another_is_in_progress(self, state: State) -> None:
        held = Held(state, "--overlap", "skip")
        second = vv("cron", "--job", "j", "--overlap", "skip", "--", "false")
        other = vv("cron", "--job", "k", "--overlap", "skip", "--", "true")
        held.let_go()
        third = vv("cron", "--job", "j", "--overlap", "skip", "--", "true")

        assert [second.returncode, other.returncode, third.returncode] == [0, 0, 0]
        assert second.stdout + second.stderr == ""
        assert [event["job"] for event in state.events("job.skipped")] == ["j"]
        assert results(state) == ["success"] * 3

    def test_one_run_waits_and_the_next_is_skipped(self, state: State) -> None:
        held = Held(state, "--overlap", "wait")
        waiting = begin("--overlap", "wait", "--", "true")
        wait_until(lambda: _waits(waiting.pid))
        third = vv("cron", "--job", "j", "--overlap", "wait", "--", "true")
        begun_before = len(state.events("job.started"))
        held.let_go()

        assert waiting.wait(30) == third.returncode == 0
        assert begun_before == 1
        assert len(state.events("job.skipped")) == 1
        assert results(state) == ["success"] * 2

    def test_a_command_whose_wrapper_was_killed_still_counts_as_running(self, state: State) -> None:
        held = Held(state, "--overlap", "skip")
        held.process.kill()
        held.process.wait(30)
        second = vv("cron", "--job", "j", "--overlap", "skip", "--", "true")
        assert held.process.stdin
        held.process.stdin.close()
        wait_until(lambda: not alive(held.child))
        third = vv("cron", "--job", "j", "--overlap", "skip", "--", "true")

        assert [second.returncode, third.returncode] == [0, 0]
        assert len(state.events("job.skipped")) == 1
        assert results(state) == ["success"]

    def test_what_a_run_left_in_the_background_does_not_count(self, state: State) -> None:
        first = vv("cron", "--job", "j", "--overlap", "skip", "--", *sh("sleep 300 & echo $! >&2; exit 1"))
        vv("cron", "--job", "j", "--overlap", "skip", "--", "true")
        os.kill(int(first.stdout), signal.SIGKILL)

        assert results(state) == ["failure", "success"]

    @pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, lambda path: path.symlink_to("/nowhere")])
    def test_what_lies_in_the_locks_place_holds_up_no_job(self, state: State, make: Any) -> None:
        (state.folder / "jobs").mkdir(parents=True)
        make(state.folder / "jobs" / "j.lock")

        result = vv("cron", "--job", "j", "--overlap", "wait", "--", "true")

        assert result.returncode == 0

    def test_where_there_can_be_no_lock_the_job_runs_and_that_is_told(self, state: State) -> None:
        state.folder.mkdir()
        (state.folder / "jobs").write_text("a file where the folder should be")

        result = vv("cron", "--job", "j", "--overlap", "skip", "--", "true")

        assert result.returncode == 0
        assert "runs of job 'j' may overlap" in result.stderr
        assert results(state) == ["success"]

    @pytest.mark.parametrize("name", ["../../etc/x", "a/b", ".", "ü" * 100, "x" * 1000, "\n", "%2f"])
    def test_any_name_has_a_lock_of_its_own(self, tmp_path: Path, name: str) -> None:
        with cron.turn(str(tmp_path / "jobs"), name, wait=False):
            with pytest.raises(cron.BusyError), cron.turn(str(tmp_path / "jobs"), name, wait=False):
                pass
            with cron.turn(str(tmp_path / "jobs"), name + "x", wait=False):
                pass

        assert [path.name for path in tmp_path.iterdir()] == ["jobs"]


def _waits(pid: int) -> bool:
    """Whether the process waits for a file's lock: /proc/locks marks those who do with an arrow."""
    return any("->" in line and f" {pid} " in line for line in Path("/proc/locks").read_text().splitlines())


class TestTimeout:
    def test_a_command_that_takes_too_long_is_ended(self, state: State) -> None:
        result = vv("cron", "--job", "j", "--timeout", "200ms", "--", *sh("echo working; exec sleep 300"))

        finished = state.events("job.finished")[0]
        assert (result.returncode, result.stdout) == (124, "working\n")
        assert (finished["exit_code"], finished["result"], finished["error"]) == (
            124,
            "failure",
            "timed out after 0.2 s",
        )

    def test_a_success_after_the_time_is_none(self, state: State) -> None:
        script = "trap 'exit 0' TERM; sleep 300 & wait"
        assert vv("cron", "--job", "j", "--timeout", "200ms", "--", *sh(script)).returncode == 124

    def test_one_that_does_not_listen_is_killed_with_its_children(self, tmp_path: Path) -> None:
        pids = tmp_path / "pids"
        script = f"trap '' TERM; sleep 300 & echo $$ $! > {pids}; wait; sleep 300"
        with cron.Signals() as signals:
            ended = cron.execute(tuple(sh(script)), signals, 0.3, patience=0.2)

        assert (ended.code, ended.problem) == (124, "timed out after 0.3 s, and did not end by itself")
        for pid in pids.read_text().split():
            wait_until(lambda pid=pid: not alive(int(pid)))  # type: ignore[misc]

    def test_children_that_do_not_listen_are_killed_though_their_parent_ended(self, tmp_path: Path) -> None:
        pid = tmp_path / "pid"
        script = f"(trap '' TERM; sh -c 'echo $PPID' > {pid}; while :; do sleep 1; done) & wait"

        with cron.Signals() as signals:
            ended = cron.execute(tuple(sh(script)), signals, 0.5)

        assert ended.problem == "timed out after 0.5 s"
        wait_until(lambda: not alive(int(pid.read_text())))

    def test_one_that_is_in_time_is_not_touched(self, state: State) -> None:
        assert vv("cron", "--job", "j", "--timeout", "1h", "--", "true").returncode == 0
        assert results(state) == ["success"]

    @pytest.mark.parametrize("value", ["soon", "0", "-5"])
    def test_a_time_that_makes_no_sense_is_wrong_use(self, state: State, value: str) -> None:
        result = vv("cron", "--job", "j", "--timeout", value, "--", "true")

        assert (result.returncode, state.files()) == (2, [])
        assert "--timeout" in result.stderr


class TestSignals:
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT])
    def test_a_signal_ends_the_whole_group_and_is_recorded(
        self, state: State, tmp_path: Path, number: signal.Signals
    ) -> None:
        pids = tmp_path / "pids"
        code = f"""
import os, pathlib, signal, subprocess
signal.signal(signal.SIGINT, signal.SIG_DFL)
child = subprocess.Popen(["sleep", "300"])
pathlib.Path({str(pids) + "~"!r}).write_text(f"{{os.getpid()}} {{child.pid}}")
os.rename({str(pids) + "~"!r}, {str(pids)!r})
child.wait()
"""
        wrapper = begin("--", sys.executable, "-c", code, stderr=subprocess.DEVNULL)
        wait_until(pids.exists)
        wrapper.send_signal(number)

        assert wrapper.wait(30) == 128 + number
        assert state.events("job.finished")[0]["error"] == f"killed by signal {number} ({number.name})"
        for pid in pids.read_text().split():
            wait_until(lambda pid=pid: not alive(int(pid)))  # type: ignore[misc]

    def test_a_command_may_end_well_on_a_signal(self, state: State, tmp_path: Path) -> None:
        ready = tmp_path / "ready"
        wrapper = begin("--", *sh(f"trap 'exit 0' TERM; : > {ready}; while :; do sleep 0.1; done"))
        wait_until(ready.exists)
        wrapper.send_signal(signal.SIGTERM)

        assert wrapper.wait(30) == 0
        assert results(state) == ["success"]

    def test_an_early_signal_reaches_the_command(self) -> None:
        with cron.Signals() as signals:
            os.kill(os.getpid(), signal.SIGTERM)
            ended = cron.execute(("sleep", "300"), signals)

        assert ended.code == 143
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL

    def test_what_is_ignored_stays_ignored(self, state: State) -> None:
        wrapper = subprocess.Popen(
            ["sh", "-c", f"trap '' HUP; exec {VV} cron --job j -- cat"], stdin=subprocess.PIPE, text=True
        )
        wait_until(lambda: Path(f"/proc/{wrapper.pid}/task/{wrapper.pid}/children").read_text())
        wrapper.send_signal(signal.SIGHUP)
        wrapper.communicate()

        assert wrapper.returncode == 0
        assert results(state) == ["success"]

    def test_a_wrapper_that_is_killed_has_crashed(self, state: State) -> None:
        held = Held(state)
        held.process.kill()
        held.process.wait(30)
        exporter = Exporter(state)
        exporter.read()

        assert held.process.stdin
        held.process.stdin.close()
        assert exporter.store.value(JOB_RUNS, ("j", "crashed")) == 1


class TestOutput:
    def test_floods_take_bounded_memory_and_keep_their_end(self, state: State) -> None:
        code = f"""
import resource, subprocess, sys
done = subprocess.run([{VV!r}, "cron", "--job", "j", "--", "sh", "-c",
                       "head -c 300000000 /dev/zero | tr '\\\\0' x; echo; echo the end; exit 1"], capture_output=True)
print(done.returncode, len(done.stdout), done.stdout[-8:], resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
        code_, length, *_, peak = state.run(code).split()

        assert code_ == "1"
        assert 256 << 10 <= int(length) < 300 << 10
        assert int(peak) < 100 << 10  # KiB: a third of what was printed
        recorded = state.events("job.finished")[0]["output"]
        assert recorded.endswith("x\nthe end\n")
        assert 9_000 < len(recorded.encode()) <= 10_000

    def test_many_short_lines_are_taken_in_time_that_grows_with_their_number_alone(self) -> None:
        source, sink = os.pipe()
        tail = cron.Tail(1000)
        writer = subprocess.Popen([sys.executable, "-c", "for n in range(300000): print(n)"], stdout=sink)
        os.close(sink)
        tail.read(source)
        os.close(source)
        writer.wait(30)

        assert tail.data.endswith(b"299998\n299999\n")
        assert len(tail.data) == 1000
        assert tail.cut + 1000 == sum(len(f"{n}\n") for n in range(300_000))

    def test_nothing_that_was_printed_is_lost_below_the_bound(self, state: State) -> None:
        result = vv("cron", "--job", "j", "--", *sh("seq 1 40000; exit 1"))

        assert result.stdout == "".join(f"{n}\n" for n in range(1, 40_001))

    def test_the_exit_code_passes_though_nobody_reads(self, state: State) -> None:
        run = begin("--", *sh("seq 1 40000; exit 7"), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert run.stdout
        run.stdout.close()

        assert run.wait(30) == 7

    @pytest.mark.real_kernel
    @pytest.mark.parametrize("kind", ["folder", "not executable", "no program"])
    def test_what_cannot_start_is_told_in_one_line(self, state: State, tmp_path: Path, kind: str) -> None:
        target = tmp_path / "cmd"
        if kind == "folder":
            target.mkdir()
        else:
            target.write_bytes(b"\x7fNO\0program")
            target.chmod(0o644 if kind == "not executable" else 0o755)

        result = vv("cron", "--job", "j", "--", str(target))

        finished = state.events("job.finished")[0]
        assert (result.returncode, result.stdout, finished["exit_code"]) == (126, "", 126)
        assert result.stderr.count("\n") == 1
        assert f"cannot start '{target}'" in result.stderr
