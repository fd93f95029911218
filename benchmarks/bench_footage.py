"""What footage costs: a segment in its script and in the state, a question to a ledger of a year, and the page.

The targets: a year of ten cameras in 20 MB, a question of a day in 10 ms; the page of 16 cameras and 30 days in 150 kB
and 150 ms. What a signature costs, with and without its chain, is in `bench_signing`.
"""

import os
import tempfile
import time
from functools import partial
from pathlib import Path

import requests
from benchmarks._measure import compare, machine, measure, table

from vv_exporter.context import Context
from vv_exporter.footage import states
from vv_exporter.footage.ledger import CAMERAS, DAY, DAYS, STEPS, Camera, Day, add_footage, key_of, milliseconds
from vv_exporter.footage.report import View, account
from vv_exporter.footage.segments import done, recorded
from vv_exporter.settings import load
from vv_exporter.state.store import Store
from vv_exporter.web import Server, create_app

MINUTE = 60_000
HOLES = 30  # of each camera and day


def main() -> None:
    """Print the tables."""
    with tempfile.TemporaryDirectory() as folder:
        _print_script(Path(folder) / "script")
        _print_state(Path(folder) / "day.db")
        _print_questions(Path(folder) / "year.db")
        _print_page(Path(folder) / "page")


def _print_script(state: Path) -> None:
    os.environ.update(VV_STATE_DIR=str(state), VV_JOURNAL_MAX="1TB")
    from vv_core.footage import recorded as report
    from vv_core.jobs import heartbeat

    subjects = {
        "recorded(…, video=…)": lambda: report("gate", 1.7e9, 1.7e9 + 60, video="/v/1.mp4"),
        "heartbeat(…)": lambda: heartbeat("nightly"),
    }
    print(table(compare(subjects, 500, rounds=5), title="A segment, in its script"))


def _print_state(file: Path) -> None:
    """A day of ten cameras: a file a minute of each, analysed, summarised and signed; each minute one transaction."""
    store, begin = Store(file, time.time), milliseconds(time.time()) // DAY * DAY - DAY
    sizes, started = [file.stat().st_size], time.perf_counter()
    for minute in range(1440):
        with store.transaction() as tx:
            for camera in range(10):
                path, at = f"/v/{camera}/{minute}.mp4", begin + minute * MINUTE
                recorded(tx, f"camera {camera}", at, at + MINUTE, path)
                for step in STEPS[2:]:
                    done(tx, step, path, "")
    took = time.perf_counter() - started
    store.close()
    sizes.append(file.stat().st_size)
    segments = 14_400
    print(
        f"\nA segment and its three steps, in the exporter: {took / segments * 1e6:.0f} µs; "
        f"the database grew by {(sizes[1] - sizes[0]) / segments:.0f} bytes a segment in its first day   "
        f"[{machine()}]"
    )


def _print_questions(file: Path) -> None:
    store, now = Store(file, time.time), milliseconds(time.time())
    today, before = now // DAY, file.stat().st_size
    spans = tuple(time for hole in range(HOLES + 1) for time in (hole * DAY // 31, (hole + 1) * DAY // 31 - 90_000))
    for camera in range(10):
        with store.transaction() as tx:
            for day in range(today - 365, today):
                for step in STEPS:
                    tx.put(DAYS, key_of(f"camera {camera}", step, day), Day(spans))
            first, latest = dict.fromkeys(STEPS, today - 365), dict.fromkeys(STEPS, today - 1)
            name = f"camera {camera}"
            tx.put(CAMERAS, name, Camera(name, (today - 365) * DAY, first, latest, MINUTE))
    end = today * DAY

    def ask(days: int) -> None:
        account(View(store), "camera 3", None, end - days * DAY, end, now)

    rows = [
        measure(f"{days} days of a camera", partial(ask, days), calls) for days, calls in ((1, 50), (30, 10), (365, 1))
    ]
    print(f"\n{table(rows, title='A question to a year of ten cameras, thirty holes a day', unit='ms')}")
    store.close()
    print(f"the database of that year: {(file.stat().st_size - before) / 1e6:.1f} MB")


def _print_page(folder: Path) -> None:
    folder.mkdir()
    store, now = Store(folder / "state.db", time.time), milliseconds(time.time())
    with store.transaction() as tx:
        for camera in range(16):
            for hole in range(16 * 30):
                at = now - 30 * DAY + hole * (DAY // 16)
                add_footage(tx, f"camera {camera}", "recorded", at, at + DAY // 16 - MINUTE - hole)
                ended = (at + DAY // 16) / 1000
                states.lasted(tx, f"camera {camera}", "dvr_down", ended - 50, ended - 1)
    settings = load({"VV_STATE_DIR": str(folder), "VV_CONFIG": "", "VV_ALERTMANAGER_PORT": "1"})
    context = Context(settings=settings, store=store, clock=time.time, monotonic=time.monotonic)
    server = Server("127.0.0.1:0", create_app(context, []))
    server.start()
    session, sizes = requests.Session(), set[int]()

    def get() -> None:
        sizes.add(len(session.get(f"{server.url}/footage", timeout=30).content))

    print(f"\n{table([measure('/footage', get, 20)], title='The page of 16 cameras and 30 days', unit='ms')}")
    print(f"{max(sizes) / 1000:.0f} kB")
    server.stop()
    store.close()


if __name__ == "__main__":
    main()
