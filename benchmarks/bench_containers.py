"""What containers cost: a collection with 20 and with 200 of them, and the fold of one event among 200.

The target for a whole scrape with 200 containers is 200 ms.
"""

import tempfile
import time
from pathlib import Path

from benchmarks._measure import compare, table

from vv_exporter.collectors.containers import ContainersCollector
from vv_exporter.containers.asker import Asker
from vv_exporter.containers.ledger import fold_event
from vv_exporter.containers.observed import SECOND, Event
from vv_exporter.containers.records import CONTAINERS, ContainerRecord, all_series
from vv_exporter.containers.watch import ContainerWatch
from vv_exporter.context import Context
from vv_exporter.settings import load
from vv_exporter.state.store import Store


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        few, many = (_collector(Path(folder) / str(count), count) for count in (20, 200))
        rows = compare({"collect, 20": lambda: list(few.collect()), "collect, 200": lambda: list(many.collect())}, 50)
        print(table(rows, title="containers", unit="ms"))
    records = {record.name: record for record in map(_record, range(200))}
    death = Event("id 199", "c199", "die", 9 * SECOND, {"exitCode": "1"})
    print(table(compare({"fold a death": lambda: fold_event(records, death, None, 9.0)}, 2000)))


def _collector(folder: Path, count: int) -> ContainersCollector:
    settings = load({"VV_STATE_DIR": str(folder), "VV_CONFIG": ""})
    store = Store(folder / "state.db", time.time)
    with store.transaction() as tx:
        for record in map(_record, range(count)):
            tx.put(CONTAINERS, record.name, record)
            for metric, labels in all_series(record.name):
                tx.inc(metric, labels)
    watch = ContainerWatch("", settings.containers, store, time.time, time.monotonic)
    return ContainersCollector(Context(settings, store, time.time, time.monotonic), watch, Asker(watch.connect))


def _record(number: int) -> ContainerRecord:
    return ContainerRecord(
        name=f"c{number}",
        id=f"id {number}",
        image="registry.example/site/stage:1.2.3",
        project="site",
        service=f"service{number}",
        policy="always",
        state="running",
        health="healthy",
        exit_code=1,
        started=5 * SECOND,
        wanted=True,
    )


if __name__ == "__main__":
    main()
