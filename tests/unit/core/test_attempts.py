"""Attempts are counted by content and stage, across processes that end in any way."""

import asyncio
import hashlib
import json
import os
import signal
import stat
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.killing import killed_at_each_call
from tests.unit.core.conftest import State
from vv_core import attempts
from vv_core.attempts import CRASH, KEEP, Attempts, forget
from vv_core.common import files, journals

CONTENT = b"\0FRAME" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def untold(monkeypatch: pytest.MonkeyPatch) -> None:
    attempts._complained.clear()
    monkeypatch.delenv("VV_MAX_ATTEMPTS", raising=False)


@pytest.fixture
def video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "storage" / "input"
    folder.mkdir(parents=True)
    monkeypatch.setenv("VIDEO_STORAGE_ROOT", str(folder.parent))
    file = folder / "a.mp4"
    file.write_bytes(CONTENT)
    return file


def fail(video: Path, stage: str = "scan", times: int = 1, **options: Any) -> Attempts:
    made = Attempts(video, **options)
    for _ in range(times):
        with made.attempt(stage) as attempt:
            attempt.fail("bad")
    return made


class TestCounting:
    def test_failures_are_counted_by_stage(self, video: Path) -> None:
        fail(video, "scan", 2)
        made = fail(video, "summarize", 1)

        assert [made.count(stage) for stage in ("scan", "summarize", "other")] == [2, 1, 0]

    def test_the_content_counts_not_the_name(self, video: Path) -> None:
        fail(video)
        copy = video.with_name("b.mp4")
        copy.write_bytes(CONTENT)
        other = video.with_name("c.mp4")
        other.write_bytes(CONTENT + b"x")

        assert [Attempts(path).count("scan") for path in (copy, other)] == [1, 0]

    def test_a_success_clears_its_stage_alone(self, state: State, video: Path) -> None:
        fail(video, "scan", 2)
        made = fail(video, "summarize", 2)
        with made.attempt("scan"):
            pass

        assert [made.count(stage) for stage in ("scan", "summarize")] == [0, 2]

    def test_after_a_success_nothing_is_left_of_a_content(self, state: State, video: Path) -> None:
        with Attempts(video).attempt("scan"):
            pass

        assert not (state.folder / "attempts" / SHA256).exists()

    def test_the_history_tells_when_who_and_why(self, video: Path) -> None:
        made = Attempts(video, component="orchestrator.py")
        with pytest.raises(ValueError, match="no frames"), made.attempt("scan"):
            raise ValueError("no frames")
        with pytest.raises(KeyError), made.attempt("scan"):
            raise KeyError

        first, second = made.history("scan")
        assert first.pop("time").endswith("Z")
        assert first == {"component": "orchestrator.py", "error": "ValueError: no frames"}
        assert second["error"] == "KeyError"

    @pytest.mark.parametrize(
        ("end", "count"),
        [
            (SystemExit(0), 0),
            (SystemExit(None), 0),
            (SystemExit(3), 1),
            (SystemExit("text"), 1),
            (KeyboardInterrupt(), 0),
            (asyncio.CancelledError(), 0),
            (GeneratorExit(), 0),
            (MemoryError(), 1),
        ],
    )
    def test_what_ends_the_body_decides(self, video: Path, end: BaseException, count: int) -> None:
        made = Attempts(video)
        with pytest.raises(type(end)) as raised, made.attempt("scan"):
            raise end

        assert raised.value is end
        assert made.count("scan") == count

    def test_an_interrupted_attempt_leaves_the_history_alone(self, video: Path) -> None:
        made = fail(video, times=2)
        with pytest.raises(KeyboardInterrupt), made.attempt("scan"):
            raise KeyboardInterrupt

        assert made.count("scan") == 2

    def test_one_in_progress_is_not_counted_by_anybody(self, state: State, video: Path) -> None:
        made = fail(video, times=2)
        with made.attempt("scan"):
            code = "import sys; from vv_core.attempts import Attempts; print(Attempts(sys.argv[1]).count('scan'))"
            seen = [made.count("scan"), Attempts(video).count("scan"), int(state.run(code, str(video)))]
            made.exhausted("scan")

        assert seen == [2, 2, 2]
        assert video.exists()

    def test_a_process_that_is_killed_leaves_a_failed_attempt(self, state: State, video: Path) -> None:
        code = (
            "import os, sys; from vv_core.attempts import Attempts\n"
            "with Attempts(sys.argv[1], component='o.py').attempt('scan'): os.kill(os.getpid(), 9)"
        )
        with state.python(code, str(video)) as process:
            assert process.wait(30) == -signal.SIGKILL

        (failure,) = Attempts(video).history("scan")
        assert (failure["component"], failure["error"]) == ("o.py", CRASH)

    def test_a_forked_child_does_not_end_its_parents_attempt(self, video: Path) -> None:
        made = Attempts(video)
        with made.attempt("scan") as attempt:
            pid = os.fork()
            if pid == 0:
                attempt.__exit__(None, None, None)
                os._exit(0)
            os.waitpid(pid, 0)
            attempt.fail("bad")

        assert made.count("scan") == 1

    @pytest.mark.parametrize("stage", ["a/b", "..", "", "\n", "x" * 500, "ä", "scan.x", "\udcff"])
    def test_any_name_of_a_stage_will_do(self, video: Path, stage: str) -> None:
        made = fail(video, stage)

        assert [made.count(stage), made.count("scan")] == [1, 0]

    def test_many_processes_count_exactly(self, state: State, video: Path) -> None:
        code = (
            "import sys; from vv_core.attempts import Attempts\n"
            "made = Attempts(sys.argv[1], limit=1000)\n"
            "for _ in range(10):\n"
            "    with made.attempt('scan') as attempt: attempt.fail('bad')\n"
            "    with made.attempt('other'): pass\n"
        )
        processes = [state.python(code, str(video)) for _ in range(4)]
        assert [process.wait(60) for process in processes] == [0] * 4

        assert Attempts(video, limit=1000).count("scan") == 40


class TestContent:
    def test_a_file_is_read_once_even_by_many_processes(self, video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        assert Attempts(video).sha256 == SHA256
        monkeypatch.setattr(files, "sha256", lambda fd: pytest.fail("read again"))

        assert Attempts(video).sha256 == SHA256

    def test_it_is_read_again_when_it_changes(self, video: Path) -> None:
        before = Attempts(video).sha256
        video.write_bytes(CONTENT[::-1])
        os.utime(video, ns=(0, 1))

        assert Attempts(video).sha256 == hashlib.sha256(CONTENT[::-1]).hexdigest() != before

    def test_one_that_changes_while_it_is_read_is_not_taken_for_known(
        self, video: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = files.sha256

        def changing(fd: int) -> str:
            digest = real(fd)
            with video.open("ab") as file:
                file.write(b"x")
            return digest

        monkeypatch.setattr(files, "sha256", changing)
        assert Attempts(video).sha256 == SHA256
        monkeypatch.setattr(files, "sha256", real)

        assert Attempts(video).sha256 == hashlib.sha256(CONTENT + b"x").hexdigest()

    @pytest.mark.parametrize("kind", ["gone", "folder", "link"])
    def test_a_file_that_cannot_be_read_is_counted_by_its_path(self, video: Path, kind: str) -> None:
        video.unlink()
        if kind == "folder":
            video.mkdir()
        elif kind == "link":
            video.symlink_to("/etc/passwd")

        assert fail(video, times=2, quarantine=False).count("scan") == 2
        assert Attempts(video).sha256 == ""
        assert Attempts(video).count("scan") == 2


class TestGivingUp:
    @pytest.mark.parametrize(
        ("limit", "variable", "expected"), [(None, None, 3), (2, "5", 2), (None, "5", 5), (0, None, 1)]
    )
    def test_the_limit(
        self, video: Path, monkeypatch: pytest.MonkeyPatch, limit: int | None, variable: str | None, expected: int
    ) -> None:
        if variable:
            monkeypatch.setenv("VV_MAX_ATTEMPTS", variable)
        made = fail(video, times=expected - 1, limit=limit)
        before = made.exhausted("scan")
        fail(video, times=1, limit=limit)

        assert (before, made.exhausted("scan"), video.exists()) == (False, True, False)

    @pytest.mark.parametrize("value", ["0", "-1", "many", "3.5", "²"])
    def test_a_wrong_limit_is_told_and_3_is_used(
        self, video: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, value: str
    ) -> None:
        monkeypatch.setenv("VV_MAX_ATTEMPTS", value)

        assert Attempts(video).limit == 3
        assert "VV_MAX_ATTEMPTS" in caplog.text

    def test_after_the_last_attempt_the_video_is_told_and_moved_with_its_history(
        self, state: State, video: Path
    ) -> None:
        made = fail(video, times=3, component="orchestrator.py")

        told, moved = state.events()
        assert told.pop("id")
        assert told.pop("ts")
        assert told == {
            "v": 1,
            "type": "video.exhausted",
            "stage": "scan",
            "attempts": 3,
            "video": str(video),
            "video_sha256": SHA256,
            "error": "bad",
        }
        assert (moved["type"], moved["reason"]) == ("video.quarantined", "attempts_exhausted")
        assert made.moved_to is not None
        about = json.loads(Path(f"{made.moved_to}.meta.json").read_text())
        assert [attempt["error"] for attempt in about["attempts"]] == ["bad"] * 3
        assert about["error_message"] == "3 attempts of scan failed; the latest: bad"

    def test_it_is_told_once_and_a_copy_that_comes_back_is_moved_again(self, state: State, video: Path) -> None:
        fail(video, times=3)
        video.write_bytes(CONTENT)

        assert Attempts(video).exhausted("scan")
        assert len(state.events("video.exhausted")) == 1
        assert len(state.events("video.quarantined")) == 2
        assert not video.exists()

    def test_the_exception_goes_on(self, video: Path) -> None:
        with pytest.raises(ValueError, match="no"), Attempts(video, limit=1).attempt("scan"):
            raise ValueError("no")
        assert not video.exists()

    def test_without_quarantine_it_stays(self, state: State, video: Path) -> None:
        fail(video, times=3, quarantine=False)

        assert video.exists()
        assert [event["type"] for event in state.events()] == ["video.exhausted"]

    def test_forgetting_gives_it_new_attempts_and_it_is_told_anew(self, state: State, video: Path) -> None:
        fail(video, times=3, quarantine=False)
        forget(SHA256)
        made = Attempts(video, quarantine=False)
        before = made.exhausted("scan")
        fail(video, times=3, quarantine=False)

        assert (before, made.exhausted("scan")) == (False, True)
        assert len({event["id"] for event in state.events("video.exhausted")}) == 2

    @pytest.mark.parametrize("sha256", ["", "..", "../journal", "no/such", "abc"])
    def test_forgetting_touches_nothing_else(self, state: State, video: Path, sha256: str) -> None:
        fail(video)
        forget(sha256)

        assert Attempts(video).count("scan") == 1


class TestOdds:
    def test_a_state_folder_that_cannot_be_used_stops_nothing_and_is_logged_once_for_each_cause(
        self, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        blocked = tmp_path / "file"
        blocked.touch()
        monkeypatch.setenv("VV_STATE_DIR", str(blocked))
        made = fail(video, times=5)

        assert (made.exhausted("scan"), made.sha256) == (False, SHA256)
        assert caplog.text.count("attempts cannot be counted") == 2  # the folder, the files

    @pytest.mark.parametrize("content", [b"", b"{", b"\xff\n\xff\n", b"[]\n1\n", b"null\n"])
    def test_a_file_that_was_torn_counts_as_one_failure(self, state: State, video: Path, content: bytes) -> None:
        fail(video)
        folder = state.folder / "attempts" / SHA256
        (folder / "scan.0.attempt").write_bytes(content)

        history = Attempts(video).history("scan")
        assert [set(failure) for failure in history] == [{"time", "component", "error"}] * 2

    def test_what_is_old_is_forgotten(self, state: State, video: Path) -> None:
        fail(video)
        home = state.folder / "attempts"
        (known,) = (home / ".known").iterdir()
        for path in (home / SHA256, known):
            os.utime(path, (0, 0), follow_symlinks=False)
        (home / ".pruned").touch()
        os.utime(home / ".pruned", (0, 0))
        other = video.with_name("b.mp4")
        other.write_bytes(b"other")
        fail(other)

        assert not (home / SHA256).exists()
        assert not known.is_symlink()
        assert Attempts(other).count("scan") == 1

    def test_what_is_too_much_goes_the_oldest_first(
        self, state: State, video: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fail(video)
        home = state.folder / "attempts"
        for number in range(5):
            (home / f"c{number}").mkdir()
            os.utime(home / f"c{number}", (time.time() - 100 * number,) * 2)
        os.utime(home / ".pruned", (0, 0))
        monkeypatch.setattr(attempts, "MOST", 3)
        attempts._prune_attempts(os.fsencode(home))

        assert sorted(path.name for path in home.iterdir() if path.name[0] != ".") == sorted([SHA256, "c0", "c1"])
        assert KEEP > 500

    def test_others_of_the_group_may_take_part(self, state: State, video: Path) -> None:
        fail(video)

        assert stat.S_IMODE((state.folder / "attempts").stat().st_mode) == 0o2770


@pytest.mark.real_kernel
class TestKills:
    """At each system call."""

    def test_no_failure_is_lost_or_counted_twice(self, state: State, video: Path) -> None:
        for _ in killed_at_each_call(lambda: fail(video, limit=3, quarantine=False)):
            count = Attempts(video).count("scan")
            begun = len(list((state.folder / "attempts" / SHA256).glob("*.attempt")))
            assert count == begun <= 1
            forget(SHA256)

    def test_a_success_never_adds_more_than_the_attempt_that_was_killed(self, state: State, video: Path) -> None:
        def succeed() -> None:
            with Attempts(video, limit=9).attempt("scan"):
                pass

        fail(video, times=2, limit=9)
        for _ in killed_at_each_call(succeed):
            assert Attempts(video, limit=9).count("scan") <= 3
            forget(SHA256)
            fail(video, times=2, limit=9)
        forget(SHA256)

    def test_an_exhausted_video_is_told_once_and_moved_whole(self, state: State, video: Path) -> None:
        corrupted = video.parents[1] / "corrupted"
        fail(video, times=2)
        for _ in killed_at_each_call(lambda: fail(video)):
            whole = [path.read_bytes() for path in (video, corrupted / "a.mp4") if path.exists()]
            assert whole == [CONTENT]
            made = Attempts(video if video.exists() else corrupted / "a.mp4", quarantine=video.exists())
            if made.count("scan") == 2:  # killed before the attempt began
                assert not made.exhausted("scan")
                assert state.events() == []
            else:
                assert made.exhausted("scan")
                assert not video.exists()
                for kind in ("video.exhausted", "video.quarantined"):
                    assert len({event["id"] for event in state.events(kind)}) == 1
            journals.reset()
            for file in state.files():
                file.unlink()
            subprocess.run(["rm", "-rf", str(corrupted)], check=True)
            forget(SHA256)
            video.write_bytes(CONTENT)
            fail(video, times=2)


def make_full_folder(path: Path) -> None:
    path.mkdir()
    (path / "inside").touch()


PLANTED = {
    "a folder": make_full_folder,
    "a pipe": os.mkfifo,
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a link to a device": lambda path: path.symlink_to("/dev/full"),
    "text": lambda path: path.write_bytes(b"\xff\0[{" * 100_000),
    "something deep": lambda path: path.write_bytes(b"[" * 60_000 + b"\n" + b"{" * 5),
    "many digits": lambda path: path.write_bytes(b'{"error": ' + b"9" * 10_000 + b"}\n"),
    "other types": lambda path: path.write_bytes(
        b'{"error": [1e999], "time": null}\n{"component": "\\ud800\\u0000"}\n'
    ),
}


class TestWhatOthersPutThere:
    """The folder is the group's: what is put there costs no video its count, and nobody waits for it."""

    @pytest.mark.parametrize("what", PLANTED)
    @pytest.mark.parametrize("name", ["scan.0.attempt", "scan.exhausted", "scan.z.attempt", "other"])
    def test_in_a_videos_folder(self, state: State, video: Path, what: str, name: str) -> None:
        fail(video, times=1)
        PLANTED[what](state.folder / "attempts" / SHA256 / name)
        made = fail(video, times=2)

        assert made.exhausted("scan")
        assert not video.exists()
        assert made.moved_to is not None
        (told,) = state.events("video.exhausted")
        assert len(told["error"]) <= 1000

    @pytest.mark.parametrize("what", PLANTED)
    def test_a_success_forgets_it_as_well(self, state: State, video: Path, what: str) -> None:
        made = fail(video, times=2)
        PLANTED[what](state.folder / "attempts" / SHA256 / "scan.0.attempt")
        with made.attempt("scan"):
            pass

        assert made.count("scan") == 0

    @pytest.mark.parametrize("what", PLANTED)
    @pytest.mark.parametrize("name", ["", SHA256, ".known", ".pruned", "stranger", "0" * 64])
    def test_in_their_place(self, state: State, video: Path, what: str, name: str) -> None:
        home = state.folder / "attempts"
        if name:
            home.mkdir(parents=True)
        else:
            state.folder.mkdir()
        PLANTED[what](home / name if name else home)
        os.utime(home / name, (0, 0), follow_symlinks=False)

        assert fail(video, times=2).count("scan") == 2

    def test_a_digest_that_others_made_up_is_none(self, state: State, video: Path, tmp_path: Path) -> None:
        status = video.stat()
        known = state.folder / "attempts" / ".known"
        known.mkdir(parents=True)
        identity = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        (known / "-".join(map(str, identity))).symlink_to("../../../elsewhere")

        assert fail(video).sha256 == SHA256
        assert not (tmp_path / "elsewhere").exists()

    def test_a_record_that_may_not_be_read_counts(self, state: State, video: Path, monkeypatch: Any) -> None:
        made = fail(video, times=2)
        record = min((state.folder / "attempts" / SHA256).iterdir())
        opened = files.open_regular

        def refuse(path: bytes) -> int:
            if os.fsdecode(path) == str(record):
                raise PermissionError(13, "Permission denied")
            return opened(path)

        monkeypatch.setattr(files, "open_regular", refuse)

        assert [failure["error"] for failure in made.history("scan")] == ["its record cannot be read", "bad"]

    def test_a_hundred_thousand_records_are_read_in_part(self, state: State, video: Path) -> None:
        made = fail(video, times=1)
        folder = state.folder / "attempts" / SHA256
        for number in range(20_000):
            os.mknod(folder / f"scan.{number:08}.attempt")

        began = time.monotonic()
        assert 900 <= made.count("scan") <= 1000
        assert time.monotonic() - began < 30
