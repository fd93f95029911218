"""Starts of the device, counted when the exporter first runs in one: by the kernel's id, whatever the clock shows.

Prometheus cannot count them: it was down itself, and what it has seen of a start's time moves when the clock is set.
"""

from __future__ import annotations

import logging

import msgspec

from vv_exporter.language.sentences import sentence
from vv_exporter.metrics.host import BOOTS
from vv_exporter.state.database import StoreError
from vv_exporter.state.store import Kind, Store
from vv_exporter.state.timeline import Entry, add_to_timeline

log = logging.getLogger(__name__)


class Boot(msgspec.Struct, frozen=True):
    """The start in which an exporter ran last."""

    id: str


BOOT: Kind[Boot] = Kind("host_boot", Boot)


def count_boot(store: Store, boot: str) -> None:
    """Count this start of the device, once; `boot` is its id, "" where the kernel has none.

    In which start an exporter first ran is no news: from then on they are counted.
    """
    if not boot:
        return
    try:
        with store.transaction() as tx:
            tx.ensure(BOOTS, ())
            known = tx.get(BOOT, "")
            if known is not None and known.id != boot:
                tx.inc(BOOTS)
                add_to_timeline(tx, tx.now, Entry("host.started", sentence("The device rebooted"), component="host"))
            if known is None or known.id != boot:
                tx.put(BOOT, "", Boot(boot))
    except StoreError as error:
        log.error("this start of the device could not be counted: %s", error)
