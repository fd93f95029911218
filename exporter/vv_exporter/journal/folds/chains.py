"""Lines that were signed without their place in a chain."""

from __future__ import annotations

from vv_exporter.journal.events import ChainOutside
from vv_exporter.journal.folds import Handler, Source
from vv_exporter.language.sentences import sentence
from vv_exporter.metrics.chains import CHAIN_OUTSIDE
from vv_exporter.settings import Settings
from vv_exporter.state.lastoutside import LAST_OUTSIDE, LastOutside
from vv_exporter.state.store import Transaction
from vv_exporter.state.timeline import Entry, add_to_timeline


def outside(tx: Transaction, event: ChainOutside, source: Source, settings: Settings) -> None:
    """A line was signed while its chain could not be continued."""
    tx.inc(CHAIN_OUTSIDE, (event.chain,))
    tx.put(LAST_OUTSIDE, event.chain, LastOutside(tx.now))
    title = sentence("A line was signed outside the chain {chain}", chain=event.chain)
    add_to_timeline(
        tx, event.ts, Entry("chain.outside", title, "error", event.component or source.component, event.reason)
    )


HANDLERS: dict[type, Handler] = {ChainOutside: outside}
