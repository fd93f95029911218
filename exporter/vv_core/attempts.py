"""How often a video was tried in vain: by content and stage, kept across runs and processes.

attempts = Attempts(video, component="orchestrator.py")
for name in ("scan_video", "summarize_scene"):
    if attempts.exhausted(name):  # told, and moved to corrupted/
        break
    with attempts.attempt(name):
        run(name, video)

Each attempt is a file below ``$VV_STATE_DIR/attempts/<SHA-256>/``, there before the attempt begins and locked while it
lasts. A success deletes it, a failure leaves it with the error in it, and one that can be locked without having an end
belongs to a process that was killed, or to a machine that was.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from contextlib import suppress

from vv_core import _runs
from vv_core.common import environment, files, journals, lasting, sdklog, shared, texts
from vv_core.common.ids import uuid7, uuid7_hex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path
    from types import TracebackType
    from typing import Any

    History = list[dict[str, Any]]

CRASH = "the process died unexpectedly (killed, out of memory, or power lost)"
KEEP = 30 * 86_400.0
"""Seconds after which what is known of a content is forgotten."""
MOST = 10_000
"""Contents and files of which something is known, at most; then the oldest go."""

_MAX_ERROR, _MAX_PATH = 1_000, 4096
_MAX_FILE = 1 << 16
_MAX_READ = 1_000  # of a stage's attempts: the newest
_UUID = 36  # characters
UNREADABLE = "its record cannot be read"
_DAY = 86_400.0
_ATTEMPT, _REPORTED = ".attempt", ".exhausted"
_KNOWN = ".known"
_TRIES = 10

_complained: set[str] = set()


class Attempts:
    """The attempts at one video. Raises nothing: what cannot be kept is logged once, and not counted."""

    def __init__(
        self,
        video: str | bytes | os.PathLike[str],
        *,
        limit: int | None = None,
        component: str | None = None,
        quarantine: bool = True,
    ) -> None:
        """`limit` (default: ``VV_MAX_ATTEMPTS``, 3) is how many attempts a stage has.

        With `quarantine` a video that has had them is moved to ``corrupted/``.
        """
        self.video = _absolute_path(video)
        self.limit = _runs.whole(limit, least=1) or environment.max_attempts()
        self.moved_to: Path | None = None
        """Where the video was moved to, None if it was not."""
        self._component = journals.component_name(component)
        self._quarantine = texts.truth(quarantine)
        self._key = ""
        self._sha256 = ""

    @property
    def sha256(self) -> str:
        """The content's SHA-256, in hexadecimal; empty if the video cannot be read.

        It is taken once, and known again as long as the file is the same (device, inode, size, time of change).
        """
        try:
            self._video_folder()
        except Exception as error:
            _log_uncounted(error)
        return self._sha256

    def attempt(self, stage: str) -> Attempt:
        """A context manager around one attempt. Never changes what its body raises.

        It succeeds, which clears the stage's history, unless an exception leaves the body, `SystemExit` with
        another code than 0 does, or the body calls `fail`. `KeyboardInterrupt` and the like are no attempt. A process
        that is killed inside leaves a failed one. After the last one the video is given up at once (see `exhausted`).
        """
        return Attempt(self, stage)

    def exhausted(self, stage: str) -> bool:
        """Whether the stage has had its attempts: then leave the video alone.

        The first time it is told (`VideoAttemptsExhausted`), and each time the video is moved to ``corrupted/`` with
        the history, if it is still there.
        """
        history = self.history(stage)
        if len(history) < self.limit:
            return False
        try:
            self._give_up(_file_name(stage), stage, history)
        except Exception as error:
            _log_uncounted(error)
        return True

    def count(self, stage: str) -> int:
        """How many attempts have failed since the last success; without those in progress."""
        return len(self.history(stage))

    def history(self, stage: str) -> History:
        """The attempts that failed since the last success, oldest first: `time` (UTC), `component`, `error`."""
        try:
            folder, prefix = self._video_folder(), os.fsencode(_file_name(stage))
            found = [_failure_of(os.path.join(folder, name)) for name in _attempts(folder, prefix)[-_MAX_READ:]]
        except Exception as error:
            _log_uncounted(error)
            return []
        return [failure for failure in found if failure]

    def clear(self, stage: str) -> None:
        """Forget the stage's history."""
        try:
            folder, prefix = self._video_folder(), os.fsencode(_file_name(stage))
            attempts = _attempts(folder, prefix)
            for name in [*attempts, prefix + os.fsencode(_REPORTED)]:
                try:
                    _remove_path(os.path.join(folder, name))
                except OSError as error:
                    _log_uncounted(error)
            # With the one that just succeeded they would give up the video if a power cut brought them back.
            if len(attempts) + 1 >= self.limit and os.path.isdir(folder):
                lasting.sync_folder(folder)
            with suppress(OSError):  # others have attempts there
                os.rmdir(folder)
        except Exception as error:
            _log_uncounted(error)

    def _video_folder(self) -> bytes:
        if not self._key:
            self._sha256 = _content_of(self.video)
            # A file that cannot be read is known by its path: it must not be tried for ever either.
            self._key = self._sha256 or f"path-{_digest_of(self.video)}"
        return os.path.join(_attempts_folder(), os.fsencode(self._key))

    def _give_up(self, name: str, stage: str, history: History) -> None:
        marker = os.path.join(self._video_folder(), os.fsencode(name + _REPORTED))
        if not _read_small(marker).endswith(b"told\n"):
            self._report_exhausted(marker, stage, history)
        if self._quarantine and os.path.lexists(self.video):
            self.moved_to = self._move_video(stage, history) or self.moved_to

    def _report_exhausted(self, marker: bytes, stage: str, history: History) -> None:
        """Report it under an id that is kept first: whoever is killed in between reports the same once more."""
        content = _read_small(marker)
        if content and not _id_in(content):  # others wrote it
            _remove_path(marker)
        with suppress(FileExistsError):
            files.write_new(marker, os.fsencode(uuid7() + "\n"), mode=shared.COMMON_FILE)
        fields: dict[str, object] = {
            "id": _id_in(_read_small(marker)),
            "stage": texts.name(stage) or "unnamed",
            "attempts": len(history),
            "video": texts.path(self.video, _MAX_PATH),
            "error": history[-1]["error"],
        }
        if self._sha256:
            fields["video_sha256"] = self._sha256
        if journals.emit("video.exhausted", self._component, fields, journals.LASTING):
            _append_data(marker, b"told\n")

    def _move_video(self, stage: str, history: History) -> Path | None:
        from vv_core.quarantine import move_to_corrupted

        details = f"{texts.many(len(history), 'attempt')} of {stage} failed; the latest: {history[-1]['error']}"
        return move_to_corrupted(self.video, "attempts_exhausted", details, component=self._component, attempts=history)


class Attempt:
    """See `Attempts.attempt`."""

    def __init__(self, attempts: Attempts, stage: str) -> None:
        self._attempts = attempts
        self._stage = stage
        self._path = b""
        self._fd = -1
        self._pid = 0
        self._error = ""

    def fail(self, reason: object = "") -> None:
        """Let the attempt count as failed although no exception leaves its body."""
        self._error = texts.line(reason, _MAX_ERROR) or "failed"

    def __enter__(self) -> Attempt:
        self._error = ""
        try:
            self._begin_attempt()
        except Exception as error:
            _log_uncounted(error)
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        try:
            if self._fd >= 0 and self._pid == os.getpid():  # in a forked child it is the parent's
                self._end_attempt(error)
        except Exception as problem:
            _log_uncounted(problem)
        finally:
            self._close_file()

    def _begin_attempt(self) -> None:
        folder = self._attempts._video_folder()
        home = os.path.dirname(folder)
        files.set_aside_unless_folder(home)
        shared.make_folder(home)
        with suppress(OSError):  # what is too much may wait for somebody who may delete it; the attempt may not
            _prune_attempts(home)
        self._path = os.path.join(folder, os.fsencode(f"{_file_name(self._stage)}.{uuid7_hex()}{_ATTEMPT}"))
        self._fd, self._pid = _create_attempt(self._path), os.getpid()
        files.write_all(
            self._fd, _encode_line({"time": _stamp_text(time.time()), "component": self._attempts._component})
        )
        # That it was begun must outlive the machine, which a video may take down, too; for that its name is enough.
        lasting.sync_folder(folder)

    def _end_attempt(self, error: BaseException | None) -> None:
        if error is not None and not self._judge_end(error):
            os.unlink(self._path)
        elif not self._error:
            os.unlink(self._path)
            self._attempts.clear(self._stage)
        else:
            files.write_all(self._fd, _encode_line({"error": self._error}))
            os.fsync(self._fd)
            self._attempts.exhausted(self._stage)

    def _judge_end(self, error: BaseException) -> bool:
        """Whether the body's end says anything of the video; if it failed, why."""
        if isinstance(error, SystemExit):
            if error.code not in (None, 0):
                self.fail(f"exit code {error.code}" if isinstance(error.code, int) else error.code)
            return True
        if isinstance(error, Exception):
            self.fail(f"{texts.kind(error)}: {texts.printed(error)}".removesuffix(": "))
            return True
        return False

    def _close_file(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


def forget(sha256: str) -> None:
    """Forget all attempts at a content. Raises nothing."""
    try:
        known = os.path.join(_attempts_folder(), os.fsencode(sha256))
        if sha256.isalnum() and os.path.lexists(known):
            _remove_path(known)
            lasting.sync_folder(os.path.dirname(known))
    except Exception as error:
        _log_uncounted(error)


def _absolute_path(video: object) -> bytes:
    """The path, also where there can be none of this kind: then no file has it, and the attempts are counted."""
    try:
        path = texts.path_bytes(video)
    except ValueError:
        path = texts.printed(video).encode(errors="surrogatepass")
    try:
        return os.path.abspath(path)
    except OSError:  # the working directory is gone
        return path


def _attempts_folder() -> bytes:
    return os.fsencode(os.path.join(environment.state_dir(), "attempts"))


def _file_name(stage: object) -> str:
    """A stage's name as the beginning of a file's."""
    name = texts.name(stage) or "unnamed"
    return name if name.replace("_", "").isalnum() and name.isascii() else f"stage-{_digest_of(os.fsencode(name))[:32]}"


def _attempts(folder: bytes, stage: bytes) -> list[bytes]:
    """The stage's files, oldest first: their names hold the time."""
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    return sorted(name for name in names if name.startswith(stage + b".") and name.endswith(os.fsencode(_ATTEMPT)))


def _failure_of(path: bytes) -> dict[str, str] | None:
    """What an attempt's file tells of its failure; None if it lasts, or if the file is gone by now or is none.

    One that may not be read counts: there was an attempt, and a video must not be tried for ever.
    """
    try:
        fd = files.open_regular(path)
    except PermissionError:
        return {"time": "", "component": "", "error": UNREADABLE}
    except OSError:
        return None
    try:
        content = os.read(fd, _MAX_FILE)
        ended = content.count(b"\n") > 1
        if not ended and not _is_left(fd):
            return None
        content = content if ended else os.pread(fd, _MAX_FILE, 0)  # it may have ended just now
        failure = {"time": _stamp_text(os.fstat(fd).st_mtime), "component": "", "error": CRASH}
        for line in content.splitlines():
            failure.update(_fields_in(line, failure))
        return failure
    finally:
        os.close(fd)


def _fields_in(line: bytes, keys: Collection[str]) -> dict[str, str]:
    """What a line of an attempt's file says of these; nothing if it is no JSON object."""
    import json

    try:
        content = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(content, dict):
        return {}
    return {key: texts.line(value, _MAX_ERROR) for key, value in content.items() if key in keys}


def _is_left(fd: int) -> bool:
    """Whether the process that held the file's lock is gone. Shared: who asks must not look like a holder."""
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _create_attempt(path: bytes) -> int:
    """A new attempt's file, locked. Raises `OSError`."""
    for _ in range(_TRIES):
        files.set_aside_unless_folder(os.path.dirname(path))
        with suppress(FileNotFoundError):  # another process, whose attempt succeeded, removed the folder just now
            shared.make_folder(os.path.dirname(path))
            fd = shared.open_file(path, os.O_WRONLY | os.O_EXCL | os.O_APPEND)
            files.lock(fd)
            return fd
    raise FileNotFoundError(errno.ENOENT, "its folder vanishes", os.fsdecode(path))


def _content_of(video: bytes) -> str:
    """SHA-256 of a video, from what is known of the same file, or else by reading it; empty if it cannot be read."""
    try:
        fd = files.open_regular(video)
    except (OSError, ValueError):
        return ""
    try:
        identity = files.identity(os.fstat(fd))
        known = os.path.join(_attempts_folder(), os.fsencode(_KNOWN), b"-".join(b"%d" % number for number in identity))
        with suppress(OSError):
            if _is_digest(target := os.readlink(known)):  # others may have put it there
                return os.fsdecode(target)
        digest = files.sha256(fd)
        if files.identity(os.fstat(fd)) == identity:
            _keep_digest(known, digest)
    except OSError:
        return ""
    else:
        return digest
    finally:
        os.close(fd)


def _is_digest(text: bytes) -> bool:
    return len(text) == 64 and text.isalnum()


def _keep_digest(path: bytes, digest: str) -> None:
    """Keep it as the target of a link, which is there as a whole or not at all."""
    with suppress(OSError):
        files.set_aside_unless_folder(os.path.dirname(path))
        shared.make_folder(os.path.dirname(os.path.dirname(path)))
        shared.make_folder(os.path.dirname(path))
        os.symlink(digest, path)


def _prune_attempts(home: bytes) -> None:
    """Once a day: forget what is old, and what is too much."""
    stamp = os.path.join(home, b".pruned")
    with suppress(FileNotFoundError):
        # A time to come is of a clock that was wrong.
        if 0 <= time.time() - os.stat(stamp, follow_symlinks=False).st_mtime < _DAY:
            return
    _touch_file(stamp)
    for folder in (home, os.path.join(home, os.fsencode(_KNOWN))):
        with suppress(FileNotFoundError), os.scandir(folder) as found:
            entries = [(entry.stat(follow_symlinks=False).st_mtime, entry.path) for entry in found if _is_kept(entry)]
            entries.sort(reverse=True)
            for age, (changed, path) in enumerate(entries):
                if age >= MOST or time.time() - changed > KEEP:
                    with suppress(OSError):
                        _remove_path(path)


def _touch_file(path: bytes) -> None:
    """Have a file that was changed just now, whatever others put in its place."""
    try:
        os.close(shared.open_file(path, os.O_WRONLY))
    except OSError:
        with suppress(OSError):
            _remove_path(path)
    with suppress(OSError):
        os.utime(path, follow_symlinks=False)


def _is_kept(entry: os.DirEntry[bytes]) -> bool:
    return not entry.name.startswith(b".")


def _remove_path(path: bytes) -> None:
    """Delete a file, or a folder and the files in it. Raises `OSError` for what stays."""
    with suppress(FileNotFoundError):
        if not stat.S_ISDIR(os.lstat(path).st_mode):
            os.unlink(path)
            return
        for name in os.listdir(path):
            with suppress(OSError):
                os.unlink(os.path.join(path, name))
        os.rmdir(path)


def _read_small(path: bytes) -> bytes:
    try:
        return files.read_regular(path, _MAX_FILE)
    except FileNotFoundError:
        return b""
    except PermissionError:
        raise
    except OSError:  # no file: others put it there
        _remove_path(path)
        return b""


def _id_in(content: bytes) -> str:
    """The id in the first line; nothing if that is no UUID's form."""
    first = content.partition(b"\n")[0].decode("ascii", "replace")
    return first if len(first) == _UUID and first.replace("-", "").isalnum() and first.isascii() else ""


def _append_data(path: bytes, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        files.write_all(fd, data)
    finally:
        os.close(fd)


def _encode_line(content: dict[str, str]) -> bytes:
    from vv_core.common.flatjson import encode

    return encode(content).encode() + b"\n"


def _stamp_text(now: float) -> str:
    return f"{texts.stamp(now)}Z"


def _digest_of(data: bytes) -> str:
    import hashlib

    return hashlib.sha256(data).hexdigest()


def _log_uncounted(error: Exception) -> None:
    problem = texts.kind(error)
    if problem in _complained:
        return
    _complained.add(problem)
    sdklog.warn("vv_core.attempts", "attempts cannot be counted: %s", texts.line(error, _MAX_ERROR))
