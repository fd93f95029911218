"""How far each file of the journal is counted."""

from __future__ import annotations

from typing import Annotated

import msgspec

from vv_exporter.common.processes import Process
from vv_exporter.state.store import Kind

Place = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
"""A place in a file, as the kernel can take it."""


class Progress(msgspec.Struct, frozen=True, omit_defaults=True):
    """How far a file is counted, and what its first line said. `skipping`: inside a line that is too long.

    `ahead` is where lines begin that were counted before their turn, all of them behind `offset`.
    """

    offset: Place = 0
    component: str = ""
    boot: str = ""
    locks: bool = False
    skipping: bool = False
    done: bool = False
    process: Process = Process()
    ahead: tuple[Place, ...] = ()


PROGRESS: Kind[Progress] = Kind("journal_file", Progress)
