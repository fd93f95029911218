"""A thread that cannot be started costs a moment, or what it was for, and nothing else."""

from __future__ import annotations

import ast
import logging
import os
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from prometheus_client.core import Metric as Family

import vv_core
import vv_exporter
from tests.support.clock import Clock
from tests.support.scarcity import NoThreads
from tests.support.waiting import wait_until
from vv_core import ingest
from vv_exporter.metrics import gauges
from vv_exporter.metrics.exporter import COLLECTOR_SUCCESS
from vv_exporter.probes.dvr_probes import DvrProbe
from vv_exporter.reporting import cron
from vv_exporter.runtime import threads
from vv_exporter.runtime.loop import Loop
from vv_exporter.settings import Dvr, Secret
from vv_exporter.state.dvrs import LINKS
from vv_exporter.state.store import Store
from vv_exporter.web.firing import Firing
from vv_exporter.web.guard import Guarded, gather


def test_a_thread_for_life_is_tried_again(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    NoThreads(monkeypatch, "rounds", times=3)
    done = threading.Event()
    loop = Loop("rounds", "the rounds", done.set, interval=0.01)

    loop.start()

    assert done.wait(10)
    loop.stop()
    assert caplog.text.count("cannot be started") == 1


def test_where_there_is_none_for_long_it_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    NoThreads(monkeypatch, "never")

    with pytest.raises(RuntimeError, match="can't start new thread"):
        threads.start(threading.Thread(name="never"), patience=0.2)


def test_a_thread_that_was_started_is_not_started_again() -> None:
    thread = threading.Thread()
    threads.start(thread)
    thread.join()

    began = time.monotonic()
    with pytest.raises(RuntimeError, match="only be started once"):
        threads.start(thread, patience=60)
    assert time.monotonic() - began < 30


class One:
    name = "one"

    def collect(self) -> Iterable[Family]:
        yield gauges(COLLECTOR_SUCCESS, [])


def test_a_collector_without_a_thread_fails_once_and_then_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    NoThreads(monkeypatch, "collector-", times=1)
    guarded = Guarded(One())

    gather([guarded])
    assert guarded.error == "has no thread to run in: can't start new thread"
    gather([guarded])
    assert guarded.error is None or "has yielded already" in guarded.error


def test_alertmanager_is_asked_again_when_there_are_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    NoThreads(monkeypatch, "alerts-asked", times=1)
    firing = Firing(lambda: [{"labels": {}}], time.time, time.monotonic)

    assert firing.get(5).alerts is None
    assert firing.get(5).alerts == [{"labels": {}}]


def test_a_dvr_that_could_not_be_asked_is_not_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    lack = NoThreads(monkeypatch, "dvr-dns")
    store = Store(tmp_path / "state.db", Clock(1e9))
    dvr = Dvr("no.such.name.invalid", 554, "/", "", Secret(""), interval=0.05, timeout=0.2)
    probe = DvrProbe("gate", dvr, store, Clock(1e9), jitter=lambda least, most: least / 10)

    probe.start()
    wait_until(lambda: lack.refused > 2)
    assert store.docs(LINKS) == {}
    assert "could not be asked" in caplog.text
    lack.end()
    wait_until(lambda: bool(store.docs(LINKS)))
    probe.stop()


def test_whether_video_may_be_stored_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    NoThreads(monkeypatch, "ingest", times=1)
    flag = tmp_path / ingest.FLAG
    flag.write_text(f'{{"path": "{tmp_path}", "resume_bytes": {1 << 60}}}')
    old = time.time() - 2 * ingest.STALE
    os.utime(flag, (old, old))

    assert ingest._flag_allows(str(flag)) is True  # nobody could be asked
    assert ingest._flag_allows(str(flag)) is False  # there is no room


def test_a_job_runs_without_the_thread_of_its_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    start = threading.Thread.start

    def refusing(thread: threading.Thread) -> None:
        if getattr(thread, "_target", None).__qualname__.startswith("Deadline"):  # type: ignore[attr-defined]
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refusing)
    with cron.Signals() as signals:
        assert cron.execute(("true",), signals, timeout=60).code == 0


def test_a_job_whose_output_nobody_could_read_is_not_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    NoThreads(monkeypatch, "Thread-")
    with cron.Signals() as signals:
        ended = cron.execute(("touch", str(tmp_path / "ran")), signals)

    assert (ended.code, ended.problem) == (cron.CANNOT_START, "cannot start 'touch': can't start new thread")
    assert not (tmp_path / "ran").exists()


def test_no_thread_is_started_without_a_thought_of_there_being_none() -> None:
    unguarded = []
    for package in (vv_core, vv_exporter):
        for path in Path(package.__path__[0]).rglob("*.py"):
            unguarded += [f"{path.name}:{line}" for line in _unguarded(ast.parse(path.read_text()))]

    assert unguarded == []


def test_a_thread_is_a_loop_or_says_why_it_is_none() -> None:
    unexplained = []
    for path in Path(vv_exporter.__path__[0]).rglob("*.py"):
        lines = path.read_text().splitlines()
        made = [node.lineno for node in ast.walk(ast.parse("\n".join(lines))) if _makes_a_thread(node)]
        unexplained += [f"{path.name}:{line}" for line in made if "# No loop: " not in lines[line - 2]]

    (loop,) = unexplained
    assert loop.startswith("loop.py:")


def _makes_a_thread(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func).endswith("Thread")


def _unguarded(tree: ast.AST) -> Iterator[int]:
    """Lines that start a thread where a `RuntimeError` is not expected."""
    stack: list[tuple[ast.AST, bool]] = [(tree, False)]
    while stack:
        node, guarded = stack.pop()
        if isinstance(node, ast.Try):
            caught = any("RuntimeError" in ast.dump(one.type) for one in node.handlers if one.type)
            stack += [(child, guarded or caught) for child in node.body]
            rest = [*node.handlers, *node.orelse, *node.finalbody]
            stack += [(child, guarded) for child in rest]
            continue
        if isinstance(node, ast.With):
            guarded = guarded or any("RuntimeError" in ast.dump(item) for item in node.items)
        if isinstance(node, ast.Call) and _starts_a_thread(node) and not guarded:
            yield node.lineno
        stack += [(child, guarded) for child in ast.iter_child_nodes(node)]


def _starts_a_thread(call: ast.Call) -> bool:
    if not isinstance(call.func, ast.Attribute) or call.func.attr != "start" or call.args:
        return False
    started = ast.unparse(call.func.value)
    return "hread" in started or started in ("worker", "reader")
