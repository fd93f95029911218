"""Chains of signed lines, as they were last verified; their length, and the age of keys, as they are.

::

    vv_chain_length{chain="loglines"} 11873.0
    vv_chain_broken{chain="loglines"} 0.0
    vv_hmac_key_created_timestamp_seconds{key_id="2026-01"} 1.7e+09
"""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import Metric as Family

from vv_exporter.collectors._store import stored
from vv_exporter.metrics import gauges
from vv_exporter.metrics.chains import (
    CHAIN_BREAKS,
    CHAIN_BROKEN,
    CHAIN_LENGTH,
    CHAIN_LINES,
    CHAIN_OUTSIDE,
    CHAIN_OUTSIDE_AT,
    CHAIN_VERIFIED,
    KEY_CREATED,
    KEY_MAX_AGE,
)
from vv_exporter.probes.chains import ChainVerifier, keys_created
from vv_exporter.services import Services
from vv_exporter.settings import Settings
from vv_exporter.state.lastoutside import LAST_OUTSIDE
from vv_exporter.state.store import Store


class ChainsCollector:
    """Shows what the last verification found; it stands in the store, so that a restart ends no alert."""

    name = "chains"

    def __init__(self, store: Store, settings: Settings, verifier: ChainVerifier) -> None:
        self._store = store
        self._settings = settings
        self._verifier = verifier

    def collect(self) -> Iterable[Family]:
        """All families of chains and keys."""
        yield gauges(CHAIN_LENGTH, [((head.chain,), head.number) for head in self._verifier.heads()])
        if self._verifier.is_configured:
            yield from (stored(self._store, metric) for metric in (CHAIN_BROKEN, CHAIN_LINES))
            yield gauges(CHAIN_VERIFIED, [((), self._verifier.complete_at)])
        yield from (stored(self._store, metric) for metric in (CHAIN_BREAKS, CHAIN_OUTSIDE))
        outside = self._store.docs(LAST_OUTSIDE).items()
        yield gauges(CHAIN_OUTSIDE_AT, [((chain,), one.at) for chain, one in outside])
        yield gauges(KEY_CREATED, [((key_id,), time) for key_id, time in sorted(keys_created().items())])
        if self._settings.hmac_key_max_age is not None:
            yield gauges(KEY_MAX_AGE, [((), self._settings.hmac_key_max_age)])


def build(services: Services) -> ChainsCollector:
    """Make the collector."""
    return ChainsCollector(services.store, services.settings, services.chains)
