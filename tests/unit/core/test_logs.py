import fcntl
import logging
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.core.conftest import State
from vv_core import logs
from vv_core.common import environment
from vv_core.logs import AppLogHandler, setup_logging
from vv_exporter.settings import load

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


def test_many_processes_move_a_full_file_away_and_neither_lose_nor_tear_a_line(state: State) -> None:
    env = {"VV_LOG_MAX": "2MB"}  # 9 MB in all: within what is kept
    processes = [state.python(WRITER, f"p{number}", env=env) for number in range(6)]

    assert [process.wait(60) for process in processes] == [0] * 6
    files = sorted(state.log.parent.iterdir())
    lines = [line for file in files for line in file.read_text().splitlines()]
    found = [re.fullmatch(r"\S+Z INFO (p\d)\[\d+\] (\d+) (x*)", line) for line in lines]
    written = sorted((match[1], int(match[2])) for match in found if match)
    assert written == [(f"p{process}", number) for process in range(6) for number in range(1000)]
    assert all(match and int(match[2]) * 7 % 3000 == len(match[3]) for match in found)
    assert [file.name for file in files] == ["app.log", *(f"app.log.{number}" for number in range(1, len(files)))]
    assert 4 <= len(files) <= 6  # each process looks for itself: a file may grow somewhat beyond its bound
    assert all(file.stat().st_size < 4_000_000 for file in files)
    # Whoever finds another at it writes on: a few lines more.
    assert all(file.stat().st_size < 2_000_000 + 6 * 10 * 3100 for file in files)


def test_a_file_is_moved_before_it_would_be_too_large_and_five_are_kept(state: State) -> None:
    handler = AppLogHandler(str(state.log), "c", largest=1000)
    for number in range(40):
        handler.handle(logging.LogRecord("c", logging.INFO, "f", 1, "%d %s", (number, "x" * 400), None))
    handler.close()

    kept = {file.name: file.read_text() for file in state.log.parent.iterdir()}
    assert sorted(kept) == ["app.log", *(f"app.log.{number}" for number in range(1, 6))]
    assert all(len(text) <= 1000 for text in kept.values())
    order = [kept[f"app.log.{number}"] for number in range(5, 0, -1)] + [kept["app.log"]]
    assert [int(number) for number in re.findall(r"\] (\d+) x", "".join(order))] == list(range(28, 40))


def test_a_line_that_is_larger_than_the_file_may_be_has_one_of_its_own(state: State) -> None:
    handler = AppLogHandler(str(state.log), "c", largest=100)
    for text in ("x" * 500, "y" * 500):
        handler.handle(logging.LogRecord("c", logging.INFO, "f", 1, text, (), None))
    handler.close()

    assert "y" * 500 in state.log.read_text()
    assert "x" * 500 in state.log.with_suffix(".log.1").read_text()


def test_it_gives_way_to_a_process_that_moves_the_file_but_not_to_one_that_never_ends(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("vv_core.logs.time.sleep", pauses.append)
    handler = AppLogHandler(str(state.log), "c", largest=100)

    def write(lines: int) -> None:
        for _ in range(lines):
            handler.handle(logging.LogRecord("c", logging.INFO, "f", 1, "x" * 100, (), None))

    write(1)
    with state.log.open() as stopped:
        fcntl.flock(stopped, fcntl.LOCK_EX)
        write(200)
    assert len(state.log.read_text().splitlines()) == 201
    assert sum(pauses) == pytest.approx(0.05)
    write(1)
    with state.log.open() as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        write(1)
    handler.close()
    assert sum(pauses) == pytest.approx(0.051), "with the next file it is patient again"


def test_a_file_that_another_process_is_moving_is_written_on(state: State) -> None:
    handler = AppLogHandler(str(state.log), "c", largest=100)
    handler.handle(logging.LogRecord("c", logging.INFO, "f", 1, "x" * 100, (), None))
    with state.log.open() as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        handler.handle(logging.LogRecord("c", logging.INFO, "f", 1, "meanwhile", (), None))
        meanwhile = state.log.read_text()
    handler.handle(logging.LogRecord("c", logging.INFO, "f", 1, "afterwards", (), None))
    handler.close()

    assert "meanwhile" in meanwhile
    assert state.log.read_text().count("\n") == 1


def test_a_file_that_cannot_be_moved_grows_on_and_that_is_told_once(
    state: State, capsys: pytest.CaptureFixture[str]
) -> None:
    handler = AppLogHandler(str(state.log), "c", largest=100)
    state.log.parent.mkdir(parents=True)
    (state.log.parent / "app.log.4").touch()
    (state.log.parent / "app.log.5").mkdir()
    for number in range(3):
        handler.handle(logging.LogRecord("c", logging.INFO, "f", 1, f"{number} {'x' * 100}", (), None))
    handler.close()

    assert state.log.read_text().count("\n") == 3
    assert capsys.readouterr().err.count("cannot be moved away") == 1


@pytest.mark.parametrize(
    ("given", "expected"),
    [(None, 16_000_000), ("0", 0), ("1", 64_000), ("5MB", 5_000_000), ("big", 16_000_000)],
)
def test_the_largest_size_comes_from_the_environment(given: str | None, expected: int) -> None:
    assert environment.log_max({} if given is None else {"VV_LOG_MAX": given}) == expected


@pytest.mark.parametrize("trap", ["link", "pipe", "pipe that is read", "folder"])
def test_what_is_no_file_is_not_written_to(state: State, capsys: pytest.CaptureFixture[str], trap: str) -> None:
    state.log.parent.mkdir(parents=True)
    target = state.folder / "target"
    target.touch()
    if trap == "link":
        state.log.symlink_to(target)
    elif trap == "folder":
        state.log.mkdir()
    else:
        os.mkfifo(state.log)
    reader = os.open(state.log, os.O_RDONLY | os.O_NONBLOCK) if "read" in trap else -1

    setup_logging("c").info("x")

    assert target.read_text() == ""
    if reader >= 0:
        os.close(reader)
    assert "cannot be written" in capsys.readouterr().err


def test_others_of_the_group_may_write(state: State) -> None:
    setup_logging("c").info("x")

    assert state.log.stat().st_mode & 0o777 == 0o660
    assert state.log.parent.stat().st_mode & 0o7777 == 0o2770


def test_by_default_it_is_bounded_for_scripts_and_exporter_alike(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VV_LOG_MAX", raising=False)
    assert load({}).log_max == environment.log_max({}) == environment.LOG_MAX
    state.log.parent.mkdir(parents=True)
    for number in range(6):
        path = state.log.with_name(f"app.log.{number}" if number else "app.log")
        with path.open("wb") as file:
            file.truncate(environment.LOG_MAX)

    logger = logs.setup_logging("bounded")
    try:
        logger.info("the first line of a new file")
    finally:
        root = logging.getLogger()
        for handler in [one for one in root.handlers if isinstance(one, logs.AppLogHandler)]:
            root.removeHandler(handler)
            handler.close()

    assert state.log.read_text().count("\n") == 1
    assert len(list(state.log.parent.iterdir())) == 1 + logs.KEPT
