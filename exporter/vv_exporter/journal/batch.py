"""A batch: what is read from some files, and counted in one transaction."""

from __future__ import annotations

import contextlib
import logging
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import NamedTuple

import msgspec

from vv_exporter.common.times import admitted
from vv_exporter.journal import files
from vv_exporter.journal.counting import Counting
from vv_exporter.journal.events import MAX_LINE, TYPES, RejectedError, WriterStarted, decode
from vv_exporter.journal.folder import Folder
from vv_exporter.journal.folds import Source
from vv_exporter.journal.lines import Bounds, bounds
from vv_exporter.journal.progress import PROGRESS, Progress
from vv_exporter.journal.routine import is_routine
from vv_exporter.journal.turns import Turns
from vv_exporter.metrics.exporter import EVENTS, EVENTS_REJECTED
from vv_exporter.state.database import ContentError
from vv_exporter.state.store import Store, Transaction

log = logging.getLogger(__name__)

BATCH_BYTES = 4 * 1024 * 1024
BATCH_FILES = 200  # of which as many may be open at once, their locks held until the commit


class Piece(NamedTuple):
    """What a batch takes of one file, from where it is counted up to: a hole, then data.

    It `reaches` to this place; `more`: there was something behind it; `ended`: it is the end of the file, for good.
    """

    entry: files.Entry
    data: bytes
    hole: int
    reaches: int
    more: bool
    ended: bool


class Tally(NamedTuple):
    """How many events were counted, by type, and how many lines were rejected, by reason."""

    counted: Counter[str]
    rejected: Counter[str]


class Batch:
    """Files read in one round and counted in one transaction.

    When the database refuses what they hold (not: when it cannot be written), they are counted file by file, a file in
    halves, and so on down to the one line that is refused.
    """

    def __init__(self, store: Store, folder: Folder, counting: Counting, locks: contextlib.ExitStack) -> None:
        self.problem = ""
        self.pieces: list[Piece] = []
        self.written: dict[str, float] = {}
        """When the newest event that was counted was written, by file."""
        self.size = 0
        """Bytes that were read."""
        self._store = store
        self._folder = folder
        self._counting = counting
        self._locks = locks
        self._may_wait = False
        self._names: dict[str, list[str]] | None = None

    def take(self, turns: Turns) -> None:
        """Read from the files whose turn it is, a share from each, until the batch is full."""
        share = max(MAX_LINE, BATCH_BYTES // max(len(turns), 1))
        looked = set[str]()
        while turns and self.size < BATCH_BYTES and len(looked) < BATCH_FILES:
            entry = turns.next()
            if entry.name in looked:
                break
            looked.add(entry.name)
            piece = None
            try:
                piece = self._take_one(entry, share)
            except FileNotFoundError:
                pass
            except OSError as error:  # one file that cannot be read must not keep the others from being read
                self.problem = f"{entry.name} cannot be read: {error.strerror}"
            if piece is not None:
                self.pieces.append(piece)
                self.size += len(piece.data)
            turns.took(more=piece is not None and piece.more)

    def _take_one(self, entry: files.Entry, share: int) -> Piece | None:
        before = self._store.document(PROGRESS, entry.name) or Progress()
        with contextlib.ExitStack() as closing:
            descriptor = closing.enter_context(files.opened(self._folder.path(entry.name)))
            locked = files.try_lock(descriptor)
            if not locked:
                self._folder.note_alive(entry.name)
            size = os.fstat(descriptor).st_size
            begins = before.offset if before.done else files.data_from(descriptor, before.offset)
            wanted = 0 if before.done else max(min(share, size - begins), 0)
            data = os.pread(descriptor, wanted, begins)
            reaches = begins + len(data)
            more = not before.done and os.fstat(descriptor).st_size > reaches
            ended = locked and not more and (self._writer_locks(before, data) or self._folder.has_settled(entry))
            if not data and not ended and begins == before.offset:
                return None
            if ended:
                self._locks.push(closing.pop_all())  # its lock is held until the commit
            return Piece(entry, data, begins - before.offset, reaches, more, ended)

    def _writer_locks(self, before: Progress, data: bytes) -> bool:
        """Whether the file's writer said that it locks; then a lock that can be had means that it is gone."""
        if before.offset or before.locks or before.done:
            return before.locks or before.done
        with contextlib.suppress(RejectedError):
            event = decode(data.partition(b"\n")[0])
            return isinstance(event, WriterStarted) and event.lock
        return False

    def commit(self, *, may_wait: bool = False) -> list[str]:
        """Count everything; gives the files that can be deleted as soon as that is on the disk, their locks held.

        `may_wait`: it need not be on the disk at once if nothing but routine is in it.
        """
        self._may_wait = may_wait
        if self.pieces:
            self._commit_pieces(self.pieces)
        return [piece.entry.name for piece in self.pieces if piece.ended]

    def _commit_pieces(self, pieces: Sequence[Piece]) -> None:
        try:
            self._commit_together(pieces)
        except ContentError as error:
            parts = (
                [pieces[: len(pieces) // 2], pieces[len(pieces) // 2 :]] if len(pieces) > 1 else _split_piece(pieces[0])
            )
            if len(parts) < 2:
                self._refuse_piece(pieces[0], error)
                return
            for part in parts:
                self._commit_pieces(part)

    def _commit_together(self, pieces: Iterable[Piece]) -> None:
        with self._store.transaction() as tx:
            tally = Tally(Counter(), Counter())
            written = {piece.entry.name: self._count_lines(tx, piece, tally) for piece in pieces}
            for type_, count in tally.counted.items():
                tx.inc(EVENTS, (type_,), count)
            for reason, count in (+tally.rejected).items():
                tx.inc(EVENTS_REJECTED, (reason,), count)
            self._end_writers(tx, pieces)
            self._folder.forget_gone(tx)
            tx.may_wait = self._may_wait and not +tally.rejected
        self.written |= {name: newest for name, newest in written.items() if newest}

    def _refuse_piece(self, piece: Piece, error: ContentError) -> None:
        """Pass over a line, or the end of a file, that cannot be stored."""
        log.error("%s: passed over: %s", piece.entry.name, error)
        with self._store.transaction() as tx:
            before = tx.get(PROGRESS, piece.entry.name) or Progress()
            after = before.offset + piece.hole + len(piece.data)
            tx.put(PROGRESS, piece.entry.name, msgspec.structs.replace(before, offset=after, done=piece.ended))
            tx.inc(EVENTS_REJECTED, ("commit",))

    def _count_lines(self, tx: Transaction, piece: Piece, tally: Tally) -> float:
        """Fold the lines, and note how far; gives when the newest was written."""
        before = tx.get(PROGRESS, piece.entry.name) or Progress()
        begins, began_inside = before.offset + piece.hole, before.skipping or bool(piece.hole)
        within = bounds(piece.data, began_inside)
        # A line that is too long is counted once, where it is first seen to be.
        tally.rejected["oversize"] += bool(piece.hole) and not before.skipping
        tally.rejected["oversize"] += within.inside and not (began_inside and within.start == len(piece.data))
        lines = _uncounted_lines(piece.data, within, begins, before.ahead)
        header, newest = self._fold_lines(tx, lines, piece.entry.writer, before, tally)
        done = within.done
        if piece.ended and done < len(piece.data):
            tally.rejected["torn"] += 1
            done = len(piece.data)
        offset = begins + done
        ahead = tuple(place for place in before.ahead if place >= offset)
        after = msgspec.structs.replace(header, offset=offset, skipping=within.inside, done=piece.ended, ahead=ahead)
        if after != before:
            tx.put(PROGRESS, piece.entry.name, after)
        return newest

    def _fold_lines(
        self, tx: Transaction, lines: Iterable[bytes], writer: str, header: Progress, tally: Tally
    ) -> tuple[Progress, float]:
        """Fold whole lines; gives the header, as far as one of them changes it, and when the newest was written."""
        counted, rejected = tally
        source, newest = _source_of(writer, header), 0.0
        for line in lines:
            if len(line) >= MAX_LINE:
                rejected["oversize"] += 1
                continue
            try:
                event = decode(line)
            except RejectedError as error:
                rejected[error.reason] += 1
                continue
            if isinstance(event, WriterStarted):
                header = _progress_with_header(header, event)
                source = _source_of(writer, header)
            if reason := self._counting.fold(tx, event, source):
                rejected[reason] += 1
                continue
            counted[TYPES[type(event)]] += 1
            self._may_wait = self._may_wait and is_routine(event)
            newest = max(newest, admitted(event.ts, tx.now))
        return header, newest

    def _end_writers(self, tx: Transaction, pieces: Iterable[Piece]) -> None:
        """A writer is gone when all its files have ended: whoever moved on to a next file still holds that one."""
        ended = {piece.entry.name: piece for piece in pieces if piece.ended}
        last_seen: dict[str, float] = {}
        for name, piece in ended.items():
            seen = max(piece.entry.modified, self._folder.pop_last_alive(name))
            last_seen[piece.entry.writer] = max(last_seen.get(piece.entry.writer, 0.0), seen)
        for writer, seen in last_seen.items():
            with contextlib.suppress(_StillThereError):
                tx.attempt(self._end_writer, writer, seen)

    def _end_writer(self, tx: Transaction, writer: str, seen: float) -> None:
        """Raises `_StillThereError`. The folder is listed only where it matters: few leave something open."""
        if self._counting.end_writer(tx, writer, seen) and any(
            not (tx.get(PROGRESS, name) or Progress()).done for name in self._list_by_writer().get(writer, ())
        ):
            raise _StillThereError

    def _list_by_writer(self) -> dict[str, list[str]]:
        """The files by writer, listed with the locks held: a next file was locked before its predecessor was let go."""
        if self._names is None:
            self._names = {}
            for name in self._folder.list_names():
                self._names.setdefault(files.writer_of(name), []).append(name)
        return self._names


class _StillThereError(Exception):
    """A writer has a file that has not ended."""


def _progress_with_header(before: Progress, event: WriterStarted) -> Progress:
    return msgspec.structs.replace(
        before, component=event.component, boot=event.boot, locks=event.lock, process=event.process
    )


def _source_of(writer: str, header: Progress) -> Source:
    return Source(writer, header.component, header.boot, header.locks, header.process)


def _uncounted_lines(data: bytes, within: Bounds, begins: int, ahead: Sequence[int]) -> Iterable[bytes]:
    """The whole lines of data that begins there in its file, but those that were counted ahead."""
    if within.end <= within.start:
        return []
    lines = data[within.start : within.end - 1].split(b"\n")
    if not ahead:
        return lines
    places = accumulate((len(line) + 1 for line in lines), initial=begins + within.start)
    counted = set(ahead)
    return [line for line, place in zip(lines, places, strict=False) if place not in counted]


def _split_piece(piece: Piece) -> list[list[Piece]]:
    """The piece in two, at the end of a line near its middle; what cannot be cut in one."""
    middle = len(piece.data) // 2
    cut = piece.data.find(b"\n", middle) + 1 or piece.data.rfind(b"\n", 0, middle) + 1
    if cut and (cut < len(piece.data) or piece.ended):
        return [[piece._replace(data=piece.data[:cut], ended=False)], [piece._replace(data=piece.data[cut:], hole=0)]]
    return [[piece]]
