"""What several users share is made with its mode, whatever the umask, and mended; by real processes of other users."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.users import in_child, passable_folder
from tests.support.waiting import wait_until
from vv_core.attempts import Attempts
from vv_core.common import files, shared
from vv_core.jobs import heartbeat
from vv_core.logs import setup_logging
from vv_core.quarantine import move_to_corrupted, read, release
from vv_exporter.cli import vv

GROUP = 23_801
ONE, OTHER, STRANGER = (23_802, GROUP), (23_803, GROUP), (23_804, 23_804)
UMASKS = [0o000, 0o022, 0o027, 0o077, 0o777]


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    with passable_folder() as folder:
        yield folder


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder of the group's, as an installation makes it, and a video beside it."""
    state = tmp_path / "state"
    state.mkdir()
    os.chown(state, ONE[0], GROUP)
    state.chmod(0o3770)
    (tmp_path / "videos" / "input").mkdir(parents=True)
    for path in (tmp_path / "videos", tmp_path / "videos" / "input"):
        os.chown(path, ONE[0], GROUP)
        path.chmod(0o2770)
    monkeypatch.setenv("VV_STATE_DIR", str(state))
    monkeypatch.setenv("VIDEO_STORAGE_ROOT", str(tmp_path / "videos"))
    monkeypatch.delenv("VV_LOG_DIR", raising=False)
    return state


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "videos" / "input" / "a.mp4"
    path.write_bytes(b"broken")
    os.chown(path, ONE[0], GROUP)
    path.chmod(0o660)
    return path


@pytest.fixture(params=UMASKS, ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def fail(video: Path) -> None:
    with Attempts(video, limit=3).attempt("scan") as attempt:
        attempt.fail("no key frame")


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="becomes other users")


@needs_root
@pytest.mark.usefixtures("umask")
class TestRootFirst:
    """Root's first run, then a script's user."""

    def test_another_users_run_of_a_job_does_not_overlap(self, folder: Path, tmp_path: Path) -> None:
        ran = tmp_path / "videos" / "ran"
        locked = ["cron", "--job", "sweep", "--overlap", "skip", "--"]
        hold = [sys.executable, "-m", "vv_exporter", *locked, "sh", "-c", "read line"]
        with subprocess.Popen(hold, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
            assert holder.stdin is not None
            wait_until(lambda: is_locked(folder / "jobs" / "sweep.lock"), 30, what="the job's lock")
            assert in_child(lambda: vv([*locked, "touch", str(ran)], standalone_mode=False), *OTHER)
            holder.communicate(b"\n", timeout=60)

        assert not ran.exists()

    def test_a_broken_video_is_given_up_whoever_tried_it(self, folder: Path, video: Path) -> None:
        fail(video)
        assert in_child(lambda: fail(video), *OTHER)
        assert in_child(lambda: fail(video), *ONE)

        assert not video.exists()
        assert (video.parents[1] / "corrupted" / "a.mp4").exists()

    def test_what_is_reported_and_logged_is_taken(self, folder: Path) -> None:
        heartbeat("a")
        setup_logging("x").warning("by root")

        def other() -> None:
            from vv_core.common import journals

            journals.reset()
            heartbeat("b")
            setup_logging("y").warning("by another user")
            assert journals._journal.lost == 0

        assert in_child(other, *OTHER)
        assert len(list((folder / "journal").glob("*.jsonl"))) == 2
        assert "by another user" in (folder / "logs" / "app.log").read_text()

    def test_the_owner_of_the_state_may_delete_what_was_counted(self, folder: Path) -> None:
        heartbeat("a")
        (file,) = (folder / "journal").glob("*.jsonl")

        assert in_child(lambda: (file.read_bytes(), file.unlink()), *ONE)

    def test_side_cars_can_be_read_and_given_back_by_others(self, video: Path) -> None:
        target = move_to_corrupted(video, "unreadable", component="x.py")
        assert target is not None

        assert in_child(lambda: release(target.parent, read(target.parent, "a.mp4") and "a.mp4"), *OTHER)
        assert video.exists()


@pytest.mark.usefixtures("umask")
class TestModes:
    def test_each_folder_and_file_has_its_own(self, folder: Path, video: Path) -> None:
        heartbeat("a")
        setup_logging("x").warning("hello")
        fail(video)

        found = {str(path.relative_to(folder)): mode(path) for path in folder.rglob("*") if not path.is_symlink()}
        (attempt,) = [name for name in found if name.endswith(".attempt")]
        (journal,) = [name for name in found if name.endswith(".jsonl")]
        assert found == {
            "journal": 0o3770,
            journal: 0o640,
            "logs": 0o2770,
            "logs/app.log": 0o660,
            "attempts": 0o2770,
            "attempts/.known": 0o2770,
            "attempts/.pruned": 0o660,
            str(Path(attempt).parent): 0o2770,
            attempt: 0o660,
        }

    def test_the_way_there_can_be_gone_by_all_and_is_writable_for_none(self, tmp_path: Path) -> None:
        shared.make_folder(str(tmp_path / "a" / "b" / "state" / "journal"), shared.STICKY_FOLDER)

        names = ["a", "a/b", "a/b/state", "a/b/state/journal"]
        assert [mode(tmp_path / name) for name in names] == [0o755, 0o755, 0o3770, 0o3770]

    @pytest.mark.parametrize("found", [0o700, 0o750, 0o755, 0o2750, 0o770, 0o2770])
    def test_what_is_too_narrow_is_mended_by_its_owner(self, tmp_path: Path, found: int) -> None:
        path = tmp_path / "journal"
        path.mkdir()
        path.chmod(found)

        shared.make_folder(str(path), shared.STICKY_FOLDER)

        assert mode(path) == found | 0o3770

    def test_a_file_that_is_too_narrow_is_mended_by_its_owner(self, tmp_path: Path) -> None:
        path = tmp_path / "x.lock"
        path.touch()
        path.chmod(0o600)

        os.close(shared.open_file(str(path), os.O_RDONLY))

        assert mode(path) == 0o660


def test_a_folder_that_its_owner_closed_to_himself_stays_closed(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    path.mkdir()
    path.chmod(0o500)

    shared.make_folder(str(path), shared.STICKY_FOLDER)

    assert mode(path) == 0o500


def test_a_folder_of_logs_that_the_operator_named_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log"
    path.mkdir()
    path.chmod(0o755)
    monkeypatch.setenv("VV_LOG_DIR", str(path))

    setup_logging("x").warning("hello")

    assert mode(path) == 0o755


@pytest.mark.parametrize("make", [os.symlink, os.link], ids=["symlink", "hard link"])
def test_what_lies_there_under_anothers_name_is_not_opened_to_the_group(
    tmp_path: Path, make: Callable[[Path, Path], None]
) -> None:
    """Or whoever may write to the folder could have root give him any file."""
    secret = tmp_path / "secret"
    secret.touch()
    secret.chmod(0o600)
    make(secret, tmp_path / "x.lock")

    with contextlib.suppress(OSError):  # a link is not followed
        os.close(shared.open_file(str(tmp_path / "x.lock"), os.O_RDONLY))

    assert mode(secret) == 0o600


@needs_root
def test_what_root_makes_becomes_the_owners_of_the_folder(folder: Path) -> None:
    shared.make_folder(str(folder / "journal"), shared.STICKY_FOLDER)
    os.close(shared.open_file(str(folder / "file"), os.O_WRONLY))

    assert [(path.stat().st_uid, path.stat().st_gid) for path in (folder / "journal", folder / "file")] == [ONE] * 2


@needs_root
def test_a_copy_that_root_moves_to_another_disk_stays_its_owners(tmp_path: Path, video: Path) -> None:
    disk = tmp_path / "videos" / "corrupted"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=2770", "none", str(disk)], check=True)
    try:
        target = move_to_corrupted(video, "unreadable", component="x.py")
        assert target is not None
        assert (target.stat().st_uid, target.stat().st_gid) == ONE
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@needs_root
def test_a_disk_that_knows_no_owners_is_made_do_with(
    tmp_path: Path, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FAT: root may not give a file there to anybody."""

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    disk = tmp_path / "videos" / "corrupted"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=2770", "none", str(disk)], check=True)
    try:
        monkeypatch.setattr(os, "fchown", refuse)
        assert move_to_corrupted(video, "unreadable", component="x.py") is not None
        os.close(shared.open_file(str(tmp_path / "videos" / "input" / "new"), os.O_WRONLY))
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@needs_root
def test_a_stranger_takes_no_part(folder: Path) -> None:
    heartbeat("a")

    def stranger() -> None:
        for attempt in (lambda: list(folder.iterdir()), lambda: (folder / "x").touch()):
            with pytest.raises(PermissionError):
                attempt()

    assert in_child(stranger, *STRANGER)


def is_locked(path: Path) -> bool:
    if not path.exists():
        return False
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def test_what_has_no_folder_in_its_name_lies_in_the_current_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    os.close(shared.open_file("text", os.O_WRONLY))
    os.close(shared.open_file(b"bytes", os.O_WRONLY))
    shared.make_folder("folder")
    files.write_new(b"new", b"1")

    assert {"text", "bytes", "folder", "new"} <= {path.name for path in tmp_path.iterdir()}
    assert stat.S_IMODE((tmp_path / "folder").stat().st_mode) == shared.COMMON_FOLDER
