"""What the users of one group share: the modes of its folders and files, and the one way to make them.

The umask of whoever comes first decides nothing: with 022 others could not write, with 077 not even look, with 000
everybody could. What is there with less than it needs is mended by its owner, or by root; a folder that its owner
closed to himself was meant so. What root makes in another user's folder becomes that user's.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress

from vv_core.common import lasting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeVar

    Path = TypeVar("Path", str, bytes)

STICKY_FOLDER = 0o3770
"""Members of the group take part; each deletes and replaces only what is its own."""
COMMON_FOLDER = 0o2770
"""Members of the group take part, and delete and replace what others made: one is the next one's helper."""
WAY = 0o755
"""A folder above those that are shared, made on the way."""
COMMON_FILE = 0o660
READABLE_FILE = 0o640
"""Members of the group read it."""

_WHOLE = stat.S_IRWXU


def make_folder(path: Path, mode: int = COMMON_FOLDER, *, mend: bool = True) -> None:
    """Have the folder `path`; made, or with `mend` found, it has at least `mode`. Raises `OSError` without a folder.

    A missing folder right above it is made as `STICKY_FOLDER`: whoever else has a folder there may come later. What is
    made is on the disk: what lies in a folder whose name is lost is lost as well.
    """
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        _make_below(path, mode, STICKY_FOLDER)
        return
    if mend and mode & ~found.st_mode and found.st_mode & _WHOLE == _WHOLE and os.geteuid() in (0, found.st_uid):
        _widen_mode(path, mode)


def open_file(path: Path, flags: int, mode: int = COMMON_FILE) -> int:
    """A descriptor of the file `path`, made where it is missing, with at least `mode` where it is one's own.

    With `O_EXCL` in `flags` it must be missing. Never follows a link. Raises `OSError`.
    """
    flags |= os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK  # others may have put a pipe there
    try:
        fd = os.open(path, flags | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        if flags & os.O_EXCL:
            raise
        fd = os.open(path, flags)
        made = False
    else:
        made = True
    try:
        _settle_mode(fd, folder_of(path), mode, made)
    except BaseException:
        os.close(fd)
        raise
    return fd


def folder_of(path: Path) -> Path:
    """The folder in which `path` lies; of a bare name the current one."""
    return os.path.dirname(path) or path[:0] + (b"." if isinstance(path, bytes) else ".")


def _make_below(path: Path, mode: int, above: int) -> None:
    folder = folder_of(path)
    if not os.path.isdir(folder):
        _make_below(folder, above, WAY)
    try:
        os.mkdir(path, mode & 0o777)
    except FileExistsError:
        if not os.path.isdir(path):
            raise
        return  # another process was faster
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except PermissionError:  # a umask that shuts out oneself
        os.chmod(path, mode)
    else:
        try:
            _settle_mode(fd, folder, mode, True)
        finally:
            os.close(fd)
    with suppress(OSError):  # whoever may write there may not be let read; it serves as it is
        lasting.sync_folder(folder)


def _widen_mode(path: Path, mode: int) -> None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:  # a link that an operator made: its target is his
        return
    try:
        _settle_mode(fd, path, mode, False)
    finally:
        os.close(fd)


def _settle_mode(fd: int, folder: Path, mode: int, made: bool) -> None:
    """Give what is open its mode; what is new and root's to the owner of `folder`, if that is somebody else."""
    found, euid = os.fstat(fd), os.geteuid()
    if made:
        above = os.stat(folder)
        if euid == found.st_uid == 0 and above.st_uid:
            give(fd, above)
    elif euid not in (0, found.st_uid) or (not stat.S_ISDIR(found.st_mode) and found.st_nlink != 1):
        return  # a file with another name elsewhere may be one that somebody wants to see opened
    wanted = mode if made else stat.S_IMODE(found.st_mode) | mode
    if wanted != stat.S_IMODE(found.st_mode):
        _set_mode(fd, wanted)


def give(fd: int, like: os.stat_result) -> None:
    """Give what is open to the user and group of `like`, where the file system has any. For root."""
    try:
        os.fchown(fd, like.st_uid, like.st_gid)
    except OSError:  # FAT, or a share of another machine: everything there belongs to one user
        return


def _set_mode(fd: int, mode: int) -> None:
    """As far as the file system, and a sandbox that forbids the set-group-ID bit, let it: it serves as it is, too."""
    for allowed in (mode, mode & 0o1777):
        try:
            os.fchmod(fd, allowed)
        except OSError:
            continue
        return
