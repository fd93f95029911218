"""Recordings by the names and hashes of their files: so that what a stage did with a file is known to be of a time.

Events come in any order, of many writers: a stage may come before the recording, and what is known in the end is the
same. A file is known by its path, or its name alone where no folder is said, or by the hash of its content: one that
is moved by the latter, which who has both path and hash reports of it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

import msgspec

from vv_exporter.footage.ledger import CAMERAS, add_footage
from vv_exporter.metrics.footage import FOOTAGE_SECONDS
from vv_exporter.state.store import Kind, Transaction

JOIN = 2000
"""Milliseconds between two recordings that are no hole: files begin at key frames, their names hold whole seconds."""
MAX_NAMES = 5000
MAX_OF_A_NAME = 20
MAX_KEY = 300


class Segment(msgspec.Struct, frozen=True, omit_defaults=True):
    """A recording, and the steps that are done with it."""

    path: str
    sha256: str
    dvr: str
    start: int
    end: int
    steps: tuple[str, ...] = ()


class Early(msgspec.Struct, frozen=True, omit_defaults=True):
    """A step that was done with a file of which no recording is known yet."""

    path: str
    sha256: str
    step: str


class Named(msgspec.Struct, frozen=True, omit_defaults=True):
    """All that is known of files of one name, or of one hash."""

    segments: tuple[Segment, ...] = ()
    early: tuple[Early, ...] = ()


class Hashed(msgspec.Struct, frozen=True):
    """Where the recording with a hash is kept: the name of its file."""

    name: str


NAMES: Kind[Named] = Kind("footage_name", Named, MAX_NAMES, FOOTAGE_SECONDS, None, lambda one: int(bool(one.segments)))
HASHES: Kind[Hashed] = Kind("footage_hash", Hashed, MAX_NAMES, FOOTAGE_SECONDS)


def recorded(tx: Transaction, dvr: str, start: int, end: int, path: str = "", sha256: str = "") -> None:
    """There is a recording of a camera between two times, in this file if one is named."""
    grown = add_footage(tx, dvr, "recorded", start, end, JOIN)
    camera = tx.get(CAMERAS, dvr)
    if camera is None:  # it was refused, and so was all before it
        return
    if grown and end - start > camera.longest:
        tx.put(CAMERAS, dvr, msgspec.structs.replace(camera, longest=end - start))
    if path or sha256:
        _enter_segment(tx, Segment(path, sha256, dvr, start, end))


def done(tx: Transaction, step: str, path: str, sha256: str) -> None:
    """A step is done with a file."""
    if not path and not sha256:
        return
    early = Early(path, sha256, step)
    name, segment = _find_segment(tx, early)
    if segment is None:
        for key in _file_keys(path, sha256):
            known = tx.get(NAMES, key) or Named()
            if early not in known.early:
                tx.put(NAMES, key, Named(known.segments, (*known.early, early)[-MAX_OF_A_NAME:]))
        return
    _advance_segment(tx, name, segment, [early])


def are_there(tx: Transaction) -> bool:
    """Whether anybody reports recordings: if not, what stages do with files need not be kept."""
    return any("recorded" in camera.latest for camera in tx.docs(CAMERAS).values())


def _enter_segment(tx: Transaction, segment: Segment) -> None:
    """Keep a recording; what was done with its file before belongs to it."""
    name = _file_keys(segment.path, segment.sha256)[0]
    known = tx.get(NAMES, name) or Named()
    before = next((one for one in known.segments if (one.path, one.dvr) == (segment.path, segment.dvr)), None)
    if before is not None:
        sha256 = segment.sha256 or before.sha256
        segment = msgspec.structs.replace(segment, sha256=sha256, steps=before.steps)
        if segment == before:
            return
    others = tuple(one for one in known.segments if one is not before)[1 - MAX_OF_A_NAME :]
    tx.put(NAMES, name, Named((*others, segment), known.early))
    _advance_segment(tx, name, segment, [])


def _advance_segment(tx: Transaction, name: str, segment: Segment, reported: Iterable[Early]) -> None:
    """Let steps be done with a recording that is kept, with those that were reported of its path or its hash before."""
    found = [*reported, *_take_early(tx, _by_path(segment.path), segment.path, segment.sha256)]
    sha256 = segment.sha256 or next((one.sha256 for one in found if one.sha256), "")
    found += _take_early(tx, _by_hash(sha256), segment.path, sha256) if sha256 else []
    steps = tuple(sorted({*segment.steps, *(one.step for one in found)}))
    after = msgspec.structs.replace(segment, sha256=sha256, steps=steps)
    known = tx.get(NAMES, name) or Named()
    if after != segment:
        tx.put(NAMES, name, Named(tuple(after if one == segment else one for one in known.segments), known.early))
    if sha256 and tx.get(HASHES, sha256) != Hashed(name):
        tx.put(HASHES, sha256, Hashed(name))
    for step in steps:
        add_footage(tx, after.dvr, step, after.start, after.end, JOIN)


def _take_early(tx: Transaction, key: str, path: str, sha256: str) -> list[Early]:
    """What was done early with a file, taken from where it waited."""
    known = tx.get(NAMES, key)
    found = [one for one in known.early if _is_same(one, path, sha256)] if known is not None else []
    if known is not None and found:
        tx.put(NAMES, key, Named(known.segments, tuple(one for one in known.early if one not in found)))
    return found


def _find_segment(tx: Transaction, file: Early) -> tuple[str, Segment | None]:
    """The name under which a recording is kept, and the recording that a file is."""
    names = _file_keys(file.path, file.sha256)
    by_hash = tx.get(HASHES, file.sha256) if file.sha256 else None
    for name in (*names, *([by_hash.name] if by_hash is not None else [])):
        known = tx.get(NAMES, name)
        for one in reversed(known.segments if known is not None else ()):
            if _is_same(file, one.path, one.sha256):
                return name, one
    return names[0], None


def _is_same(file: Early, path: str, sha256: str) -> bool:
    """Whether a file of one of the keys of another is it."""
    folders = os.path.dirname(file.path), os.path.dirname(path)  # noqa: PTH120
    same_name = bool(path) and os.path.basename(file.path) == os.path.basename(path)  # noqa: PTH119
    same_path = same_name and (folders[0] == folders[1] or not all(folders))
    return same_path or (bool(sha256) and file.sha256 == sha256)


def _file_keys(path: str, sha256: str) -> list[str]:
    """Where something of a file is kept."""
    return [*([_by_path(path)] if path else []), *([_by_hash(sha256)] if sha256 else [])]


def _by_path(path: str) -> str:
    return os.path.basename(path)[-MAX_KEY:]  # noqa: PTH119 - of another's file system


def _by_hash(sha256: str) -> str:
    return f"sha256:{sha256}"
