"""What a container uses: processor, memory, network, disks, processes; and the Engine's own answer decoded.

Totals are those of the container's present cgroup and network namespace. A container that is restarted or recreated
begins at 0 again under the same name: an ordinary reset of a counter, which Prometheus' `rate` and `increase` handle.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from vv_exporter.common.untrusted import decode_untrusted
from vv_exporter.containers.observed import Whole


class Running(NamedTuple):
    """A container to be looked at. `pid` is its main process as the Engine knows it, 0 for unknown.

    `network`: it has a network namespace of its own. The limits are those it was given (cores, bytes), None for none.
    """

    id: str
    name: str
    pid: int = 0
    network: bool = True
    cpu_limit: float | None = None
    memory_limit: int | None = None


class Usage(NamedTuple):
    """What is used, in seconds, cores and bytes; None for what cannot be known here."""

    cpu_seconds: float | None = None
    cpu_limit: float | None = None
    memory: int | None = None
    """The working set: without file pages that can be dropped at once."""
    memory_limit: int | None = None
    received: int | None = None
    transmitted: int | None = None
    read: int | None = None
    written: int | None = None
    pids: int | None = None


def working_set(usage: int, inactive_file: int) -> int:
    """What could not be had back without swapping; the two are not read at the same instant."""
    return max(0, usage - inactive_file)


def decode_stats(body: bytes, container: Running) -> Usage | None:
    """The answer of `/containers/<id>/stats`; None if the container does not run. Raises `msgspec.MsgspecError`."""
    raw = decode_untrusted(_STATS, body)
    if not raw.cpu_stats.cpu_usage.total_usage and not raw.memory_stats.usage:
        return None
    inactive = raw.memory_stats.stats.get("total_inactive_file", raw.memory_stats.stats.get("inactive_file", 0))
    networks = None if raw.networks is None or not container.network else raw.networks.values()
    disks = raw.blkio_stats.io_service_bytes_recursive
    return Usage(
        cpu_seconds=raw.cpu_stats.cpu_usage.total_usage / 1e9,
        cpu_limit=container.cpu_limit,
        memory=working_set(raw.memory_stats.usage, inactive),
        memory_limit=container.memory_limit,
        received=None if networks is None else sum(one.rx_bytes for one in networks),
        transmitted=None if networks is None else sum(one.tx_bytes for one in networks),
        read=None if disks is None else sum(one.value for one in disks if one.op.lower() == "read"),
        written=None if disks is None else sum(one.value for one in disks if one.op.lower() == "write"),
        pids=raw.pids_stats.current,
    )


class _CpuUsage(msgspec.Struct, frozen=True):
    total_usage: Whole = 0


class _Cpu(msgspec.Struct, frozen=True):
    cpu_usage: _CpuUsage = _CpuUsage()


class _Memory(msgspec.Struct, frozen=True):
    usage: Whole = 0
    stats: dict[str, Whole] = msgspec.field(default_factory=dict)


class _Network(msgspec.Struct, frozen=True):
    rx_bytes: Whole = 0
    tx_bytes: Whole = 0


class _Disk(msgspec.Struct, frozen=True):
    op: str = ""
    value: Whole = 0


class _Disks(msgspec.Struct, frozen=True):
    io_service_bytes_recursive: tuple[_Disk, ...] | None = None


class _Pids(msgspec.Struct, frozen=True):
    current: Whole | None = None


class _Stats(msgspec.Struct, frozen=True):
    cpu_stats: _Cpu = _Cpu()
    memory_stats: _Memory = _Memory()
    networks: dict[str, _Network] | None = None
    blkio_stats: _Disks = _Disks()
    pids_stats: _Pids = _Pids()


_STATS: msgspec.json.Decoder[_Stats] = msgspec.json.Decoder(_Stats)
