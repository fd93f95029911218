"""Files that are complete or not there, whatever dies in between."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from contextlib import suppress

from vv_core.common import shared
from vv_core.common.ids import uuid7_hex
from vv_core.common.lasting import sync_folder

CHUNK = 1 << 20
TEMPORARY = ".vv-"
"""What the names of unfinished files begin with."""

_AT_FDCWD, _RENAME_NOREPLACE = -100, 1  # <fcntl.h>, <linux/fs.h>
_NOT_OFFERED = (errno.ENOSYS, errno.EINVAL, errno.EPERM)  # by the kernel, the file system, a container's filter


def open_regular(path: bytes) -> int:
    """A descriptor to read the file. Raises `OSError` if there is none, or it is no regular file.

    Neither a link nor a pipe is followed: it would lead to a file that others chose, or block.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return fd
    os.close(fd)
    raise OSError(errno.EINVAL, "not a regular file", os.fsdecode(path))


def read_regular(path: bytes, most: int) -> bytes:
    """The content of the file, of a larger one its first `most` bytes. Raises `OSError` as `open_regular` does."""
    fd = open_regular(path)
    try:
        return os.read(fd, most)
    finally:
        os.close(fd)


def sha256(fd: int) -> str:
    """SHA-256 of a file's content from its beginning, in hexadecimal; takes 1 MiB of memory."""
    import hashlib

    digest, position = hashlib.sha256(), 0
    while chunk := os.pread(fd, CHUNK, position):
        digest.update(chunk)
        position += len(chunk)
    return digest.hexdigest()


def identity(status: os.stat_result) -> tuple[int, int, int, int]:
    """What changes when the content does: device, inode, size, time of the last change in nanoseconds."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def write_all(fd: int, data: bytes) -> None:
    """Write everything. Raises `OSError`."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def copy(source: int, target: int, digest: str) -> None:
    """Copy a file's content, write it through to the disk, read it again. Raises `OSError` if its SHA-256 differs."""
    position = 0
    while chunk := os.pread(source, CHUNK, position):
        write_all(target, chunk)
        position += len(chunk)
    os.fsync(target)
    os.posix_fadvise(target, 0, 0, os.POSIX_FADV_DONTNEED)  # so that the disk is read, not the cache
    if sha256(target) != digest:
        raise OSError(errno.EIO, "the copy differs from the file")


def rename_new(source: bytes, target: bytes) -> None:
    """Rename a file, never over another one. Raises `FileExistsError`, or `OSError`.

    Where renameat2(2) is not offered, a file that appears at the very moment is not noticed.
    """
    import ctypes

    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is not None:
        if renameat2(_AT_FDCWD, source, _AT_FDCWD, target, _RENAME_NOREPLACE) == 0:
            return
        number = ctypes.get_errno()
        if number not in _NOT_OFFERED:
            raise OSError(number, os.strerror(number), os.fsdecode(source), None, os.fsdecode(target))
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), os.fsdecode(target))
    os.rename(source, target)


def set_aside_unless_folder(path: bytes) -> None:
    """Rename what lies where a folder is to be made, and is none: members of the group may have put it there."""
    if os.path.lexists(path) and not os.path.isdir(path):
        os.rename(path, path + os.fsencode(f".set-aside-{uuid7_hex()}"))


def lock(fd: int) -> bool:
    """Take the lock of an open file; False if another process holds it. The kernel drops it when its holder ends.

    Where the file system has no locks the answer is True.
    """
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def temporary(folder: bytes, mode: int = shared.READABLE_FILE) -> tuple[bytes, int]:
    """The path and the descriptor of a new file that is not finished; locked, so that `sweep` leaves it alone."""
    while True:
        path = os.path.join(folder, os.fsencode(TEMPORARY + uuid7_hex()))
        fd = shared.open_file(path, os.O_RDWR | os.O_EXCL, mode)
        if lock(fd) and os.fstat(fd).st_nlink:
            return path, fd
        os.close(fd)  # a sweep was faster


def sweep(folder: bytes) -> None:
    """Delete the unfinished files of processes that were killed. Raises `OSError` if the folder cannot be read."""
    for name in os.listdir(folder):
        if not name.startswith(os.fsencode(TEMPORARY)):
            continue
        path = os.path.join(folder, name)
        with suppress(OSError):
            fd = open_regular(path)
            try:
                if lock(fd):
                    os.unlink(path)
            finally:
                os.close(fd)


def write_new(path: bytes, data: bytes, replace: bool = False, mode: int = shared.READABLE_FILE) -> None:
    """Have a file with this content, whole or not at all. Raises `FileExistsError` unless `replace`, or `OSError`."""
    unfinished, fd = temporary(shared.folder_of(path), mode)
    try:
        write_all(fd, data)
        os.fsync(fd)
        if replace:
            os.rename(unfinished, path)
        else:
            rename_new(unfinished, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(unfinished)
        raise
    finally:
        os.close(fd)
    sync_folder(shared.folder_of(path))
