"""Whether a file can be played at all, by how its container begins and is divided: a few small reads of any file.

What is looked for:

- MP4, MOV (ISO/IEC 14496-12, 4.2: boxes of size and type): an index (`moov`), and boxes that end within the file. A
  recorder writes the index last: a file that a crash cut off has none. A fragmented file (`moof`, 8.8.4) may end
  anywhere, and plays up to there.
- Matroska, WebM (RFC 8794, 11.2): the EBML header.
- MPEG-TS (ISO/IEC 13818-1, 2.4.3.2): the sync byte of two packets, of 188 bytes, or of 192 with a time code.

Nothing is decoded: that pictures are black or damaged is not noticed. What has another ending is not looked at.
May hang.
"""

from __future__ import annotations

import os
from stat import S_ISREG

EMPTY = "empty"
NO_CONTAINER = "no_container"
NO_INDEX = "no_index"
TRUNCATED = "truncated"
REASONS = (EMPTY, NO_CONTAINER, NO_INDEX, TRUNCATED)

_ISO = frozenset({".mp4", ".m4v", ".mov"})
_FIRST = frozenset({b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"styp", b"pnot"})
"""Boxes that a file may begin with; QuickTime's have no `ftyp`."""
_EBML = frozenset({".mkv", ".webm"})
_TS = frozenset({".ts", ".m2ts", ".mts"})
_MAX_BOXES = 200
"""Of the outermost; a file that is not fragmented has about five."""
_HEADER = 16  # the longest header of a box that is read: size, type, and a size of 64 bits
_SYNC = 0x47
_EBML_MAGIC = b"\x1a\x45\xdf\xa3"


def container_problem(path: str) -> str:
    """What keeps a file from being played, one of `REASONS`; empty if nothing was found, or it cannot be known.

    Raises `OSError` if the file cannot be read.
    """
    ending = os.path.splitext(path)[1].lower()  # noqa: PTH122
    file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(file)
        if not S_ISREG(status.st_mode):
            return ""
        if not status.st_size:
            return EMPTY
        if ending in _ISO:
            return _iso_problem(file, status.st_size)
        if ending in _EBML:
            return "" if os.pread(file, 4, 0) == _EBML_MAGIC else NO_CONTAINER
        return _ts_problem(os.pread(file, 400, 0)) if ending in _TS else ""
    finally:
        os.close(file)


def _iso_problem(file: int, size: int) -> str:
    place, has_index = 0, False
    for _ in range(_MAX_BOXES):
        if place >= size:
            return "" if has_index else NO_INDEX
        header = os.pread(file, _HEADER, place)
        length, type_ = int.from_bytes(header[:4], "big"), header[4:8]
        if length == 1 and len(header) == _HEADER:
            length = int.from_bytes(header[8:16], "big")
        elif length == 0:  # to the end of the file
            length = size - place
        if not place and type_ not in _FIRST:
            return NO_CONTAINER
        if length < 8 or len(type_) < 4:
            return TRUNCATED if has_index else NO_INDEX
        if type_ == b"moof" and has_index:
            return ""
        has_index = has_index or (type_ == b"moov" and place + length <= size)
        if place + length > size:
            return TRUNCATED if has_index else NO_INDEX
        place += length
    return ""


def _ts_problem(begin: bytes) -> str:
    for packet, offset in ((188, 0), (192, 4)):
        places = range(offset, len(begin), packet)
        if places and all(begin[place] == _SYNC for place in places):
            return ""
    return NO_CONTAINER
