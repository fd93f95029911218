"""Who vanishes without a word is missed: real scripts that are killed, an exporter that is killed again and again."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.exporter import QUIET, Exporter

AGENT = """
import sys, time
from vv_core.dvr import DvrLink
from vv_core.guard import guard
with guard("agent_dvr.py", then="exit"):
    link = DvrLink("front", component="agent_dvr.py")
    for attempt in link.attempts():
        with attempt:
            while not link.stopped:
                link.frame()
                print("streaming", flush=True)
                time.sleep(0.05)
"""
SCRIPT = """
import sys
from vv_core.guard import guard
with guard("orchestrator.py"):
    print("begun", flush=True)
    sys.stdin.read()
"""
UP = 'vv_dvr_agent_up{dvr="front"}'
CRASHES = 'vv_script_crashes_total{component="orchestrator.py"}'
KILLED, STOPPED = (f'vv_exporter_starts_total{{previous="{how}"}}' for how in ("killed", "stopped"))

Start = Callable[[str], "subprocess.Popen[str]"]


@pytest.fixture
def exporter(tmp_path: Path) -> Iterator[Exporter]:
    with Exporter(tmp_path / "state", **QUIET) as exporter:
        yield exporter


@pytest.fixture
def start(exporter: Exporter) -> Iterator[Start]:
    """Starts a script, and waits until it is at work."""
    started: list[subprocess.Popen[str]] = []

    def start(code: str) -> "subprocess.Popen[str]":
        pipe = subprocess.PIPE
        script = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=pipe,
            stdout=pipe,
            text=True,
            env=exporter.environ,
            start_new_session=True,
        )
        started.append(script)
        assert script.stdout is not None
        assert script.stdout.readline()
        return script

    yield start
    for script in started:
        script.kill()
        script.communicate()


def timeline(exporter: Exporter) -> str:
    environ = {**exporter.environ, **QUIET}
    command = [sys.executable, "-m", "vv_exporter", "timeline", "--since", "1h"]
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=True).stdout


def test_an_agent_that_is_killed_is_missed_until_it_is_back(exporter: Exporter, start: Start) -> None:
    agent = start(AGENT)
    exporter.wait_for(UP, 1)

    agent.kill()
    exporter.wait_for(UP, 0)
    assert "The agent of DVR front was killed" in timeline(exporter)
    assert 'vv_script_crashes_total{component="agent_dvr.py"}' not in {
        name for name, value in exporter.metrics().items() if value
    }

    start(AGENT)
    exporter.wait_for(UP, 1)


def test_one_that_is_killed_while_the_exporter_is_away_is_missed_as_well(exporter: Exporter, start: Start) -> None:
    agent = start(AGENT)
    exporter.wait_for(UP, 1)
    exporter.kill()
    agent.kill()
    agent.wait()

    exporter.start()
    exporter.wait_for(UP, 0)


def test_one_that_is_interrupted_has_ended(exporter: Exporter, start: Start) -> None:
    agent = start(AGENT)
    exporter.wait_for(UP, 1)

    agent.send_signal(signal.SIGINT)
    agent.wait()
    exporter.wait_for('vv_events_total{type="dvr.ended"}', 1)
    assert UP not in exporter.metrics()


def test_a_script_with_a_guard_alone_that_is_killed_has_crashed(exporter: Exporter, start: Start) -> None:
    start(SCRIPT).communicate()
    exporter.wait_for('vv_events_total{type="script.ended"}', 1)
    assert exporter.metrics()[CRASHES] == 0

    start(SCRIPT).kill()
    exporter.wait_for(CRASHES, 1)
    assert "orchestrator.py crashed" in timeline(exporter)


def test_an_exporter_counts_how_the_one_before_it_ended(exporter: Exporter) -> None:
    def starts() -> tuple[float, float]:
        found = exporter.metrics()
        return found[STOPPED], found[KILLED]

    assert starts() == (1, 0)

    exporter.stop()
    exporter.start()
    assert starts() == (2, 0)

    for kills in (1, 2, 3):
        exporter.kill()
        exporter.start()
        assert starts() == (2, kills)

    exporter.stop()
    exporter.start()
    assert starts() == (3, 3)
    assert "The exporter started; the one before it was killed" in timeline(exporter)
