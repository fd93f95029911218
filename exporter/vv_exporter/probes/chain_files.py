"""Logs of chained lines on the disk: which files, in which order, and their lines; bounded, whatever is in them."""

from __future__ import annotations

import glob
import gzip
import io
import os
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from vv_core.chain import place_of
from vv_core.common import files

MAX_LINE_BYTES = 4 << 20
"""Of a longer line, the parts are lines of their own, and unreadable."""
MAX_FILES = 100_000
COMPRESSED = ".gz"
ONE_OBJECT = ".json"
"""A file of this ending holds one object, over several lines; all others have one a line."""

_ROTATED = re.compile(r"[.-](?P<mark>\d{1,14}(?:[-T_.]\d{1,6})?)$")  # loglines.jsonl.1, loglines.jsonl-20261129
_LOWEST_DATE = 19_000_000


def log_files(patterns: Iterable[str]) -> list[Path]:
    """The files of these paths, folders and patterns (``*``, ``**``), in the order in which they were written.

    Those that logrotate numbers or dates come before the one that they were; else the first line's place in its chain
    decides. Files and folders that are not there are left out.
    """
    found: set[Path] = set()
    for path in (Path(name) for pattern in patterns for name in glob.iglob(pattern, recursive=True)):
        inside = path.iterdir() if path.is_dir() else (path,)
        found.update(file for file in inside if not file.is_dir())
        if len(found) > MAX_FILES:
            break
    groups: dict[str, list[Path]] = {}
    for file in sorted(found)[:MAX_FILES]:
        groups.setdefault(_rotation_order(file)[0], []).append(file)
    in_order = [sorted(group, key=lambda path: _rotation_order(path)[1]) for group in groups.values()]
    return [path for group in sorted(in_order, key=_place_of_group) for path in group]


def lines_of(path: Path) -> Iterator[tuple[bytes, int]]:
    """The lines of a file, each with its number. Raises `OSError` for one that cannot be read, or is no file."""
    with io.BufferedReader(_open_log(path)) as file:
        if path.name.removesuffix(COMPRESSED).endswith(ONE_OBJECT):
            yield _read_line(file.read, path), 1
            return
        number = 1
        while line := _read_line(file.readline, path):
            yield line, number
            number += line.endswith(b"\n")


def _read_line(read: Callable[[int], bytes], path: Path) -> bytes:
    try:
        return read(MAX_LINE_BYTES)
    except (EOFError, zlib.error) as error:  # of a compressed file that is torn
        raise OSError(0, str(error), str(path)) from error


def _open_log(path: Path) -> io.RawIOBase:
    fd = files.open_regular(os.fsencode(path))
    file = io.FileIO(fd)
    return gzip.GzipFile(fileobj=file, mode="rb") if path.name.endswith(COMPRESSED) else file  # type: ignore[return-value]


def _rotation_order(path: Path) -> tuple[str, tuple[int, int, str]]:
    """What the file was called before it was rotated; and what sorts those that were called so, the oldest first."""
    name = path.name.removesuffix(COMPRESSED)
    mark = _ROTATED.search(name)
    if mark is None:
        return str(path.with_name(name)), (2, 0, "")
    digits = int(re.split(r"\D", mark["mark"])[0])
    place = (0, digits, mark["mark"]) if digits >= _LOWEST_DATE else (1, -digits, "")
    return str(path.with_name(name[: mark.start()])), place


def _place_of_group(group: list[Path]) -> tuple[str, int, str]:
    """Where the first line of a log stands in its chain; without one, before all that have one."""
    for path in group:
        try:
            for line, _ in lines_of(path):
                place = place_of(line)
                return (*(place or ("", 0)), str(path))
        except OSError:
            continue
    return "", 0, str(group[0])
