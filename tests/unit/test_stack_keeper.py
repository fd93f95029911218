"""What `vv up` becomes once all runs: the same process with the same children, which keeps them running."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.waiting import wait_until
from vv_exporter.stack.keeper import Last, Reports, keep_running
from vv_exporter.stack.processes import Child
from vv_exporter.stack.supervision import NEW, STEADY_SECONDS, End, Supervised

PROGRAM = """
import json, os, signal, sys, time
from pathlib import Path
from vv_exporter.stack.keeper import Last, hand_over
from vv_exporter.stack.processes import Child
from vv_exporter.stack.stopsignals import StopSignals
from vv_exporter.stack.supervision import Supervised

folder, before = Path(sys.argv[1]), sys.argv[2]
with StopSignals():
    running, ends = [], []
    for name in ("one", "other"):
        child = Child(name, ["sh", "-c", f"echo {name} began; exec sleep 600"], folder / f"{name}.log")
        running.append(Supervised(child, time.monotonic, ends.append))
        running[-1].start()
    missing = Supervised(Child("missing", [folder / "program"], folder / "missing.log"), time.monotonic, ends.append)
    missing.start()
    demo = Child("demo", ["sh", "-c", "exit 3"], None)
    demo.start()
    print(json.dumps([one.child.pid for one in running]), flush=True)
    exec(before)
    hand_over([*running, missing], demo, folder, os.environ, Last("Stopping", "Stopped", str(folder / "scratch")))
raise SystemExit("not handed over")
"""


class Kept:
    """A process that became the keeper of two programs, of one that cannot be run, and of a demo that has ended."""

    def __init__(self, folder: Path, before: str) -> None:
        (folder / "scratch").mkdir()
        self.folder = folder
        self.output = folder / "output"
        environ = {name: text for name, text in os.environ.items() if not name.startswith("VV_")}
        self.environ = environ | {"VV_STATE_DIR": str(folder / "state"), "VV_CONFIG": str(folder / "vv.yml")}
        (folder / "vv.yml").write_text("settings: {WEBHOOK_URL: 'http://hooks.test/secret-path'}\n")
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, str(folder), before],
                env=self.environ,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pids(self) -> list[int]:
        wait_until(lambda: self.output.read_text().count("\n") >= 1, 60, what="the programs")
        return list(json.loads(self.output.read_text().splitlines()[0]))

    def end(self) -> int:
        return self.process.wait(60)

    def said(self, words: str) -> None:
        wait_until(lambda: words in self.output.read_text(), 60, what=words)

    def command_line(self) -> str:
        return " ".join(psutil.Process(self.process.pid).cmdline())

    def children(self) -> dict[str, psutil.Process]:
        return {child.cmdline()[-1]: child for child in psutil.Process(self.process.pid).children()}


@pytest.fixture
def become(tmp_path: Path) -> Iterator[Callable[[str], Kept]]:
    """Makes one, and ends it behind the test."""
    made: list[Kept] = []

    def make(before: str) -> Kept:
        made.append(Kept(tmp_path, before))
        return made[-1]

    yield make
    for one in made:
        one.process.terminate()
        one.end()


@pytest.fixture
def kept(become: Callable[[str], Kept]) -> Kept:
    made = become("pass")
    wait_until(lambda: "vv_exporter.stack.keeper" in made.command_line(), 60, what="the keeper")
    return made


def test_an_end_is_reported_and_the_program_started_again_while_the_other_runs_on(kept: Kept) -> None:
    os.kill(kept.pids[0], signal.SIGKILL)
    kept.said("One was ended by SIGKILL; it is started again. It said last")
    wait_until(lambda: (kept.folder / "one.log").read_text().count("one began") == 2, 60, what="the second start")

    assert psutil.pid_exists(kept.pids[1])
    journal = "".join(path.read_text() for path in (kept.folder / "state").rglob("*.jsonl"))
    assert "One ended and is started again" in journal


def test_what_could_not_be_run_is_started_once_it_can_be(kept: Kept) -> None:
    (kept.folder / "program").write_text("#!/bin/sh\nexec sleep 601\n")
    (kept.folder / "program").chmod(0o755)

    wait_until(lambda: "601" in kept.children(), 60, what="the program")


def test_what_it_starts_keeps_no_signal_back(kept: Kept) -> None:
    os.kill(kept.pids[0], signal.SIGKILL)
    wait_until(lambda: (kept.folder / "one.log").read_text().count("one began") == 2, 60, what="the second start")

    for child in kept.children().values():
        status = Path(f"/proc/{child.pid}/status").read_text()
        assert "SigBlk:\t0000000000000000" in status


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_who_asks_for_the_end_ends_all(kept: Kept, number: signal.Signals) -> None:
    kept.said("demo ended with exit code 3.")
    kept.process.send_signal(number)

    assert kept.end() == 0
    assert kept.output.read_text().endswith("\nStopping\nStopped\n")
    assert not any(map(psutil.pid_exists, kept.pids))
    assert not (kept.folder / "scratch").exists()


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_who_asks_while_it_becomes_the_keeper_is_heard(become: Callable[[str], Kept], number: str) -> None:
    kept = become(f"os.kill(os.getpid(), signal.{number})")

    assert kept.end() == 0
    assert kept.output.read_text().endswith("\nStopping\nStopped\n")
    assert not any(map(psutil.pid_exists, kept.pids))


def test_a_vv_yml_that_was_broken_since_costs_the_output_alone(kept: Kept) -> None:
    (kept.folder / "vv.yml").write_text("settings: [")
    with (kept.folder / "one.log").open("a") as log:
        log.write("Post http://hooks.test/secret-path: refused\n")
    os.kill(kept.pids[0], signal.SIGKILL)

    kept.said(f"One was ended by SIGKILL; it is started again. What it said last: {kept.folder / 'one.log'}")
    wait_until(lambda: (kept.folder / "one.log").read_text().count("one began") == 2, 60, what="the second start")
    journal = "".join(path.read_text() for path in (kept.folder / "state").rglob("*.jsonl"))
    assert "One ended and is started again" in journal
    assert "secret-path" not in kept.output.read_text() + journal


def test_where_the_system_refuses_it_stays_what_it_is(become: Callable[[str], Kept]) -> None:
    kept = become("sys.executable = '/nonexistent'")

    assert kept.end() == 1
    assert kept.output.read_text().endswith("not handed over\n")


def test_it_loads_none_of_what_weighs() -> None:
    code = "import sys, vv_exporter.stack.keeper; print(*sys.modules)"
    loaded = set(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    )

    assert loaded.isdisjoint({"typing", "pathlib", "json", "dataclasses", "inspect", "logging", "yaml", "click"})
    assert {name for name in loaded if name.startswith("vv_core")} == set()


def test_a_program_waits_until_its_end_is_reported(tmp_path: Path) -> None:
    """The report may change its configuration."""
    runs, looks = tmp_path / "runs", 0
    child = Child("one", ["sh", "-c", f"echo run >> {runs}"], None)
    program = Supervised(child, lambda: 10.0 * looks, [].append)

    def started_again(_: float) -> bool:
        nonlocal looks
        looks += 1
        return looks > 21 and wait_until(lambda: runs.read_text().count("run") > 1, 60, what="the second run")

    def pending(_: str) -> bool:
        assert looks > 20 or runs.read_text().count("run") == 1
        return 1 < looks <= 20

    program.start()
    wait_until(runs.exists, what="the first run")
    wait_until(lambda: program.child.exit_code() is not None, what="its end")
    keep_running([program], None, started_again, pending)

    assert runs.read_text().count("run") == 2


def test_trouble_with_one_program_is_said_and_costs_the_others_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As where an upgrade takes away the modules that a report needs."""
    runs, looks = tmp_path / "runs", 0

    def refuse(end: End) -> None:
        raise ModuleNotFoundError("vv_core")

    def started_again(_: float) -> bool:
        nonlocal looks
        looks += 1
        return runs.exists() and runs.read_text().count("run") > 1

    odd = Supervised(Child("odd", ["true"], None), lambda: 10.0 * looks, refuse)
    other = Supervised(Child("other", ["sh", "-c", f"echo run >> {runs}"], None), lambda: 10.0 * looks, [].append)
    odd.start()
    other.start()
    wait_until(lambda: odd.child.exit_code() is not None and other.child.exit_code() is not None, what="their ends")
    keep_running([odd, other], None, started_again, lambda _: False)

    assert "odd: ModuleNotFoundError('vv_core')" in capsys.readouterr().err


def test_a_report_that_cannot_be_begun_is_a_line_and_holds_nothing_up(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "executable", "/nonexistent")
    reports = Reports("/stack", {})

    reports.begin(End("one", "was ended by SIGKILL", 1, 1), "/stack/one.log")

    assert capsys.readouterr().out == (
        "One was ended by SIGKILL; it is started again. What it said last: /stack/one.log\n"
    )
    assert not reports.pending("one")


def test_history_goes_on_where_it_was() -> None:
    """A fourth end in a row is the fourth, whoever counted the three before."""
    now = 1000.0
    ends: list[End] = []
    program = Supervised(Child("one", ["/nonexistent"], None), lambda: now, ends.append)
    for _ in range(3):
        program.start()
    again = Supervised(Child("one", ["/nonexistent"], None), lambda: now, ends.append, program.history)

    again.start()

    assert (ends[-1].in_a_row, ends[-1].lately) == (4, 4)
    assert not again.running
    running = Supervised(Child("one", ["true"], None), lambda: now, ends.append, (now - STEADY_SECONDS, 0, ()))
    assert running.running
    assert running.steady
    assert Supervised(Child("one", ["true"], None), lambda: now, ends.append).history == NEW


def test_the_words_of_the_end_are_handed_over() -> None:
    assert Last(**Last("a", "b", None).__dict__).__dict__ == {"stopping": "a", "stopped": "b", "scratch": None}
