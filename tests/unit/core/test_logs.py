import logging
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.core.conftest import State
from vv_core.logs import AppLogHandler, setup_logging

WRITER = """
import sys, logging
from vv_core.logs import setup_logging
log = setup_logging(sys.argv[1])
for number in range(1000):
    log.info("%d %s", number, "x" * (number * 7 % 3000))
"""


@pytest.fixture(autouse=True)
def logging_restored() -> Iterator[None]:
    root = logging.getLogger()
    level = root.level
    yield
    for handler in [h for h in root.handlers if isinstance(h, AppLogHandler)]:
        root.removeHandler(handler)
        handler.close()
    root.setLevel(level)


def test_a_line_says_when_what_and_who(state: State) -> None:
    setup_logging("scan.py").warning("free: %d", 5)
    logging.getLogger("urllib3").error("no route")

    first, second = state.log.read_text().splitlines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z WARNING scan\.py\[\d+\] free: 5", first)
    assert second.endswith(f"ERROR scan.py[{os.getpid()}] urllib3: no route")


def test_the_time_is_utc(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    log = setup_logging("c")
    record = log.makeRecord("c", logging.INFO, "f", 1, "text", (), None)
    record.created, record.msecs = 86_400.25, 250.0

    log.handle(record)

    assert state.log.read_text().startswith("1970-01-02T00:00:00.250Z INFO ")


def test_critical_stands_out(state: State) -> None:
    setup_logging("c").critical("storage gone")

    assert " ***CRITICAL*** c[" in state.log.read_text()


def test_a_traceback_is_one_line(state: State) -> None:
    log = setup_logging("c")
    try:
        raise ValueError("bad\nvideo \x1b[2J")
    except ValueError:
        log.exception("scan\nfailed")

    text = state.log.read_text()
    assert text.count("\n") == 1
    assert "scan\\nfailed\\nTraceback" in text
    assert text.endswith("ValueError: bad\\nvideo \\x1b[2J\n")


def test_arguments_that_do_not_fit_lose_no_line(state: State) -> None:
    handler = AppLogHandler(str(state.log), "c")
    handler.handle(logging.LogRecord("c", logging.ERROR, "f", 1, "free: %d", ("none",), None))
    handler.close()

    assert "free: %d (its arguments do not fit" in state.log.read_text()


def test_the_level_holds_and_a_wrong_one_is_told(state: State) -> None:
    setup_logging("c", "ERROR").warning("not this")
    setup_logging("c", "LOUD").info("but this")

    lines = state.log.read_text().splitlines()
    assert [line.split("] ", 1)[1] for line in lines] == ["'LOUD' is not a log level; INFO is used", "but this"]


def test_setting_up_twice_writes_once(state: State) -> None:
    setup_logging("a")
    setup_logging("b").info("once")

    assert state.log.read_text().count("once") == 1


def test_many_processes_tear_nothing(state: State) -> None:
    processes = [state.python(WRITER, f"p{number}") for number in range(6)]

    assert [process.wait(60) for process in processes] == [0] * 6
    lines = state.log.read_text().splitlines()
    assert len(lines) == 6000
    for line in lines:
        match = re.fullmatch(r"\S+Z INFO p\d\[\d+\] (\d+) (x*)", line)
        assert match
        assert int(match[1]) * 7 % 3000 == len(match[2])


def test_a_moved_file_is_followed_by_a_new_one(state: State) -> None:
    log = setup_logging("c")
    log.info("before")
    moved = state.log.rename(state.log.with_suffix(".log.1"))
    log.info("after")

    assert "before" in moved.read_text()
    assert "after" not in moved.read_text()
    assert "after" in state.log.read_text()


def test_a_folder_that_cannot_be_used_is_told_once_and_lines_go_to_stderr(
    state: State, capsys: pytest.CaptureFixture[str]
) -> None:
    state.folder.write_text("a file where the folder should be")
    log = setup_logging("c")
    log.info("one")
    log.info("two")

    errors = capsys.readouterr().err.splitlines()
    assert sum("cannot be written" in line for line in errors) == 1
    assert [line.split("] ")[1] for line in errors if "] " in line] == ["one", "two"]


def test_when_the_folder_can_be_used_again_it_is(state: State, capsys: pytest.CaptureFixture[str]) -> None:
    state.folder.write_text("a file where the folder should be")
    log = setup_logging("c")
    log.info("one")
    state.folder.unlink()
    log.info("two")

    assert "two" in state.log.read_text()


def test_a_full_disk_raises_nothing(state: State, small_disk: Callable[[], dict[str, Any]], tmp_path: Path) -> None:
    code = (
        "from vv_core.logs import setup_logging\nlog = setup_logging('c')\n"
        "for _ in range(100): log.info('x' * 5000)\nprint('went on')"
    )
    env = {"VV_LOG_DIR": str(tmp_path / "disk" / "logs")}
    with state.python(code, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **small_disk()) as process:
        output, errors = process.communicate(timeout=60)

    assert (process.returncode, output) == (0, "went on\n")
    assert "app.log cannot be written" in errors


@pytest.mark.parametrize("trap", ["link", "pipe"])
def test_what_is_no_file_is_not_written_to(state: State, capsys: pytest.CaptureFixture[str], trap: str) -> None:
    state.log.parent.mkdir(parents=True)
    target = state.folder / "target"
    target.touch()
    if trap == "link":
        state.log.symlink_to(target)
    else:
        os.mkfifo(state.log)

    setup_logging("c").info("x")

    assert target.read_text() == ""
    assert "cannot be written" in capsys.readouterr().err


def test_others_of_the_group_may_write(state: State) -> None:
    setup_logging("c").info("x")

    assert state.log.stat().st_mode & 0o777 == 0o660
    assert state.log.parent.stat().st_mode & 0o7777 == 0o2770
