"""The heads of chains of signed lines leave the device with the digest: what a mailbox knows, nobody cuts off."""

from __future__ import annotations

from pathlib import Path

import msgspec

from vv_core.chain import kept_heads

MAX_CHAINS = 20


class ChainHead(msgspec.Struct, frozen=True):
    """The last line of a chain: its number, its MAC, the id of its key, and when it was signed (Unix seconds)."""

    chain: str
    number: int
    mac: str
    key_id: str
    time: float


def chain_heads(state_dir: Path) -> tuple[ChainHead, ...]:
    """Those that this device keeps, the first `MAX_CHAINS`; none where they cannot be read."""
    try:
        heads = kept_heads(str(state_dir / "chains"))
    except OSError:
        return ()
    return tuple(ChainHead(one.chain, one.number, one.mac, one.key_id, one.time) for one in heads[:MAX_CHAINS])
