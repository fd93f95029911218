"""The Engine's answer of what a container uses, as versions 20.10 (cgroups v1) and 28 (v2) give it."""

import json
from typing import Any

import msgspec
import pytest

from vv_exporter.containers.resources import Running, Usage, decode_stats

CONTAINER = Running("1", "web", cpu_limit=0.5, memory_limit=67_108_864)
V1: dict[str, Any] = {
    "read": "2026-01-27T21:17:31.523184761Z",
    "pids_stats": {"current": 3},
    "blkio_stats": {
        "io_service_bytes_recursive": [
            {"major": 8, "minor": 0, "op": "Read", "value": 4096},
            {"major": 8, "minor": 0, "op": "Write", "value": 8192},
            {"major": 8, "minor": 0, "op": "Total", "value": 12288},
            {"major": 8, "minor": 16, "op": "Read", "value": 1000},
        ],
        "sectors_recursive": [],
    },
    "cpu_stats": {"cpu_usage": {"total_usage": 1_749_356_388, "percpu_usage": [1, 2]}, "online_cpus": 2},
    "memory_stats": {
        "usage": 21_884_928,
        "stats": {"inactive_file": 4096, "total_inactive_file": 20_971_520},
        "limit": 67_108_864,
    },
    "networks": {"eth0": {"rx_bytes": 1096, "tx_bytes": 540}, "eth1": {"rx_bytes": 4, "tx_bytes": 0}},
}
V2 = V1 | {
    "blkio_stats": {"io_service_bytes_recursive": [{"major": 8, "minor": 0, "op": "read", "value": 5}]},
    "memory_stats": {"usage": 1000, "stats": {"inactive_file": 4096, "anon": 100}, "limit": 8_000_000_000},
}
STOPPED = {
    "pids_stats": {},
    "blkio_stats": {"io_service_bytes_recursive": None},
    "cpu_stats": {"cpu_usage": {"total_usage": 0}},
    "memory_stats": {},
}


def decoded(raw: dict[str, Any], container: Running = CONTAINER) -> Usage | None:
    return decode_stats(json.dumps(raw).encode(), container)


def test_the_engines_answer_is_read_as_its_files_are() -> None:
    assert decoded(V1) == Usage(1.749356388, 0.5, 913_408, 67_108_864, 1100, 540, 5096, 8192, 3)


def test_with_version_2_file_pages_may_outweigh_what_was_read_before() -> None:
    found = decoded(V2)

    assert found is not None
    assert (found.memory, found.read, found.written) == (0, 5, 0)


def test_a_container_that_does_not_run_uses_nothing_that_could_be_shown() -> None:
    assert decoded(STOPPED) is None


def test_what_is_not_told_is_left_out() -> None:
    bare = {"cpu_stats": V1["cpu_stats"], "memory_stats": V1["memory_stats"]}
    found = decoded(bare)

    assert found is not None
    assert (found.received, found.read, found.pids) == (None, None, None)


def test_the_devices_own_network_is_not_the_containers() -> None:
    found = decoded(V1, CONTAINER._replace(network=False))

    assert found is not None
    assert (found.received, found.transmitted) == (None, None)


def test_what_is_no_answer_is_an_error() -> None:
    with pytest.raises(msgspec.MsgspecError):
        decode_stats(b"<html>", CONTAINER)
