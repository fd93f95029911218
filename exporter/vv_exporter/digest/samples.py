"""A sample of the device's state each minute, kept in the store: what a digest cannot learn from what happened.

Counts are kept as they stand; what happened in a time is the difference of two samples.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

import msgspec
from prometheus_client.core import Metric as Family

from vv_exporter.metrics.alerts import RELAY_DELIVERIES
from vv_exporter.metrics.containers import RUNNING
from vv_exporter.metrics.delivery import NOTIFICATIONS
from vv_exporter.metrics.dvr import DVR_UP
from vv_exporter.metrics.exporter import COLLECTOR_SUCCESS
from vv_exporter.metrics.host import BOOT_TIME
from vv_exporter.metrics.jobs import JOB_RUNS
from vv_exporter.metrics.pipeline import STAGE_DURATION, STAGE_OVERRUNS
from vv_exporter.metrics.storage import FREE, SIZE
from vv_exporter.state.store import Store
from vv_exporter.status.series import Series

HISTORY = "sample"
INTERVAL = 60.0  # seconds between samples
GAP = 3 * INTERVAL  # seconds without a sample after which the exporter did not run
MAX_ROWS = 8 * 1440
MAX_BYTES = 16 * 1024 * 1024
OWN = ("webhook", "digest")  # destinations that the exporter delivers to past Alertmanager
MAX_NAMES = 200  # of containers, stages, …
T = TypeVar("T")
_CHUNK = 500
_LAST = 2**62  # beyond all ids of one time


class Space(msgspec.Struct, frozen=True):
    """A file system, in bytes."""

    free: float
    size: float


class Sample(msgspec.Struct, frozen=True, omit_defaults=True):
    """The state at a time (Unix seconds). What is up has 1, what is down 0; counts are since ever.

    `stages`, `jobs` and `sent` have their counts by name and outcome: `scan_video/failure`. What a collector in
    `failing` would have shown is not there.
    """

    time: float = 0.0
    boot: float = 0.0
    failing: tuple[str, ...] = ()
    containers: dict[str, int] = msgspec.field(default_factory=dict)
    dvrs: dict[str, int] = msgspec.field(default_factory=dict)
    disks: dict[str, Space] = msgspec.field(default_factory=dict)
    stages: dict[str, float] = msgspec.field(default_factory=dict)
    jobs: dict[str, float] = msgspec.field(default_factory=dict)
    sent: dict[str, float] = msgspec.field(default_factory=dict)


def sample(families: Iterable[Family], now: float) -> Sample:
    """What counts of a scrape."""
    series = Series(families)
    stages = [(f"{labels['stage']}/{labels['outcome']}", n) for labels, n in series.all(STAGE_DURATION, "_count")]
    stages += [(f"{labels['stage']}/overrun", n) for labels, n in series.all(STAGE_OVERRUNS)]
    return Sample(
        time=now,
        boot=series.one(BOOT_TIME) or 0.0,
        failing=tuple(labels["collector"] for labels, success in series.all(COLLECTOR_SUCCESS) if success != 1),
        containers=_first_names((labels["name"], int(up)) for labels, up in series.all(RUNNING)),
        dvrs=_first_names(_dvr_states(series)),
        disks=_first_names(
            (f"{labels['path']} ({labels['role']})", Space(free, series.one(SIZE, **labels) or 0.0))
            for labels, free in series.all(FREE)
        ),
        stages=_first_names(stages),
        jobs=_first_names((f"{labels['job']}/{labels['result']}", n) for labels, n in series.all(JOB_RUNS)),
        sent=_first_names(_sent_counts(series)),
    )


def record_sample(store: Store, families: Iterable[Family], now: float) -> None:
    """Keep a sample. Raises `StoreError`."""
    with store.transaction() as tx:
        tx.append(HISTORY, now, msgspec.to_builtins(sample(families, now)))


def read(store: Store, since: float) -> list[Sample]:
    """The samples since a time and the last one before it, the oldest first."""
    decoder = msgspec.json.Decoder(Sample)
    rows: list[tuple[int, float, bytes]] = []
    cursor = (float("inf"), _LAST)
    while True:  # in short steps, so that no writer waits for long
        chunk = store.raw_history(HISTORY, since, cursor, _CHUNK)
        rows += chunk
        if len(chunk) < _CHUNK:
            break
        cursor = (chunk[-1][1], chunk[-1][0])
    rows += store.raw_history(HISTORY, 0.0, (since, -1), 1)
    return [_as_filed(one, time) for _, time, one in store.decoded(reversed(rows), decoder.decode)]


def _as_filed(sample: Sample, time: float) -> Sample:
    """The sample at the time under which it is kept: when the clock was set, that of the boot moved as well."""
    moved = time - sample.time if sample.time else 0.0
    return msgspec.structs.replace(sample, time=time, boot=sample.boot + moved if sample.boot else 0.0)


def increases(counts: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """By how much each count grew. One that became smaller began anew; one that was not there began at 0."""
    counts = iter(counts)
    last = dict(next(counts, {}))
    grown: dict[str, float] = {}
    for now in counts:
        for name, count in now.items():
            was = last.get(name, 0.0)
            grown[name] = grown.get(name, 0.0) + (count - was if count >= was else count)
        last.update(now)
    return grown


def _sent_counts(series: Series) -> Iterator[tuple[str, float]]:
    """What people's channels took, and what the exporter delivers itself; a receiver is in one of the two."""
    for labels, count in series.all(NOTIFICATIONS):
        yield f"{labels['channel']}/{labels['result']}", count
    for labels, count in series.all(RELAY_DELIVERIES):
        if labels["destination"] in OWN:
            yield f"{labels['destination']}/{labels['result']}", count


def _dvr_states(series: Series) -> Iterator[tuple[str, int]]:
    """Whether each is up: what the probe says goes before what an agent says."""
    for name, found in series.by(DVR_UP, "dvr").items():
        sources = {labels["source"]: int(up) for labels, up in found}
        yield name, sources.get("probe", max(sources.values()))


def _first_names(items: Iterable[tuple[str, T]]) -> dict[str, T]:
    return {name[:200]: value for name, value in sorted(items, key=lambda item: item[0])[:MAX_NAMES]}
