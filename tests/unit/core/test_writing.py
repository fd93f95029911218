import fcntl
import os
import re
import stat
import threading
from pathlib import Path

import pytest

from tests.unit.core.conftest import State
from vv_core.alerter import send_alert
from vv_core.common import journals
from vv_core.jobs import heartbeat, job
from vv_core.stages import stage
from vv_exporter.common.processes import own_space
from vv_exporter.journal.events import decode


def test_nothing_is_made_before_the_first_event(state: State) -> None:
    assert not state.folder.exists()


def test_the_first_line_says_who_writes(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VV_DEVICE_ID", "edge-7")

    heartbeat("backup", component="backup.py")

    first = state.lines()[0]
    assert {"v": 1, "type": "writer", "component": "backup.py", "lock": True, "pid": os.getpid(), "host": "edge-7"} == {
        key: first[key] for key in ("v", "type", "component", "lock", "pid", "host")
    }
    assert Path("/proc/sys/kernel/random/boot_id").read_text().strip() == first["boot"]
    assert (first["pid_ns"], first["node"]) == (own_space(), os.uname().nodename)
    assert first["sdk"].startswith("vv_core ")


def test_every_type_of_event_is_one_the_exporter_takes(state: State) -> None:
    send_alert("ERROR", "t", {"a": 1}, "x.py", context={"video": "v"}, suggested_actions=["do"], dedupe_key="k")
    with stage("scan_video", video="/in/a.mp4", limit=5, video_bytes=10) as run, stage("inner"):
        run.note(video_sha256="ab")
    with pytest.raises(ValueError, match="bad"), stage("s"):
        raise ValueError("bad")
    with job("j") as run:
        run.output = b"out"
        run.exit_code = 3
        run.fail("exit code 3")
    heartbeat("h")

    events = [decode(line) for file in state.files() for line in file.read_bytes().splitlines()]

    assert len(events) == 12


def test_an_events_component_is_left_out_where_it_is_the_writers(state: State) -> None:
    heartbeat("a", component="one.py")
    heartbeat("b", component="two.py")
    heartbeat("c", component="one.py")

    assert [event.get("component") for event in state.events()] == [None, "two.py", None]


def test_names_sort_by_time_and_say_their_sequence(state: State) -> None:
    heartbeat("a")

    assert re.fullmatch(r"[0-9a-f]{12}7[0-9a-f]{19}\.0\.jsonl", state.files()[0].name)


def test_the_file_is_for_the_group_and_only_its_owner_deletes(state: State) -> None:
    old = os.umask(0o077)
    try:
        heartbeat("a")
    finally:
        os.umask(old)

    assert stat.S_IMODE(state.journal.stat().st_mode) == 0o3770
    assert stat.S_IMODE(state.files()[0].stat().st_mode) == 0o640


def test_the_lock_is_held_as_long_as_the_writer_lives(state: State) -> None:
    heartbeat("a")
    with state.files()[0].open() as file:
        with pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

        journals.reset()

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_command_that_is_run_does_not_inherit_the_lock(state: State) -> None:
    heartbeat("a")

    assert not os.get_inheritable(journals._journal._fd)


def test_a_full_file_is_followed_by_the_next_which_is_locked_before_it_is_let_go(state: State) -> None:
    for _ in range(14_000):
        heartbeat("cleanup_old_files")

    files = state.files()
    assert [f"{files[0].name.split('.')[0]}.{seq}.jsonl" for seq in range(len(files))] == [f.name for f in files]
    assert len(files) == 2
    assert journals.ROLL_AT <= files[0].stat().st_size < journals.ROLL_AT + 200
    assert len(state.events("heartbeat")) == 14_000
    with files[0].open() as old, files[1].open() as new:
        fcntl.flock(old, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with pytest.raises(BlockingIOError):
            fcntl.flock(new, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_run_is_not_parted_from_its_end_by_a_new_file(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journals, "ROLL_AT", 300)

    for _ in range(5):
        with stage("scan_video"):
            pass

    assert len(state.files()) == 5
    for file in state.files():
        types = [decode(line).__class__.__name__ for line in file.read_bytes().splitlines()]
        assert types == ["WriterStarted", "StageStarted", "StageFinished"]


def test_each_event_is_one_write(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    real = os.write

    def write(fd: int, data: bytes) -> int:
        if Path(f"/proc/self/fd/{fd}").readlink().suffix == ".jsonl":  # a log has its own
            written.append(data)
        return real(fd, data)

    monkeypatch.setattr(os, "write", write)

    heartbeat("a")
    send_alert("ERROR", "t", "x" * 100_000, "c")

    assert len(written) == 3
    assert all(data.endswith(b"\n") and data.count(b"\n") == 1 and len(data) <= 65_536 for data in written)


def test_threads_share_one_file_and_lose_nothing(state: State) -> None:
    def work() -> None:
        for _ in range(500):
            heartbeat("a")

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(state.files()) == 1
    assert len(state.events("heartbeat")) == 4000


def test_what_is_no_json_is_counted_as_lost_and_raises_nothing(state: State) -> None:
    assert not journals.emit("x", "c", {"value": float("nan")})
    assert not journals.emit("x", "c", {"value": object()})
    assert not journals.emit("x", "c", {"value": "y" * 70_000})
    heartbeat("a", component="c")

    assert [event["count"] for event in state.events("dropped")] == [3]
