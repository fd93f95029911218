"""What each event changes: `fold` is a function of the store's state and the event, with no input or output of its own.

Each module handles one family and lists its functions in `HANDLERS`; a module that lies here is registered.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from vv_exporter.common.processes import Process
from vv_exporter.common.times import is_later
from vv_exporter.journal.events import Event
from vv_exporter.metrics import Metric
from vv_exporter.settings import Settings
from vv_exporter.state.store import Transaction


class Source(NamedTuple):
    """Who wrote an event: the writer's id, the component of the file's first line, the boot it ran in.

    `locks`: it holds a lock for as long as it lives. Of others nobody knows whether they do.
    """

    writer: str
    component: str = ""
    boot: str = ""
    locks: bool = False
    process: Process = Process()


Handler = Callable[[Transaction, Any, Source, Settings], None]
WriterGone = Callable[[Transaction, str, float], None]


class Folds(NamedTuple):
    """All handlers by type of event, and what is to be done when a writer is gone (its id, when it last lived)."""

    handlers: Mapping[type[Event], Handler]
    writer_gone: tuple[WriterGone, ...]


def discover() -> Folds:
    """The handlers of every module in this folder. Of a writer that is gone those with `BEFORE_OTHERS` hear first."""
    handlers: dict[type[Event], Handler] = {}
    gone: list[WriterGone] = []
    for info in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{info.name}")
        handlers.update(module.HANDLERS)
        if hasattr(module, "writer_gone"):
            gone.insert(0 if hasattr(module, "BEFORE_OTHERS") else len(gone), module.writer_gone)
    return Folds(handlers, tuple(gone))


def latest(tx: Transaction, metric: Metric, labels: tuple[str, ...], timestamp: float) -> None:
    """Move a timestamp forward, never back: files of several writers are not read in the order of their events."""
    if is_later(timestamp, tx.value(metric, labels) or 0.0, tx.now):
        tx.set(metric, labels, timestamp)
