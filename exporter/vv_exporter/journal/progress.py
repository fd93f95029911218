"""How far each file of the journal is counted."""

from __future__ import annotations

import msgspec

from vv_exporter.store import Kind


class Progress(msgspec.Struct, frozen=True, omit_defaults=True):
    """How far a file is counted, and what its first line said. `skipping`: inside a line that is too long.

    `ahead` is where lines begin that were counted before their turn, all of them behind `offset`.
    """

    offset: int = 0
    component: str = ""
    boot: str = ""
    locks: bool = False
    skipping: bool = False
    done: bool = False
    ahead: tuple[int, ...] = ()


PROGRESS: Kind[Progress] = Kind("journal_file", Progress)
