"""Finds alerts in what waits, so that they are counted before their turn: nobody waits for a backlog to be told.

1. What is not counted yet is searched for alerts, the newest files first, in a fraction of the time of counting.
2. The alerts that are found are counted, and in the same transaction it is noted where they stand (`Progress.ahead`).
3. When it is the turn of what lies around them, they are passed over. So each is counted once, whatever is killed when.

How far files are searched is kept in memory only: after a restart they are searched again, and step 3 holds for step 1.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from vv_exporter.journal import files
from vv_exporter.journal.events import MAX_LINE, AlertRaised, RejectedError, WriterStarted, decode
from vv_exporter.journal.files import Entry
from vv_exporter.journal.folds import Source
from vv_exporter.journal.lines import Bounds, bounds
from vv_exporter.journal.progress import PROGRESS, Progress
from vv_exporter.state.store import Store

SEARCH_BYTES = 64 * 1024 * 1024  # at once
SEARCH_PIECES = 10_000  # of at most MAX_LINE
MAX_AHEAD = {"CRITICAL": 600, "ERROR": 400, "WARNING": 200}
"""So many alerts of a file, and of all that are found at once, may be counted ahead, the graver the more: lesser ones
in any number do not keep the graver from being found. INFO is for the record, and can wait."""
_TOKENS = [(f'"{level}"'.encode(), most) for name, most in MAX_AHEAD.items() for level in (name, name.lower())]
_ALERT = b'"alert"'
_OF_SELF_MONITOR = (b'"supervisor.', b'"container.')
_HEADER_BYTES = 64 * 1024


class Found(NamedTuple):
    """An alert, who wrote it, and where its line begins in which file."""

    name: str
    offset: int
    event: AlertRaised
    source: Source


class Lookahead:
    """Searches files for alerts, each byte once. `preferred` are the writers that speak of containers."""

    def __init__(self, directory: Path, store: Store) -> None:
        self.preferred: set[str] = set()
        self._directory = directory
        self._store = store
        self._pending: list[Entry] = []  # the next one last
        self._searched: dict[str, int] = {}
        self._inside: set[str] = set()  # files that are searched up to within a line that is too long

    def plan(self, waiting: Iterable[Entry]) -> None:
        """Search these files, as far as they were not."""
        entries = list(waiting)
        self._searched = {one.name: self._searched[one.name] for one in entries if one.name in self._searched}
        self._inside.intersection_update(self._searched)
        self.preferred.intersection_update({one.writer for one in entries} if self.preferred else ())
        self._pending = [one for one in entries if one.size > self._searched.get(one.name, 0)]
        self._pending.sort(key=lambda one: one.modified)

    def clear(self) -> None:
        """Search nothing for now."""
        self._pending.clear()

    def forget(self) -> None:
        """What was found may not have been counted: search everything again."""
        self._pending.clear()
        self._searched.clear()
        self._inside.clear()

    def __len__(self) -> int:
        """How many files are to be searched."""
        return len(self._pending)

    def search(self) -> list[Found]:
        """Search for a while; gives what was found, in the order of its times."""
        found: list[Found] = []
        places: dict[str, set[int]] = {}
        size = 0
        for _ in range(SEARCH_PIECES):
            if not self._pending or size >= SEARCH_BYTES or len(found) >= max(MAX_AHEAD.values()):
                break
            entry = self._pending[-1]
            try:
                read = self._search_piece(entry, found, places)
            except OSError:  # reported by the batch that is to read it
                read = 0
            size += read
            if not read or self._searched[entry.name] >= entry.size:
                self._pending.pop()
        return sorted(found, key=lambda one: one.event.ts)

    def _search_piece(self, entry: Entry, found: list[Found], places: dict[str, set[int]]) -> int:
        """Search one piece of a file; gives how many bytes were done with."""
        known = self._store.document(PROGRESS, entry.name) or Progress()
        begin, inside = self._searched.get(entry.name, 0), entry.name in self._inside
        if known.offset >= begin:
            begin, inside = known.offset, known.skipping
        with files.opened(self._directory / entry.name) as descriptor:
            offset = files.data_from(descriptor, begin)
            inside = inside or offset > begin
            data = os.pread(descriptor, max(min(MAX_LINE, entry.size - offset), 0), offset)
            within = bounds(data, inside)
            taken = places.get(entry.name) or set(known.ahead)
            for at, line, most in _candidate_lines(data, within):
                place = offset + at
                event = None if max(len(taken), len(found)) >= most or place in taken else _decode_alert(line)
                if event is not None:
                    taken.add(place)
                    places[entry.name] = taken
                    found.append(Found(entry.name, place, event, _source_of_file(descriptor, entry, known)))
        if any(word in data for word in _OF_SELF_MONITOR):
            self.preferred.add(entry.writer)
        self._searched[entry.name] = offset + within.done
        (self._inside.add if within.inside else self._inside.discard)(entry.name)
        return offset + within.done - begin


def _candidate_lines(data: bytes, within: Bounds) -> Iterator[tuple[int, bytes, int]]:
    """Lines that may be alerts, with where they begin and how many of a file may be taken; the gravest first."""
    if _ALERT not in data:
        return
    for token, most in _TOKENS:
        at = data.find(token, within.start, within.end)
        while at >= 0:
            begin, end = data.rfind(b"\n", within.start, at) + 1 or within.start, data.find(b"\n", at)
            yield begin, data[begin:end], most
            at = data.find(token, end, within.end)


def _decode_alert(line: bytes) -> AlertRaised | None:
    try:
        event = decode(line)
    except RejectedError:  # counted when it is its turn
        return None
    return event if isinstance(event, AlertRaised) else None


def _source_of_file(descriptor: int, entry: Entry, known: Progress) -> Source:
    """Who writes the file: known, or what its first line says."""
    if not known.offset:
        try:
            header = decode(os.pread(descriptor, _HEADER_BYTES, 0).partition(b"\n")[0])
        except RejectedError:
            return Source(entry.writer)
        if isinstance(header, WriterStarted):
            return Source(entry.writer, header.component, header.boot, header.lock, header.process)
    return Source(entry.writer, known.component, known.boot, known.locks, known.process)
