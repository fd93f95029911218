"""The exporter's own starts: whether the one before was stopped, or died unexpectedly."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

import msgspec

from vv_exporter.common.times import UnixTime
from vv_exporter.language.sentences import sentence
from vv_exporter.metrics.exporter import STARTS
from vv_exporter.settings import SettingsError
from vv_exporter.state.database import StoreError
from vv_exporter.state.store import Kind, Store
from vv_exporter.state.timeline import Entry, add_to_timeline

log = logging.getLogger(__name__)

STOPPED, KILLED = "stopped", "killed"


class Running(msgspec.Struct, frozen=True):
    """An exporter began then, and has not been stopped."""

    since: UnixTime


RUNNING: Kind[Running] = Kind("exporter_running", Running)


@contextlib.contextmanager
def counted(store: Store) -> Iterator[None]:
    """Count this start before anybody can ask for it, and note its orderly end: a setting that is wrong is one, any
    other exception is none.
    """
    try:
        with store.transaction() as tx:
            previous = KILLED if tx.get(RUNNING, "") else STOPPED
            tx.ensure(STARTS, (STOPPED,), (KILLED,))
            tx.inc(STARTS, (previous,))
            tx.put(RUNNING, "", Running(tx.now))
            title = sentence("The exporter started")
            if previous == KILLED:
                title = sentence("The exporter started; the one before it was killed")
            add_to_timeline(tx, tx.now, Entry("exporter.started", title, component="exporter"))
    except StoreError as error:
        log.error("this start could not be counted: %s", error)
    try:
        yield
    except SettingsError:
        _note_clean_stop(store)
        raise
    _note_clean_stop(store)


def _note_clean_stop(store: Store) -> None:
    with contextlib.suppress(StoreError), store.transaction() as tx:
        tx.delete(RUNNING, "")
