"""``corrupted/``: where damaged files go, each with a side-car that says why.

except ScanError as error:
    move_to_corrupted(video, "scan_failed", error, component="scan_video.py")

``corrupted/NAME.meta.json`` is there before ``corrupted/NAME``, and gone after it. Whoever moves a file holds its lock,
which the kernel drops when the process ends. A side-car without a file was left by a process that was killed: the file
is where it was.
"""

from __future__ import annotations

import errno
import os
import time
from collections import deque
from contextlib import suppress
from itertools import islice

from vv_core.common import environment, files, journals, lasting, sdklog, shared, texts
from vv_core.common.ids import uuid7

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path
    from typing import Any

FOLDER = "corrupted"
SIDECAR = ".meta.json"
"""What the name of a side-car has more than its file's."""

MAX_MESSAGE = 4_000
"""Longest message of a side-car, in bytes."""

_MAX_ERROR, _MAX_PATH, _MAX_ATTEMPTS = 1_000, 4096, 100
_MAX_ENTRIES = 100  # of one attempt
_MAX_READ = 10_000  # attempts
_MAX_SIDECAR = 1 << 20
_MAX_EXTENSION = 20
_NAMES = 100_000
_NAME_MAX = 255  # bytes: <linux/limits.h>


class QuarantineError(Exception):
    """An entry of ``corrupted/`` that cannot be read or released, and why."""


def move_to_corrupted(
    path: str | bytes | os.PathLike[str] | None = None,
    error_type: object = "",
    details: object = "",
    source_component: object = None,
    *,
    component: object = None,
    attempts: Iterable[Mapping[str, object]] = (),
    log_snippet_ref: object = None,
) -> Path | None:
    """Move a damaged file to ``corrupted/``, with a side-car that says why; return where it is now.

    Made for except-blocks: it raises nothing. If the file cannot be moved it stays where it is, the result is None,
    and an alert says so; a file that is gone is only logged. Whatever dies at whatever instant, the file is whole, in
    one of the two places (across file systems in both, for a moment; the next call ends that).

    ``corrupted/`` lies in ``$VIDEO_STORAGE_ROOT``, else beside the file's ``input/``, else beside the file. No file is
    overwritten: ``a.mp4`` becomes ``a-1.mp4`` if need be. Only regular files are moved. The whole file is read once,
    for its SHA-256; across file systems it is copied and verified, which takes its time.

    `error_type` is a word or two, one of few: it is a label of ``vv_videos_quarantined_total``. `details` are text,
    a mapping or an exception (4 kB of it). `attempts` is the history of failures, as `Attempts` gives it.
    `log_snippet_ref` says where to read more (default: ``app.log``, with the process and the time).
    `source_component` is another name of `component`, by which `send_alert` knows it.
    """
    source = journals.component_name(source_component if component is None else component)
    try:
        original = os.path.abspath(texts.path_bytes(path))
        about = _about_document(original, source, error_type, details, attempts, log_snippet_ref)
        target = _move_file(original, _folder_for(original), about)
    except texts.ENDS:
        raise
    except BaseException as error:
        _tell_failure(path, error_type, source, error)
        return None
    from pathlib import Path

    return Path(os.fsdecode(target))


def entries(folder: str | os.PathLike[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The name and the side-car's content of every entry, by name; nothing for a file without a readable side-car.

    A side-car without a file is an entry too. Raises `OSError`.
    """
    try:
        found = os.listdir(os.fsdecode(texts.path_bytes(folder)))
    except ValueError as error:
        raise OSError(errno.EINVAL, str(error), texts.path(folder, _MAX_PATH)) from None
    names = {name for name in found if not name.startswith(files.TEMPORARY)}
    sidecars = {name for name in names if name.endswith(SIDECAR)}
    for name in sorted((names - sidecars) | {name.removesuffix(SIDECAR) for name in sidecars}):
        try:
            yield name, read(folder, name)
        except QuarantineError:
            yield name, {}


def read(folder: str | os.PathLike[str], name: str) -> dict[str, Any]:
    """The content of an entry's side-car. Raises `QuarantineError`."""
    try:
        return _sidecar_content(os.path.join(texts.path_bytes(folder), texts.path_bytes(name) + SIDECAR.encode()))
    except (OSError, ValueError) as error:
        raise QuarantineError(f"the side-car of {texts.path(name, _MAX_PATH)} cannot be read: {error}") from None


def release(folder: str | os.PathLike[str], name: str, to: str | os.PathLike[str] | None = None) -> Path:
    """Move an entry's file back to where it came from, or to `to`, never over another file; return where it is.

    The side-car goes last. The attempts that were counted for the content are forgotten. Raises `QuarantineError`, also
    if the file came from outside the folder that holds ``corrupted/``: whoever may write a side-car must not choose
    where another user's `release` puts a file. `to` says it expressly.
    """
    about = read(folder, name)
    try:
        entry = os.path.join(os.path.abspath(texts.path_bytes(folder)), texts.path_bytes(name))
        target = os.path.abspath(texts.path_bytes(to)) if to is not None else _origin_of(entry, about)
        _give_back(entry, target)
    except (OSError, ValueError) as error:
        raise QuarantineError(f"{texts.path(name, _MAX_PATH)} cannot be released: {error}") from None
    from pathlib import Path

    from vv_core.attempts import forget

    forget(str(about.get("original_hash_sha256", "")))
    return Path(os.fsdecode(target))


def candidate(name: bytes, number: int, limit: int = _NAME_MAX) -> bytes:
    """The name in ``corrupted/`` of a file `name`: the first (0), or a further one. Its side-car's fits `limit` too."""
    if name.endswith(os.fsencode(SIDECAR)):  # it would be taken for a side-car
        name += b".file"
    stem, extension = os.path.splitext(name)
    if len(extension) > _MAX_EXTENSION:
        stem, extension = name, b""
    ending = (b"-%d" % number if number else b"") + extension
    return _shorten_stem(stem, limit - len(SIDECAR) - len(ending)) + ending


def _shorten_stem(stem: bytes, limit: int) -> bytes:
    """At most `limit` bytes of it, without half a character of UTF-8 at its end."""
    if len(stem) <= limit:
        return stem
    while limit > 1 and stem[limit] & 0xC0 == 0x80:
        limit -= 1
    return stem[:limit]


def _about_document(
    original: bytes,
    component: str,
    error_type: object,
    details: Any,
    attempts: object,
    reference: object,
) -> dict[str, Any]:
    now = time.time()
    stamp = f"{texts.stamp(now)}.{int(now * 1000) % 1000:03d}Z"
    log = os.path.join(environment.log_dir(), "app.log")
    return {
        "id": uuid7(),
        "original_path": os.fsdecode(original),
        "timestamp_corruption": stamp,
        "source_component": component,
        "error_type": texts.name(error_type) or "unknown",
        "error_message": texts.described(details, MAX_MESSAGE),
        "log_snippet_ref": texts.line(
            f"{log}: {component}[{os.getpid()}] {stamp}" if reference is None else reference, _MAX_PATH
        ),
        "original_hash_sha256": "",
        "attempts": _latest_attempts(attempts),
    }


def _latest_attempts(attempts: Any) -> list[dict[str, str]]:
    """The latest of them, as far as they can be read: the file must get out of the way in any case."""
    try:
        read = deque(islice(attempts, _MAX_READ), _MAX_ATTEMPTS)  # what others iterate over may have no end
        latest = (islice(attempt.items(), _MAX_ENTRIES) for attempt in read)
        return [{texts.line(key, 100): texts.line(value, _MAX_ERROR) for key, value in items} for items in latest]
    except texts.ENDS:
        raise
    except BaseException as error:
        return [{"error": f"the attempts cannot be read: {texts.kind(error)}: {texts.line(error, _MAX_ERROR)}"}]


def _folder_for(original: bytes) -> bytes:
    root = environment.path("VIDEO_STORAGE_ROOT")
    if root:
        return os.path.join(os.fsencode(root), os.fsencode(FOLDER))
    above, found, _ = original.rpartition(b"/input/")
    return os.path.join(above if found else os.path.dirname(original), os.fsencode(FOLDER))


def _move_file(original: bytes, folder: bytes, about: dict[str, Any]) -> bytes:
    fd = files.open_regular(original)
    try:
        _own(fd, original)
        about["original_hash_sha256"] = files.sha256(fd)
        files.set_aside_unless_folder(folder)
        shared.make_folder(folder, mend=False)  # found, it is as its owner wants it
        files.sweep(folder)
        for number in range(_NAMES):
            target = os.path.join(folder, candidate(os.path.basename(original), number, _longest_name(folder)))
            if _is_copied(fd, target, about):
                _delete_durably(original)
                return target
            if _place_under_name(fd, original, target, about):
                return target
        raise FileExistsError(errno.EEXIST, "too many files have this name", os.fsdecode(target))
    finally:
        os.close(fd)


def _own(fd: int, path: bytes) -> None:
    """Make sure that nobody else is moving the file, and that it can be moved from where it is. Raises `OSError`."""
    if not files.lock(fd):
        raise BlockingIOError(errno.EAGAIN, "another process works with it", os.fsdecode(path))
    if not os.path.samestat(os.fstat(fd), os.stat(path, follow_symlinks=False)):
        raise FileNotFoundError(errno.ENOENT, "it was moved just now", os.fsdecode(path))
    folder = os.path.dirname(path)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), os.fsdecode(folder))


def _place_under_name(fd: int, original: bytes, target: bytes, about: dict[str, Any]) -> bool:
    """Move the file under this name, side-car first; False if the name is taken."""
    sidecar = target + os.fsencode(SIDECAR)
    if os.path.lexists(target):
        return False
    # What a killed process left of this very move: its id is kept, for its event may have been reported.
    left = _same_move(sidecar, about)
    about["id"] = left or about["id"]
    try:
        files.write_new(sidecar, _encode_sidecar(about), replace=bool(left))
    except FileExistsError:
        return False
    try:
        _transfer_file(fd, original, target, about["original_hash_sha256"], lambda: _report_move(target, about))
    except OSError as error:
        taken = isinstance(error, FileExistsError)
        if taken or not os.path.lexists(target):
            with suppress(OSError):
                os.unlink(sidecar)
        if not taken:
            raise
        return False
    return True


def _transfer_file(fd: int, source: bytes, target: bytes, digest: str, before: Callable[[], object]) -> None:
    """Rename the open file; to another file system copy it, and delete it last. `before` comes before its new name."""
    folder = os.path.dirname(target)
    one_device = os.fstat(fd).st_dev == os.stat(folder).st_dev
    if one_device:
        before()
        try:
            files.rename_new(source, target)
        except OSError as error:
            if error.errno != errno.EXDEV:  # one file system, mounted twice
                raise
        else:
            lasting.sync_folder(folder)
            lasting.sync_folder(os.path.dirname(source))
            return
    was = os.fstat(fd)
    unfinished, copy = files.temporary(folder)
    try:
        files.copy(fd, copy, digest)
        if os.geteuid() == 0:
            shared.give(copy, was)
        os.fchmod(copy, was.st_mode & 0o777)
        os.utime(copy, ns=(was.st_atime_ns, was.st_mtime_ns))
        _require_unchanged(fd, was)
        if not one_device:
            before()
        files.rename_new(unfinished, target)
        lasting.sync_folder(folder)
        _require_unchanged(fd, was)
        _delete_durably(source)
    finally:
        with suppress(OSError):
            os.unlink(unfinished)
        os.close(copy)


def _require_unchanged(fd: int, was: os.stat_result) -> None:
    if files.identity(os.fstat(fd)) != files.identity(was):
        raise OSError(errno.EBUSY, "it changed while it was copied")


def _delete_durably(path: bytes) -> None:
    os.unlink(path)
    lasting.sync_folder(os.path.dirname(path))


def _is_copied(fd: int, target: bytes, about: dict[str, Any]) -> bool:
    """Whether a process that was killed has copied the file there already, and had only the original left to delete."""
    if os.fstat(fd).st_dev == os.stat(os.path.dirname(target)).st_dev:
        return False
    if not _same_move(target + os.fsencode(SIDECAR), about):
        return False
    try:
        copy = files.open_regular(target)
    except OSError:
        return False
    try:
        return bool(files.sha256(copy) == about["original_hash_sha256"])
    finally:
        os.close(copy)


def _same_move(sidecar: bytes, about: dict[str, Any]) -> str:
    """The id in a side-car if that tells of the same file with the same content; else nothing."""
    try:
        content = _sidecar_content(sidecar)
    except (OSError, ValueError):
        return ""
    same = all(content.get(key) == about[key] for key in ("original_path", "original_hash_sha256"))
    return str(content.get("id", "")) if same else ""


def _give_back(entry: bytes, target: bytes) -> None:
    fd = files.open_regular(entry)
    try:
        _own(fd, entry)
        files.sweep(os.path.dirname(target))
        _transfer_file(fd, entry, target, files.sha256(fd), lambda: None)
        _delete_durably(entry + os.fsencode(SIDECAR))
    finally:
        os.close(fd)


def _origin_of(entry: bytes, about: dict[str, Any]) -> bytes:
    original = about.get("original_path")
    if not isinstance(original, str) or not os.path.isabs(original):
        raise QuarantineError("its side-car does not say where it came from; say where it belongs")
    storage = os.path.realpath(os.path.dirname(os.path.dirname(entry)))
    try:
        target = os.path.normpath(os.fsencode(original))
        inside = os.path.commonpath((os.path.realpath(os.path.dirname(target)), storage)) == storage
    except ValueError:
        raise QuarantineError("its side-car names a place that there cannot be; say where it belongs") from None
    if not inside:
        where = texts.path(target, _MAX_PATH)
        raise QuarantineError(f"it came from {where}, outside {texts.path(storage, _MAX_PATH)}; say where it belongs")
    return target


def _longest_name(folder: bytes) -> int:
    try:
        return min(os.pathconf(folder, "PC_NAME_MAX"), _NAME_MAX)
    except OSError:
        return _NAME_MAX


def _encode_sidecar(about: dict[str, Any]) -> bytes:
    import json

    # Names that are not UTF-8 survive as the escapes of surrogates.
    return (json.dumps(about, indent=2) + "\n").encode()


def _sidecar_content(sidecar: bytes) -> dict[str, Any]:
    """Raises `OSError`, or `ValueError` if it is none."""
    import json

    try:
        content = json.loads(files.read_regular(sidecar, _MAX_SIDECAR))
    except RecursionError:
        raise ValueError("too deep") from None
    if not isinstance(content, dict):
        raise ValueError("not an object")  # noqa: TRY004 - what it says is wrong, not what was passed
    return content


def _report_move(target: bytes, about: dict[str, Any]) -> None:
    fields = {
        "id": about["id"],
        "reason": about["error_type"],
        "path": texts.path(target, _MAX_PATH),
        "video": texts.path(about["original_path"], _MAX_PATH),
        "video_sha256": about["original_hash_sha256"],
    }
    if about["error_message"]:
        fields["error"] = texts.line(about["error_message"], _MAX_ERROR)
    journals.emit("video.quarantined", about["source_component"], fields, journals.LASTING)


def _tell_failure(path: object, error_type: object, component: str, error: BaseException) -> None:
    """A file that cannot be moved: an alert, unless it is gone, or just being moved by another process."""
    from vv_core.alerter import send_alert

    name, reason = texts.path(path, _MAX_PATH), texts.printed(error)
    if isinstance(error, FileNotFoundError | BlockingIOError):
        sdklog.warn("vv_core.quarantine", "%s was not moved to corrupted/: %s", name, reason)
        return
    send_alert(
        "ERROR",
        "A damaged file could not be moved to corrupted/",
        {"file": name, "why it should be moved": texts.name(error_type), "why it could not be": reason},
        component,
        context={"video": name},
        suggested_actions=["See whether the folder can be written: ls -ld corrupted", "See whether the disk is full"],
    )
