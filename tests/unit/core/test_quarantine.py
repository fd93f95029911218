"""`corrupted/`: nothing is lost, overwritten or half there, whatever the name and whatever dies."""

import errno
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.killing import killed_at, killed_at_each_call
from tests.unit.core.conftest import State
from vv_core.attempts import Attempts
from vv_core.common import files, journals
from vv_core.quarantine import SIDECAR, QuarantineError, candidate, entries, move_to_corrupted, read, release

CONTENT = b"\0FRAME" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "storage"
    (folder / "input").mkdir(parents=True)
    monkeypatch.setenv("VIDEO_STORAGE_ROOT", str(folder))
    return folder


@pytest.fixture
def video(root: Path) -> Path:
    return make(root / "input" / "a.mp4")


@pytest.fixture
def other_disk(root: Path) -> Iterator[Path]:
    """`corrupted/` on a file system of its own."""
    if os.geteuid() != 0:
        pytest.skip("mounting a file system needs root")
    folder = root / "corrupted"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1M", "vv-test", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def make(path: Path, content: bytes = CONTENT) -> Path:
    path.write_bytes(content)
    return path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


class TestMoving:
    def test_the_file_is_moved_and_its_side_car_tells_everything(self, root: Path, video: Path) -> None:
        history = [{"time": "2026-01-01T00:00:00Z", "component": "c", "error": "bad"}]

        moved = move_to_corrupted(video, "scan_failed", {"frame": 7}, component="scan_video.py", attempts=history)

        assert moved == root / "corrupted" / "a.mp4"
        assert (moved.read_bytes(), video.exists()) == (CONTENT, False)
        about = json.loads((root / "corrupted" / "a.mp4.meta.json").read_text())
        assert about.pop("id")
        assert about.pop("timestamp_corruption").endswith("Z")
        assert "app.log: scan_video.py[" in about.pop("log_snippet_ref")
        assert about == {
            "original_path": str(video),
            "source_component": "scan_video.py",
            "error_type": "scan_failed",
            "error_message": "frame: 7",
            "original_hash_sha256": SHA256,
            "attempts": history,
        }

    @pytest.mark.parametrize(
        ("attempts", "kept"),
        [
            (repeat({"error": "bad"}), [{"error": "bad"}] * 100),
            ([{"error": "bad"}, None], [{"error": "the attempts cannot be read: AttributeError"}]),
            (7, [{"error": "the attempts cannot be read: TypeError"}]),
        ],
    )
    def test_a_history_without_an_end_or_that_cannot_be_read_keeps_no_file_where_it_is(
        self, root: Path, video: Path, attempts: Any, kept: list[dict[str, str]]
    ) -> None:
        assert move_to_corrupted(video, "t", attempts=attempts) == root / "corrupted" / "a.mp4"

        about = json.loads((root / "corrupted" / "a.mp4.meta.json").read_text())
        assert [{"error": one["error"][: len(kept[0]["error"])]} for one in about["attempts"]] == kept

    def test_it_is_reported(self, state: State, video: Path) -> None:
        moved = move_to_corrupted(video, "scan_failed", ValueError("no frames"), component="scan_video.py")

        (event,) = state.events()
        assert event.pop("id")
        assert event.pop("ts")
        assert event == {
            "v": 1,
            "type": "video.quarantined",
            "reason": "scan_failed",
            "path": str(moved),
            "video": str(video),
            "video_sha256": SHA256,
            "error": "no frames",
        }

    def test_no_file_is_overwritten(self, root: Path) -> None:
        contents = [b"first", b"second", b"third"]
        for content in contents:
            move_to_corrupted(make(root / "input" / "a.mp4", content), "t")

        folder = root / "corrupted"
        assert [(folder / name).read_bytes() for name in ("a.mp4", "a-1.mp4", "a-2.mp4")] == contents
        assert len(list(entries(folder))) == 3
        assert all(about for _, about in entries(folder))

    def test_neither_is_one_that_somebody_put_there(self, root: Path, video: Path) -> None:
        folder = root / "corrupted"
        folder.mkdir()
        (folder / "a.mp4").write_bytes(b"theirs")
        (folder / "a-1.mp4.meta.json").write_bytes(b"theirs")

        moved = move_to_corrupted(video, "t")

        assert moved == folder / "a-2.mp4"
        assert ((folder / "a.mp4").read_bytes(), (folder / "a-1.mp4.meta.json").read_bytes()) == (b"theirs", b"theirs")

    def test_many_at_once_do_not_get_in_each_others_way(self, root: Path) -> None:
        contents = [b"%d" % number for number in range(40)]
        code = (
            "import sys; from vv_core.quarantine import move_to_corrupted\n"
            "for path in sys.argv[1:]: assert move_to_corrupted(path, 't')"
        )
        videos = []
        for number, content in enumerate(contents):
            folder = root / "input" / str(number)
            folder.mkdir()
            videos.append(str(make(folder / "a.mp4", content)))
        processes = [subprocess.Popen([sys.executable, "-c", code, *videos[part::4]]) for part in range(4)]

        assert [process.wait(60) for process in processes] == [0] * 4
        found = dict(entries(root / "corrupted"))
        moved = [(root / "corrupted" / name).read_bytes() for name in found]
        assert sorted(moved) == sorted(contents)
        for name, about in found.items():
            content = (root / "corrupted" / name).read_bytes()
            assert about["original_hash_sha256"] == hashlib.sha256(content).hexdigest()

    def test_of_two_who_move_one_file_one_does(self, state: State, video: Path) -> None:
        fd = files.open_regular(os.fsencode(video))
        assert files.lock(fd)
        refused = move_to_corrupted(video, "t")
        os.close(fd)

        assert (refused, video.exists(), state.events()) == (None, True, [])

    def test_a_file_that_is_gone_is_no_error_and_no_alert(
        self, state: State, root: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        assert move_to_corrupted(root / "input" / "gone.mp4", "t") is None
        assert state.events() == []
        assert "gone.mp4 was not moved" in caplog.text

    @pytest.mark.parametrize("kind", ["folder", "link", "pipe"])
    def test_what_is_no_regular_file_stays_and_is_told(self, state: State, root: Path, kind: str) -> None:
        path = root / "input" / "odd"
        if kind == "folder":
            path.mkdir()
        elif kind == "link":
            path.symlink_to("/etc/passwd")
        else:
            os.mkfifo(path)

        assert move_to_corrupted(path, "t", component="c") is None
        assert os.path.lexists(path)
        (alert,) = state.events("alert")
        assert (alert["level"], alert["context"]) == ("ERROR", {"video": str(path)})

    @pytest.mark.parametrize("path", [None, 7, object(), "a\0b", ""])
    def test_nonsense_raises_nothing(self, root: Path, path: Any) -> None:
        assert move_to_corrupted(path, None, object(), attempts=[]) is None  # type: ignore[arg-type]

    def test_a_failed_rename_leaves_the_file_and_no_side_car(
        self, state: State, root: Path, video: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = files.rename_new

        def refuse(source: bytes, target: bytes) -> None:
            if source == os.fsencode(video):
                raise OSError(errno.EIO, "broken")
            real(source, target)

        monkeypatch.setattr(files, "rename_new", refuse)

        assert move_to_corrupted(video, "t") is None
        assert (video.read_bytes(), names(root / "corrupted")) == (CONTENT, [])
        assert len(state.events("alert")) == 1

    def test_without_renameat2_it_works_too(self, root: Path, video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("ctypes.CDLL", lambda *_, **__: object())
        (root / "corrupted").mkdir()
        (root / "corrupted" / "a.mp4").write_bytes(b"theirs")

        assert move_to_corrupted(video, "t") == root / "corrupted" / "a-1.mp4"
        assert (root / "corrupted" / "a.mp4").read_bytes() == b"theirs"

    def test_details_are_bounded(self, root: Path, video: Path) -> None:
        move_to_corrupted(video, "t" * 1000, "x" * 10**6, attempts=[{"error": "e" * 10**5}] * 1000)

        assert len((root / "corrupted" / "a.mp4.meta.json").read_bytes()) < 250_000

    def test_memory_stays_small_for_a_large_file(self, state: State, root: Path) -> None:
        with (root / "input" / "large.mp4").open("wb") as file:
            file.truncate(300 << 20)
        peak = state.run(
            "import re, sys; from vv_core.quarantine import move_to_corrupted\n"
            "assert move_to_corrupted(sys.argv[1], 't')\n"
            # not ru_maxrss: that begins with what the parent had when it forked
            "print(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1])",
            str(root / "input" / "large.mp4"),
        )

        assert int(peak) < 60_000  # KiB


class TestWhere:
    def test_beside_input_without_a_storage_root(self, video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("VIDEO_STORAGE_ROOT")
        (video.parent / "cam1").mkdir()
        other = make(video.parent / "cam1" / "b.mp4")

        assert move_to_corrupted(video, "t") == video.parents[1] / "corrupted" / "a.mp4"
        assert move_to_corrupted(other, "t") == video.parents[1] / "corrupted" / "b.mp4"

    def test_else_beside_the_file(self, tmp_path: Path) -> None:
        assert move_to_corrupted(make(tmp_path / "x.json"), "t") == tmp_path / "corrupted" / "x.json"


class TestNames:
    @pytest.mark.parametrize(
        "name",
        [b"new\nline.mp4", b"\xff\xfe.mp4", b"x" * 255, b"x" * 251 + b".mp4", b"-rf", b".hidden", b"a.meta.json"],
    )
    def test_hostile_ones_survive_the_way_there_and_back(self, root: Path, name: bytes) -> None:
        path = os.fsencode(root / "input") + b"/" + name
        for content in (b"one", b"two"):
            Path(os.fsdecode(path)).write_bytes(content)
            assert move_to_corrupted(path, "t")

        found = [name for name, about in entries(root / "corrupted") if about]
        assert len(found) == 2
        for entry in found:
            back = release(root / "corrupted", entry)
            assert os.fsencode(back) == path
            back.unlink()
        assert names(root / "corrupted") == []

    @given(st.binary(min_size=1, max_size=255).filter(lambda name: b"/" not in name), st.integers(0, 99_999))
    def test_any_name_fits_with_its_side_cars(self, name: bytes, number: int) -> None:
        got = candidate(name, number)

        assert 0 < len(got) <= 255 - len(SIDECAR)
        assert not got.endswith(SIDECAR.encode())
        assert got not in (b".", b"..") or name in (b".", b"..")

    @given(st.binary(min_size=1, max_size=255), st.lists(st.integers(0, 99_999), unique=True, max_size=20))
    def test_numbers_make_names_that_differ(self, name: bytes, numbers: list[int]) -> None:
        assert len({candidate(name, number) for number in numbers}) == len(numbers)

    @given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=250))
    def test_text_is_not_cut_within_a_character(self, text: str) -> None:
        candidate(text.encode(), 0).decode()


@pytest.mark.real_kernel
class TestKills:
    """At each system call."""

    def test_the_file_is_always_whole_in_one_place_and_counted_once(
        self, state: State, root: Path, video: Path
    ) -> None:
        corrupted = root / "corrupted"
        for _ in killed_at_each_call(lambda: self.move(video)):
            there = [path for path in (video, corrupted / "a.mp4") if path.exists()]
            assert [path.read_bytes() for path in there] == [CONTENT]
            if video not in there:
                assert read(corrupted, "a.mp4")["original_hash_sha256"] == SHA256
                self.once(state)
                assert move_to_corrupted(video, "t") is None
            else:
                assert move_to_corrupted(video, "t") == corrupted / "a.mp4"
                self.once(state)
            assert names(corrupted) == ["a.mp4", "a.mp4.meta.json"]
            self.anew(state, corrupted, video)

    def test_across_file_systems_it_is_whole_in_one_or_both(
        self, state: State, root: Path, video: Path, other_disk: Path
    ) -> None:
        for _ in killed_at_each_call(lambda: self.move(video)):
            there = [path for path in (video, other_disk / "a.mp4") if path.exists()]
            assert [path.read_bytes() for path in there] in ([CONTENT], [CONTENT] * 2)
            if video in there:
                assert move_to_corrupted(video, "t") == other_disk / "a.mp4"
            self.once(state)
            assert (names(other_disk), video.exists()) == (["a.mp4", "a.mp4.meta.json"], False)
            self.anew(state, other_disk, video)

    def test_a_release_can_be_repeated(self, root: Path, video: Path) -> None:
        corrupted = root / "corrupted"
        move_to_corrupted(video, "t")
        for _ in killed_at_each_call(lambda: release(corrupted, "a.mp4")):
            there = [path for path in (video, corrupted / "a.mp4") if path.exists()]
            assert [path.read_bytes() for path in there] == [CONTENT]
            if video in there:
                assert move_to_corrupted(video, "t") == corrupted / "a.mp4"
            assert read(corrupted, "a.mp4")["original_hash_sha256"] == SHA256

    def test_what_a_killed_process_left_unfinished_is_swept_by_the_next(
        self, root: Path, video: Path, other_disk: Path
    ) -> None:
        for call in range(1, 1000):
            killed_at(call, lambda: self.move(video))
            if any(name.startswith(files.TEMPORARY) for name in names(other_disk)):
                break

        assert move_to_corrupted(video, "t")
        assert names(other_disk) == ["a.mp4", "a.mp4.meta.json"]

    @staticmethod
    def move(video: Path) -> None:
        assert move_to_corrupted(video, "t")

    @staticmethod
    def once(state: State) -> None:
        """An event that is repeated has the same id: the exporter counts it once."""
        events = state.events("video.quarantined")
        assert len({event["id"] for event in events}) == 1

    @staticmethod
    def anew(state: State, corrupted: Path, video: Path) -> None:
        journals.reset()
        for file in state.files():
            file.unlink()
        for name in names(corrupted):
            (corrupted / name).unlink()
        make(video)


class TestAcrossFileSystems:
    def test_content_mode_and_time_stay(self, video: Path, other_disk: Path) -> None:
        video.chmod(0o604)
        os.utime(video, (1_600_000_000, 1_600_000_000))

        moved = move_to_corrupted(video, "t")

        assert moved == other_disk / "a.mp4"
        assert (moved.read_bytes(), video.exists()) == (CONTENT, False)
        assert (moved.stat().st_mode & 0o777, moved.stat().st_mtime) == (0o604, 1_600_000_000)

    def test_a_full_disk_leaves_everything_as_it_was(self, state: State, root: Path, other_disk: Path) -> None:
        large = make(root / "input" / "large.mp4", os.urandom(2 << 20))

        assert move_to_corrupted(large, "t") is None
        assert (large.stat().st_size, names(other_disk)) == (2 << 20, [])
        assert "No space left" in state.events("alert")[0]["details"]
        assert state.events("video.quarantined") == []

    def test_a_copy_that_differs_is_refused(
        self, video: Path, other_disk: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = files.write_all
        monkeypatch.setattr(files, "write_all", lambda fd, data: real(fd, data.replace(b"FRAME", b"FLAME")))

        assert move_to_corrupted(video, "t") is None
        assert (video.read_bytes(), names(other_disk)) == (CONTENT, [])

    def test_a_file_that_still_grows_stays(
        self, video: Path, other_disk: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = files.copy

        def copy(source: int, target: int, digest: str) -> None:
            real(source, target, digest)
            with video.open("ab") as file:
                file.write(b"more")

        monkeypatch.setattr(files, "copy", copy)

        assert move_to_corrupted(video, "t") is None
        assert (video.read_bytes(), names(other_disk)) == (CONTENT + b"more", [])

    def test_one_that_is_released_goes_back(self, video: Path, other_disk: Path) -> None:
        move_to_corrupted(video, "t")

        assert release(other_disk, "a.mp4") == video
        assert (video.read_bytes(), names(other_disk), names(video.parent)) == (CONTENT, [], ["a.mp4"])

    def test_one_file_system_that_is_mounted_twice_is_two(self, root: Path, video: Path) -> None:
        if os.geteuid() != 0:
            pytest.skip("mounting needs root")
        corrupted, elsewhere = root / "corrupted", root / "elsewhere"
        corrupted.mkdir()
        elsewhere.mkdir()
        subprocess.run(["mount", "--bind", str(elsewhere), str(corrupted)], check=True)
        try:
            assert move_to_corrupted(video, "t") == corrupted / "a.mp4"
            assert (elsewhere / "a.mp4").read_bytes() == CONTENT
            assert not video.exists()
        finally:
            subprocess.run(["umount", "--lazy", str(corrupted)], check=True)


class TestReleasing:
    def test_the_file_goes_back_and_its_attempts_are_forgotten(self, root: Path, video: Path) -> None:
        attempts = Attempts(video, limit=1)
        with attempts.attempt("scan_video") as attempt:
            attempt.fail("bad")
        assert attempts.moved_to == root / "corrupted" / "a.mp4"

        assert release(root / "corrupted", "a.mp4") == video
        assert (video.read_bytes(), names(root / "corrupted")) == (CONTENT, [])
        assert Attempts(video).count("scan_video") == 0

    def test_no_file_is_overwritten(self, root: Path, video: Path) -> None:
        move_to_corrupted(video, "t")
        make(video, b"newer")

        with pytest.raises(QuarantineError, match="File exists"):
            release(root / "corrupted", "a.mp4")

        assert video.read_bytes() == b"newer"
        assert names(root / "corrupted") == ["a.mp4", "a.mp4.meta.json"]

    @pytest.mark.parametrize("origin", ["/etc/cron.d/evil", "../../evil", "", None, "link/evil"])
    def test_a_side_car_cannot_send_it_elsewhere(self, root: Path, video: Path, tmp_path: Path, origin: Any) -> None:
        (root / "link").symlink_to(tmp_path)
        move_to_corrupted(video, "t")
        sidecar = root / "corrupted" / "a.mp4.meta.json"
        content = json.loads(sidecar.read_text())
        content["original_path"] = str(root / origin) if origin else origin
        sidecar.write_text(json.dumps(content))

        with pytest.raises(QuarantineError, match="say where it belongs"):
            release(root / "corrupted", "a.mp4")

        there = release(root / "corrupted", "a.mp4", tmp_path / "here.mp4")
        assert there.read_bytes() == CONTENT

    @pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b"[" * 1_000_000, b"null"])
    def test_a_side_car_that_is_none_is_told(self, root: Path, video: Path, content: bytes) -> None:
        move_to_corrupted(video, "t")
        (root / "corrupted" / "a.mp4.meta.json").write_bytes(content)

        with pytest.raises(QuarantineError, match="cannot be read"):
            release(root / "corrupted", "a.mp4")
        assert list(entries(root / "corrupted")) == [("a.mp4", {})]
