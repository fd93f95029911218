"""The pages: how long they take and how large they are, with 50 containers and 10,000 entries in the timeline.

The targets are 100 ms and 100 kB.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

import requests
from benchmarks._measure import machine

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.support.states import device

from vv_exporter.context import Context
from vv_exporter.settings import load
from vv_exporter.state.store import Store
from vv_exporter.state.timeline import Entry, add_to_timeline
from vv_exporter.web import Server, create_app

TIMES = 30
PATHS = (
    "/",
    "/timeline",
    "/timeline?component=rare&since=",
    "/timeline?around=12h",
    "/timeline?at=12h&component=rare",
    "/api/v1/status",
)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "state.db", time.time)
        with store.transaction() as tx:
            for number in range(10_000):
                component = "rare" if number == 9_990 else f"scan-{number % 40}.py"
                entry = Entry(
                    "stage.failed", f"Stage {number} failed", "error", component, "no frames\n" * 20, f"/v/{number}"
                )
                add_to_timeline(tx, tx.now - 8 * number, entry)
        settings = load({"VV_STATE_DIR": folder, "VV_CONFIG": "", "VV_ALERTMANAGER_PORT": "1"})
        context = Context(settings=settings, store=store, clock=time.time, monotonic=time.monotonic)
        stages = [f"stage_{number}" for number in range(10)]
        app = create_app(context, device(time.time(), containers_=50, stages=stages, broken=True))
        server = Server("127.0.0.1:0", app)
        server.start()
        print(f"pages, 50 containers, 10,000 entries, median of {TIMES}   [{machine()}]")
        session = requests.Session()
        for path in PATHS:
            took, size = _measured(session, server.url + path)
            print(f"{path:34} {took * 1000:6.1f} ms   {size / 1000:6.1f} kB")
        server.stop()
        store.close()


def _measured(session: requests.Session, url: str) -> tuple[float, int]:
    """Seconds and bytes; spaced so that no answer is one that was made for the request before."""
    took = []
    for _ in range(TIMES):
        begin = time.perf_counter()
        answer = session.get(url, headers={"Accept-Encoding": "identity"}, timeout=10)
        answer.raise_for_status()
        took.append(time.perf_counter() - begin)
        time.sleep(0.6)
    return statistics.median(took), len(answer.content)


if __name__ == "__main__":
    main()
