"""When a line was last signed outside of its chain."""

from __future__ import annotations

import msgspec

from vv_exporter.common.times import UnixTime
from vv_exporter.metrics.chains import CHAIN_OUTSIDE
from vv_exporter.state.store import Kind

MAX_CHAINS = 100


class LastOutside(msgspec.Struct, frozen=True):
    """When the last one was counted, of one chain."""

    at: UnixTime


LAST_OUTSIDE: Kind[LastOutside] = Kind("chain_outside", LastOutside, MAX_CHAINS, CHAIN_OUTSIDE)
