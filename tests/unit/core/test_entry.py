"""What is said plainly is read as click reads it, without click."""

import os
import subprocess
import sys
from collections.abc import Callable
from unittest.mock import patch

import pytest
from click.testing import CliRunner
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.unit.core.conftest import State
from vv_exporter import entry
from vv_exporter.cli import vv
from vv_exporter.reporting.reports import NotRecordedError

REPORTS = ("report_alert", "report_heartbeat", "run_job")
OPTIONS = (
    "--port",
    "--socket",
    "--details",
    "--component",
    "--context",
    "--suggest",
    "--dedupe-key",
    "--job",
    "--overlap",
    "--timeout",
)
VALUES = (
    "",
    "-",
    "--",
    "-h",
    "--help",
    "k=v",
    "=v",
    "ERROR",
    "crit",
    "50",
    "CRITCAL",
    "skip",
    "15m",
    "0",
    "-1",
    "x y",
    "ä",
    "19",
    "\u0663",
    "/",
    "exporter",
    "self-monitor",
    "docker-proxy",
)

values = st.sampled_from(VALUES) | st.text(max_size=5)
words = st.one_of(
    values,
    st.sampled_from(OPTIONS),
    st.builds("{}={}".format, st.sampled_from(OPTIONS), values),
)
calls = st.tuples(st.sampled_from(("alert", "heartbeat", "cron", "health")), st.lists(words, max_size=8)).map(
    lambda p: [p[0], *p[1]]
)


def reported(run: Callable[[], object]) -> list[tuple[object, ...]]:
    """The calls of what records, with every argument by its name."""
    made: list[tuple[object, ...]] = []

    def recorder(name: str, *names: str) -> Callable[..., int]:
        def record(*args: object, **more: object) -> int:
            given = dict(zip(names, args, strict=False)) | more
            made.append(
                (
                    name,
                    sorted((key, tuple(value) if isinstance(value, list) else value) for key, value in given.items()),
                )
            )
            return 0

        return record

    alert = recorder("alert", "level", "title", "details", "component", "context", "suggest", "dedupe_key")
    job = recorder("job", "name", "overlap", "timeout", "cmd")
    heartbeat = recorder("heartbeat", "job")
    exporter, proxy, monitor = recorder("exporter", "port"), recorder("proxy", "path"), recorder("monitor", "folder")
    with (
        patch("vv_exporter.reporting.reports.report_alert", alert),
        patch("vv_exporter.reporting.reports.report_heartbeat", heartbeat),
        patch("vv_exporter.reporting.reports.run_job", job),
        patch("vv_exporter.health.exporter", lambda port: str(exporter(port))),
        patch("vv_exporter.health.docker_proxy", lambda path: proxy(str(path))),
        patch("vv_exporter.health.self_monitor", lambda folder: monitor(str(folder))),
        patch("vv_exporter.cli.alert.report_alert", alert),
        patch("vv_exporter.cli.heartbeat.report_heartbeat", heartbeat),
        patch("vv_exporter.cli.cron.run_job", job),
    ):
        run()
    return made


@settings(deadline=None)  # what is slow here is the machine
@given(calls)
@example(["alert", "ERROR", "t", "--details=", "--context", "a=b", "--context=c=d=e", "--suggest", "x", "--suggest=-y"])
@example(["cron", "--job=j", "--timeout", "2h", "--overlap=wait", "--", "--job", "-h"])
@example(["cron", "--job", "j", "x", "--", "--help"])
@example(["health", "exporter"])
@example(["health", "--port=19", "exporter"])
@example(["health", "exporter", "--port", "0"])
@example(["health", "self-monitor"])
@example(["health", "exporter", "--port", "9" * 5000])
@example(["health", "docker-proxy", "--socket", "/nowhere/docker.sock"])
@example(["health", "docker-proxy", "--socket", "/"])
@example(["health", "docker-proxy", "--socket", "s", "--port", "19"])
def test_what_is_plain_is_what_click_reads(call: list[str]) -> None:
    report = entry.plain(call)
    if report is None:
        return
    by_click = reported(lambda: CliRunner().invoke(vv, call))

    assert reported(report) == by_click
    assert len(by_click) == 1


@pytest.mark.parametrize(
    "call",
    [
        "heartbeat nightly",
        "alert CRITICAL title --details d --component c --context video=v --suggest s --dedupe-key k",
        "alert ERROR title --details -",
        "cron --job j --overlap skip --timeout 15m -- sh -c true",
        "cron --job=j true --help",
        "health exporter",
        "health self-monitor",
        "health docker-proxy --socket /run/vv/read/docker.sock",
    ],
)
def test_what_scripts_write_is_plain(call: str) -> None:
    assert entry.plain(call.split()) is not None


@pytest.mark.parametrize(
    "call",
    [
        "",
        "status",
        "heartbeat",
        "heartbeat a b",
        "heartbeat --help",
        "alert ERROR",
        "alert CRITCAL title",
        "alert ERROR title --context novalue",
        "alert ERROR title --detail x",
        "alert ERROR title --details",
        "alert -- ERROR title",
        "cron -- true",
        "cron --job j",
        "cron --job j --timeout 0 -- true",
        "cron --job j --timeout never -- true",
        "cron --job j --overlap never -- true",
        "cron --job --help -- true",
    ],
)
def test_help_and_mistakes_are_left_to_click(call: str) -> None:
    assert entry.plain(call.split()) is None


@pytest.mark.parametrize("call", ["heartbeat j", "alert ERROR t", "cron --job j -- true"])
def test_a_plain_call_loads_neither_click_nor_the_metadata_of_packages(state: State, call: str) -> None:
    code = (
        "import atexit, sys; heavy = {'click', 'importlib.metadata', 'pathlib'}; "
        "atexit.register(lambda: print(sorted(heavy & {*sys.modules}), file=sys.stderr)); "
        f"sys.argv = ['vv', *{call.split()!r}]; from vv_exporter.entry import main; main()"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)

    assert (run.returncode, run.stderr.splitlines()[-1]) == (0, "[]")
    assert state.events()


def test_nobody_who_reads_the_answer_is_no_traceback(state: State) -> None:
    source, sink = os.pipe()
    os.close(source)
    with os.fdopen(sink, "wb") as unread:
        command = [sys.executable, "-m", "vv_exporter", "alert", "ERROR", "t"]
        run = subprocess.run(command, stdout=unread, stderr=subprocess.PIPE, text=True, timeout=60)

    assert (run.returncode, run.stderr) == (1, "")
    assert state.events("alert")


def test_a_journal_that_takes_nothing_is_told_as_click_tells_it(capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(_job: str) -> None:
        raise NotRecordedError("the heartbeat could not be recorded")

    with (
        patch.object(sys, "argv", ["vv", "heartbeat", "j"]),
        patch("vv_exporter.reporting.reports.report_heartbeat", refuse),
        patch("vv_exporter.cli.heartbeat.report_heartbeat", refuse),
    ):
        with pytest.raises(SystemExit) as ended:
            entry.main()
        by_click = CliRunner().invoke(vv, ["heartbeat", "j"])

    assert (ended.value.code, capsys.readouterr().err) == (by_click.exit_code, by_click.stderr)
