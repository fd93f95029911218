"""Reading the journal: events a second, from the file to the committed count, beside json.loads alone.

The target is 200,000 events a second for the mix that scripts write (stage starts and ends, heartbeats).
"""

import json
import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks._measure import machine
from benchmarks._results import OURS, Figure, publish

from vv_exporter.journal.folds import discover
from vv_exporter.journal.reader import Reader
from vv_exporter.metrics.exporter import EVENTS
from vv_exporter.settings import load
from vv_exporter.state.store import Store

WRITERS = 4
EVENTS_EACH = 50_000
TURNS = 5


def lines(writer: int) -> list[bytes]:
    """A writer's journal: a header, then runs of a stage, and a heartbeat for every ten of them."""
    made: list[dict[str, object]] = [{"type": "writer", "component": "scan_video.py", "lock": True, "boot": "b"}]
    while len(made) <= EVENTS_EACH:
        run = f"{writer:04x}{len(made):012x}"
        made.append(
            {"type": "stage.started", "run": run, "stage": "scan_video", "mono": 12.5, "video": "/v/input/cam1.mp4"}
        )
        made.append(
            {"type": "stage.finished", "run": run, "stage": "scan_video", "outcome": "success", "seconds": 1.25}
        )
        if len(made) % 20 == 1:
            made.append({"type": "heartbeat", "job": "orchestrator"})
    return [json.dumps({"v": 1, "ts": 1_700_000_000.5, **event}).encode() + b"\n" for event in made[: EVENTS_EACH + 1]]


def read(folder: Path, journals: list[list[bytes]]) -> float:
    """Events a second of the exporter's reader, from files to the database."""
    journal = folder / "journal"
    journal.mkdir()
    for number, journal_lines in enumerate(journals):
        (journal / f"w{number}.0.jsonl").write_bytes(b"".join(journal_lines))
    store = Store(folder / "state.db", time.time)
    reader = Reader(journal, store, discover(), load({"VV_STATE_DIR": str(folder)}), time.time, time.monotonic)
    begin = time.perf_counter()
    while reader.round():
        pass
    seconds = time.perf_counter() - begin
    counted = sum(series.value for _, series in store.series(EVENTS))
    assert counted == sum(map(len, journals)), f"{counted} were counted"
    store.close()
    return counted / seconds


def parse(journals: list[list[bytes]]) -> float:
    """Lines a second of json.loads alone."""
    begin = time.perf_counter()
    for journal_lines in journals:
        for line in journal_lines:
            json.loads(line)
    return sum(map(len, journals)) / (time.perf_counter() - begin)


def main() -> None:
    journals = [lines(number) for number in range(WRITERS)]
    results: dict[str, list[float]] = {"reader, counted and committed": [], "json.loads alone": []}
    for _ in range(TURNS):
        with tempfile.TemporaryDirectory() as folder:
            results["reader, counted and committed"].append(read(Path(folder), journals))
        results["json.loads alone"].append(parse(journals))
    print(f"reading the journal, {WRITERS} files of {EVENTS_EACH} events   [{machine()}]")
    for name, rates in results.items():
        middle = median(rates)
        print(f"{name:32} {middle:10,.0f} events/s   noise {(max(rates) - min(rates)) / middle:4.0%}")
    what, subjects = "reading the journal, to the committed count", (OURS, "json.loads alone")
    found = zip(subjects, results.values(), strict=True)
    publish("reader", [Figure(what, subject, "events/s", tuple(rates)) for subject, rates in found])


if __name__ == "__main__":
    main()
