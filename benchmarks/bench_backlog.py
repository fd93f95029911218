"""A backlog of two million events, and one of 60,000 files: when a CRITICAL among them is told, what the rest takes.

For each backlog the real exporter is started on it, with an Alertmanager that notes what arrives. One CRITICAL stands
at the end of the backlog when the exporter starts, another is raised while it reads. Beside them: the half of each
backlog, which should take half the time.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.request import urlopen

from benchmarks._measure import machine

EVENTS = 2_000_000
EVENTS_A_FILE = 6_000  # about the 1 MiB after which writers go on to the next file
FILES = 60_000
POLL_SECONDS = 0.5


class Alertmanager(ThreadingHTTPServer):
    """Takes everything, and notes when each alert first came, by title."""

    def __init__(self) -> None:
        self.seen: dict[str, float] = {}
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(BaseHTTPRequestHandler):
    server: Alertmanager

    def do_POST(self) -> None:
        alerts = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"[]")
        for alert in alerts if isinstance(alerts, list) else []:
            for text in ("waiting", "live"):
                if text in json.dumps(alert):
                    self.server.seen.setdefault(text, time.monotonic())
        self._answer(b"")

    def do_GET(self) -> None:
        self._answer(
            b'{"uptime": "2026-01-01T00:00:00Z", "config": {"original": ""}, "versionInfo": {}, "cluster": {}}'
        )

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def line(**fields: object) -> bytes:
    return json.dumps({"v": 1, "ts": round(time.time(), 3), **fields}, separators=(",", ":")).encode() + b"\n"


HEADER = line(type="writer", component="scan_video.py", lock=True, boot="b")


def alert(title: str) -> bytes:
    return line(type="alert", id=title, level="CRITICAL", title=title)


def many_events(journal: Path, count: int) -> None:
    """Of one writer, in files as the SDK rolls them; the CRITICAL is the last line."""
    for seq, begin in enumerate(range(0, count, EVENTS_A_FILE)):
        content = [HEADER]
        for number in range(begin, min(begin + EVENTS_A_FILE, count), 2):
            run = f"{number:032x}"
            content += [
                line(type="stage.started", run=run, stage="scan_video", mono=12.5, video="/v/input/cam1.mp4"),
                line(type="stage.finished", run=run, stage="scan_video", outcome="success", seconds=1.25),
            ]
        (journal / f"019a.{seq}.jsonl").write_bytes(b"".join(content))
    with (journal / f"019a.{seq}.jsonl").open("ab") as file:
        file.write(alert("waiting"))


def many_files(journal: Path, count: int) -> None:
    """One event each, of as many writers; the CRITICAL is in the newest."""
    content = HEADER + line(type="heartbeat", job="backup")
    for number in range(count - 1):
        (journal / f"{number:08}.0.jsonl").write_bytes(content)
    (journal / f"{count:08}.0.jsonl").write_bytes(HEADER + alert("waiting"))


@contextmanager
def exporter(state: Path, alertmanager: Alertmanager) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    port = 20_000 + os.getpid() % 20_000
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("VV_", "DOCKER_"))}
    environ |= {
        "VV_STATE_DIR": str(state),
        "VV_EXPORTER_PORT": str(port),
        "VV_CONFIG": "",
        "VV_ALERTMANAGER_URL": f"http://127.0.0.1:{alertmanager.server_port}",
        "DOCKER_HOST": "unix:///nonexistent",
    }
    command = [sys.executable, "-m", "vv_exporter", "exporter"]
    with subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield process, f"http://127.0.0.1:{port}/metrics"
        finally:
            process.terminate()


def peak(process: subprocess.Popen[bytes]) -> float:
    """MB that the process held at most."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1000


def scrape(url: str) -> tuple[float, dict[str, float]]:
    begin = time.monotonic()
    try:
        with urlopen(url, timeout=30) as answer:
            text = answer.read().decode()
    except OSError:
        return 0.0, {}
    samples = (sample.rpartition(" ") for sample in text.splitlines() if not sample.startswith("#"))
    return time.monotonic() - begin, {name: float(value) for name, _, value in samples}


def run(fill: object, count: int) -> str:
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder)
        journal = state / "journal"
        journal.mkdir()
        fill(journal, count)  # type: ignore[operator]
        alertmanager = Alertmanager()
        threading.Thread(target=alertmanager.serve_forever, daemon=True).start()
        with exporter(state, alertmanager) as (process, url):
            slowest, ready, live, gone, seen = 0.0, 0.0, 0.0, 0.0, False
            while not gone or "live" not in alertmanager.seen:
                took, samples = scrape(url)
                slowest = max(slowest, took)
                seen = seen or samples.get("vv_event_backlog_bytes", 0) > 0
                if samples and not ready:
                    ready = time.monotonic()
                elif samples and not live:
                    live = time.monotonic()
                    (journal / "live.tmp").write_bytes(HEADER + alert("live"))
                    (journal / "live.tmp").rename(journal / "zz.0.jsonl")
                elif samples and not gone and seen and samples.get("vv_event_backlog_bytes") == 0:
                    gone = time.monotonic()
                time.sleep(POLL_SECONDS)
            result = (
                f"told after {alertmanager.seen['waiting'] - ready:5.1f} s, one raised meanwhile after "
                f"{alertmanager.seen['live'] - live:4.1f} s; gone after {gone - ready:6.1f} s; "
                f"slowest scrape {slowest:4.2f} s; peak {peak(process):5.1f} MB"
            )
        alertmanager.shutdown()
    return result


def main() -> None:
    print(f"a CRITICAL behind a backlog, seconds since the exporter answers   [{machine()}]")
    for name, fill, count in (
        ("events", many_events, EVENTS // 2),
        ("events", many_events, EVENTS),
        ("files", many_files, FILES // 2),
        ("files", many_files, FILES),
    ):
        print(f"{count:9,} {name:6}  {run(fill, count)}", flush=True)


if __name__ == "__main__":
    main()
