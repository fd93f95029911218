"""In which order files are read: each writer in its turn, so that none starves, and the files of a writer in theirs."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Set
from itertools import groupby

from vv_exporter.journal.files import Entry


class Turns:
    """The files that wait. Whoever was not read from for longest comes first, and before all some `preferred` ones."""

    def __init__(self) -> None:
        self._heads: deque[Entry] = deque()
        self._later: dict[str, deque[Entry]] = {}
        self._served: dict[str, int] = {}  # writer → its last turn, while more of it waits
        self._turn = 0

    def plan(self, waiting: Iterable[Entry], preferred: Set[str]) -> None:
        """Begin anew with these files, which are sorted, and remember whose turn it is."""
        heads: list[Entry] = []
        self._later.clear()
        for writer, group in groupby(waiting, key=lambda entry: entry.writer):
            head, *later = group
            heads.append(head)
            if later:
                self._later[writer] = deque(later)
        self._served = {head.writer: self._served[head.writer] for head in heads if head.writer in self._served}
        # Sorting is stable: among those that never had a turn, by name, which with UUIDv7 is the order of their births.
        heads.sort(key=lambda head: (head.writer not in preferred, self._served.get(head.writer, 0)))
        self._heads = deque(heads)

    def clear(self) -> None:
        """Forget the files, not whose turn it is."""
        self._heads.clear()
        self._later.clear()

    def __len__(self) -> int:
        """How many writers wait."""
        return len(self._heads)

    def next(self) -> Entry:
        """The file that is to be read next."""
        return self._heads[0]

    def took(self, *, more: bool) -> None:
        """The next file was read from. If there is `more` of it, it waits at the end, else its writer's next file."""
        entry = self._heads.popleft()
        self._turn += 1
        later = self._later.get(entry.writer)
        if not more and later:
            entry, more = later.popleft(), True
        if more:
            self._served[entry.writer] = self._turn
            self._heads.append(entry)
