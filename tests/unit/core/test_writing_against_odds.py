"""What the writer meets on a bad day. It neither raises nor waits, and what is lost is counted."""

import errno
import fcntl
import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.waiting import wait_until
from tests.unit.core.conftest import State
from vv_core.alerter import send_alert
from vv_core.common import journals
from vv_core.jobs import heartbeat

FILL_AND_FREE = """
import os, sys
from vv_core.common import journals
from vv_core.alerter import send_alert
from vv_core.jobs import heartbeat
written = 0
while not journals._sink.lost:                  # until the disk is full
    heartbeat("a", component="x.py"); written += 1
for number in range(10):                         # what matters is kept, what does not is counted
    send_alert("CRITICAL", f"disk full {number}", "", "x.py")
    heartbeat("a", component="x.py"); written += 1
print(written, flush=True)
sys.stdin.readline()                             # until there is room again
journals._journal._failed = float("-inf")
for _ in range(5):
    heartbeat("a", component="x.py"); written += 1
print(written, flush=True)
"""


def test_on_a_full_disk_every_event_is_written_or_counted_and_alerts_wait_for_room(
    state: State, small_disk: Callable[[], dict[str, Any]], tmp_path: Path
) -> None:
    disk = State(tmp_path / "disk")
    ballast = disk.folder / "ballast"
    ballast.write_bytes(b"x" * (100 << 10))
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    env = {"VV_STATE_DIR": str(disk.folder)}
    with disk.python(FILL_AND_FREE, env=env, **pipes, **small_disk()) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        wait_until(process.stdout.readline, 30)
        before = len(disk.journal.read_text().splitlines()) if disk.journal.is_file() else len(disk.files())
        ballast.unlink()
        if os.geteuid() != 0:
            _lift_limit(process.pid)
        process.stdin.write("\n")
        process.stdin.flush()
        written = int(process.stdout.readline())

    assert before == 1
    assert written == len(disk.events("heartbeat")) + sum(e["count"] for e in disk.events("dropped"))
    assert sum(e["count"] for e in disk.events("dropped")) > 0
    assert [f"disk full {number}" for number in range(10)] == [e["title"] for e in disk.events("alert")]


def _lift_limit(pid: int) -> None:
    import resource

    resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def test_a_line_cut_short_by_a_full_disk_is_completed(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    heartbeat("before", component="c")
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, data[:20]))
    send_alert("ERROR", "cut", "", "c")
    monkeypatch.setattr(os, "write", real)

    heartbeat("after", component="c")

    assert [event["type"] for event in state.events()] == ["heartbeat", "alert", "heartbeat"]


def test_a_folder_that_cannot_be_made_raises_nothing_and_is_told_once(
    state: State, caplog: pytest.LogCaptureFixture
) -> None:
    state.folder.write_text("a file where the folder should be")

    with caplog.at_level(logging.WARNING, "vv_core"):
        for _ in range(100):
            heartbeat("a")

    assert journals._journal.lost == 100
    assert len(caplog.records) == 1
    assert str(state.folder) in caplog.text


def test_a_user_who_may_not_write_is_told_and_goes_on(state: State) -> None:
    state.journal.mkdir(parents=True)
    state.journal.chmod(0o500)
    code = (
        "import logging, os\nfrom vv_core.jobs import heartbeat\nif os.geteuid() == 0: os.setuid(65534)\n"
        "for _ in range(3): heartbeat('a')\nprint('went on')"
    )

    with state.python(code, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        output, errors = process.communicate(timeout=30)

    assert (process.returncode, output) == (0, "went on\n")
    assert "events cannot be written" in errors


def test_where_there_are_no_locks_no_empty_files_pile_up(
    state: State, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As on NFS that is mounted without them."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)

    with caplog.at_level(logging.WARNING, "vv_core"):
        for _ in range(20):
            journals._journal._failed = float("-inf")  # a second later
            heartbeat("a")

    assert list(state.journal.iterdir()) == []
    assert journals._journal.lost == 20
    assert len(caplog.records) == 1
    assert "No locks available" in caplog.text


def test_an_alert_that_cannot_be_recorded_is_logged(state: State, caplog: pytest.LogCaptureFixture) -> None:
    state.folder.write_text("a file where the folder should be")
    journals._journal._queue.extend([journals._Event("c", b"{}\n", journals.NEEDED)] * journals._QUEUE)

    send_alert("CRITICAL", "Storage gone", "", "c")

    assert "NOT RECORDED" in caplog.text
    assert "Storage gone" in caplog.text


def test_what_matters_is_written_once_the_folder_can_be_used(state: State) -> None:
    state.folder.write_text("a file where the folder should be")
    heartbeat("lost", component="c")
    send_alert("CRITICAL", "kept", "", "c")
    state.folder.unlink()
    journals._journal.finish()

    assert [event["title"] for event in state.events("alert")] == ["kept"]
    assert [event["count"] for event in state.events("dropped")] == [1]


def test_a_process_that_ends_while_it_cannot_write_logs_what_is_lost(state: State) -> None:
    state.folder.write_text("a file where the folder should be")
    code = "from vv_core.alerter import send_alert\nsend_alert('CRITICAL', 'Disk gone', '', 'c')"

    with state.python(code, stderr=subprocess.PIPE) as process:
        errors = process.communicate(timeout=30)[1]

    assert process.returncode == 0
    assert 'could not be written: {"v":1,"type":"alert"' in errors
    assert "Disk gone" in errors


def test_a_reader_that_takes_each_new_file_and_stands_still_holds_nobody_up(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = []
    real = os.open

    def open_and_lose(path: str, flags: int, mode: int = 0o777) -> int:
        fd = real(path, flags, mode)
        if path.endswith(".jsonl") and flags & os.O_CREAT and len(taken) < 3:
            taken.append(real(path, os.O_RDONLY))
            fcntl.flock(taken[-1], fcntl.LOCK_EX)
        return fd

    monkeypatch.setattr(os, "open", open_and_lose)
    heartbeat("a")

    assert len(taken) == 3
    assert len(state.files()) == 4
    assert len(state.events("heartbeat")) == 1
    assert len({file.name.split(".")[0] for file in state.files()}) == 4


def test_a_reader_that_takes_every_new_file_costs_the_event_and_no_time(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journals, "_create_file", lambda path: -1)

    assert not journals.emit("heartbeat", "c", {"job": "a"})


def test_a_file_deleted_under_the_writer_is_replaced(state: State) -> None:
    heartbeat("a")
    state.files()[0].unlink()
    journals._journal._checked = float("-inf")  # as if a second had passed

    heartbeat("b")

    assert [event["job"] for event in state.events("heartbeat")] == ["b"]


def test_descriptors_that_a_daemon_closes_are_not_mistaken_for_the_journal(state: State, tmp_path: Path) -> None:
    heartbeat("a")
    low = journals._journal._fd
    os.close(low)
    other = tmp_path / "video.mp4"
    with other.open("wb"):
        heartbeat("b")

    assert low >= 500
    assert other.read_bytes() == b""
    assert {event["job"] for event in state.events("heartbeat")} == {"a", "b"}


def test_a_signal_handler_may_report_while_its_own_thread_does(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    struck = []

    def struck_write(fd: int, data: bytes) -> int:
        if b'"outer"' in data and not struck:
            struck.append(True)
            signal.raise_signal(signal.SIGUSR1)
        return real(fd, data)

    old = signal.signal(signal.SIGUSR1, lambda *_: heartbeat("inner"))
    monkeypatch.setattr(os, "write", struck_write)
    try:
        heartbeat("outer")
    finally:
        signal.signal(signal.SIGUSR1, old)

    assert [event["job"] for event in state.events("heartbeat")] == ["outer", "inner"]


def test_a_thread_stuck_in_a_write_holds_up_no_other_and_its_events_follow(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    heartbeat("before")
    stuck, go_on = threading.Event(), threading.Event()
    real = os.write

    def hung(fd: int, data: bytes) -> int:
        if b'"stuck"' in data:
            stuck.set()
            go_on.wait(30)
        return real(fd, data)

    monkeypatch.setattr(os, "write", hung)
    thread = threading.Thread(target=heartbeat, args=("stuck",))
    thread.start()
    stuck.wait(30)
    begun = time.monotonic()
    heartbeat("other")
    waited = time.monotonic() - begun
    go_on.set()
    thread.join()

    assert waited < 10
    assert [event["job"] for event in state.events("heartbeat")] == ["before", "stuck", "other"]


def test_what_waits_is_bounded(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journals, "_create_file", lambda path: -1)

    for _ in range(1000):
        send_alert("ERROR", "t", "", "c")

    assert len(journals._journal._queue) == journals._QUEUE
    assert journals._journal.lost == 1000 - journals._QUEUE


def test_hostile_text_is_one_line_that_the_exporter_takes(state: State) -> None:
    from vv_exporter.journal.events import decode

    for text in ("\ud800", "\0\x1b[2J", 'a"b\\c\n', "{{ .X }}", "‮", "a\u2028b", "é" * 50_000, "日本", ""):
        send_alert("ERROR", text, {text: text}, text, context={text: text}, suggested_actions=[text])
        heartbeat(text, component=text)

    raw = state.files()[0].read_bytes()
    assert len([decode(line) for line in raw.split(b"\n") if line]) == 19
    assert not any(code in raw.decode() for code in "\0\x1b\u2028‮")
