"""Small files that others may have written, or put something else in the place of: a link, a pipe, a folder.

Whoever reads them gets a few bytes or an `OSError`, and never waits; whoever writes them makes way first.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import secrets
import stat
from pathlib import Path

from vv_core.common import shared
from vv_core.common.files import read_regular
from vv_core.common.ids import uuid7_hex
from vv_core.common.lasting import sync_folder
from vv_core.common.shared import READABLE_FILE
from vv_core.common.texts import path as printed_path

log = logging.getLogger(__name__)

MAX_SHOWN_PATH = 500  # bytes of a path in a line of the log


def read_small(path: Path, limit: int, *, follow: bool = False) -> bytes:
    """The content of a regular file of at most `limit` bytes. Raises `OSError`, also for everything else.

    `follow` is for files that whoever runs the program has named: they may be links, as secrets that are mounted are.
    """
    try:
        content = read_regular(os.fsencode(path.resolve() if follow else path), limit + 1)
    except (ValueError, RuntimeError) as error:  # a name that there cannot be, a link to itself
        raise OSError(errno.EINVAL, str(error), str(path)) from None
    if len(content) > limit:
        raise OSError(errno.EFBIG, f"larger than {limit} bytes", str(path))
    return content


def write_small(path: Path, content: bytes, mode: int = READABLE_FILE, *, lasting: bool = False) -> None:
    """Have a file with this content, whole or not at all, whatever lies there. Raises `OSError`.

    A power cut may take it back, or leave an empty file, unless it is `lasting`: not what is written again and again.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = shared.open_file(str(temporary), os.O_WRONLY | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            if lasting:
                file.flush()
                os.fsync(file.fileno())
        make_way(path)
        temporary.replace(path)
        if lasting:
            sync_folder(str(path.parent))
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def make_way(path: Path) -> None:
    """Set aside what lies at `path` unless it is a regular file, or nothing. Raises `OSError`."""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISREG(path.lstat().st_mode):
            set_aside(path, "is no regular file")


def set_aside(path: Path, reason: str) -> None:
    """Rename what lies at `path` within its folder, and say so. Raises `OSError`."""
    aside = path.with_name(f"{path.name}.set-aside-{uuid7_hex()}")
    path.rename(aside)
    log.error("%s %s and was set aside as %s", printed_path(path, MAX_SHOWN_PATH), reason, aside.name)
