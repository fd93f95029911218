"""An exporter without threads: its real store, reader, folds, collectors, relay and pages, and a clock that is told."""

from __future__ import annotations

import itertools
import json
import shutil
import tempfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.support.clock import Clock
from vv_exporter.alertmanager.payload import payload
from vv_exporter.alertmanager.token import read_token
from vv_exporter.collectors import discover
from vv_exporter.context import Context
from vv_exporter.delivery.relay import Relay
from vv_exporter.journal import files
from vv_exporter.services import build_services
from vv_exporter.settings import load
from vv_exporter.state.openalerts import ALERTS
from vv_exporter.state.store import Store
from vv_exporter.web import create_app
from vv_exporter.web.guard import Guarded, gather

TRIES = 3  # rounds of the reader that may fail before a CRITICAL has to be there
CLOSER_LOOK = 20  # proofs between looks at everything that is shown
MAX_SCRAPE = 50_000_000  # bytes
CONFIG = """
stages: {scan_video: {limit: 10m, limit_per_gb: 1m}}
jobs:
  nightly: {schedule: "0 3 * * *", max_runtime: 1h}
  hourly: {schedule: "0 * * * *", timezone: Europe/Lisbon}
containers: {essential: [web], expected: [db], ignore: [old]}
self_monitor: {containers: [web], processes: {web: agent}}
"""
_numbers = itertools.count()


def temporary() -> Path:
    """A folder of its own, in memory where that is to be had."""
    memory = Path("/dev/shm")
    return Path(tempfile.mkdtemp(prefix="vv-fuzz-", dir=memory if memory.is_dir() else None))


class Device:
    """See the module."""

    def __init__(self, database: Path | None = None) -> None:
        """`database` is one that was left by another."""
        self.folder = temporary()
        (self.folder / "vv.yml").write_text(CONFIG)
        (self.folder / "videos").mkdir()
        self.clock = Clock()
        self.settings = load(
            {
                "VV_STATE_DIR": str(self.folder),
                "VV_CONFIG": str(self.folder / "vv.yml"),
                "VIDEO_STORAGE_ROOT": str(self.folder / "videos"),
                "WEBHOOK_URL": "http://127.0.0.1:9/webhook",
                "VV_DEVICE_ID": "edge-1",
            }
        )
        if database is not None:
            self.settings.exporter_dir.mkdir()
            shutil.copy(database, self.settings.exporter_dir / "state.db")
        self.store = Store(self.settings.exporter_dir / "state.db", self.clock)
        self.store._connection.execute("PRAGMA synchronous = OFF")  # no power is cut here
        context = Context(self.settings, self.store, self.clock, self.clock)
        services = build_services(context)
        self.collectors = [build(services) for build in discover()]
        self._reader = services.reader
        self._guarded = [Guarded(collector) for collector in self.collectors]
        self.app = create_app(context, self._guarded)
        self.token = read_token(self.settings)
        self.received: list[dict[str, Any]] = []
        self._relay = Relay(
            self.store, self, lambda alert: payload(alert, "edge-1", "", ""), 300.0, self.clock, self.clock
        )
        self.journal = self.settings.journal_dir
        files.ensure_directory(self.journal)
        self._proofs = 0

    def send(self, alerts: list[dict[str, Any]]) -> None:
        """Alertmanager: takes what can be sent."""
        json.dumps(alerts).encode()
        self.received += alerts

    def write(self, *lines: bytes) -> Path:
        """Leave a file of the journal whose writer has ended."""
        path = self.journal / f"fuzz{next(_numbers)}.0.jsonl"
        path.write_bytes(b"".join(line + b"\n" for line in lines))
        return path

    def prove(self) -> None:
        """A CRITICAL alert arrives; from time to time: all is shown as well."""
        self.clock.advance(1)
        title = f"proof {next(_numbers)}"
        event = {"v": 1, "ts": self.clock(), "component": "fuzz", "type": "alert", "id": title, "level": "CRITICAL"}
        self.write(b'{"v":1,"ts":1,"type":"writer","lock":true}', json.dumps(event | {"title": title}).encode())
        self._read(title)
        self.received.clear()
        self._relay.round()
        assert any(alert["labels"]["title"] == title for alert in self.received), "the CRITICAL was not relayed"
        self._proofs += 1
        if self._proofs % CLOSER_LOOK == 0:
            self.look_closer()

    def _read(self, title: str) -> None:
        failures: list[Exception] = []
        while len(failures) < TRIES:
            try:
                while self._reader.round():
                    pass
            except Exception as error:
                failures.append(error)
            if any(alert.title == title and alert.severity == "critical" for alert in self.store.docs(ALERTS).values()):
                return
            self.clock.advance(1)
            if not failures:
                break
        raise AssertionError(f"the CRITICAL did not arrive: {failures!r}") from (failures[0] if failures else None)

    def look_closer(self) -> None:
        """Every collector works, and every page is there."""
        for family in gather(self._guarded, 10.0):
            for sample in family.samples:
                failed = sample.name == "vv_collector_success" and sample.value != 1
                assert not failed, f"collector {sample.labels} failed"
        for path in (
            "/metrics",
            "/",
            "/api/v1/status",
            "/timeline",
            "/api/v1/timeline",
            "/api/v1/digest",
            "/-/healthy",
        ):
            status, body = self.ask("GET", path)
            assert status == 200, f"{path} is answered with {status}: {body[:300]!r}"
            assert len(body) < MAX_SCRAPE, f"{path} has {len(body)} bytes"

    def ask(
        self, method: str, target: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> tuple[int, bytes]:
        """One request to the application, as the server would hand it over."""
        path, _, query = target.partition("?")
        environ: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "19461",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.input": BytesIO(body),
            "wsgi.url_scheme": "http",
        }
        for name, value in (headers or {}).items():
            environ[f"HTTP_{name.upper().replace('-', '_')}"] = value
        statuses: list[str] = []
        parts = self.app(environ, lambda status, _headers, _error=None: statuses.append(status))  # type: ignore[arg-type, return-value]
        answer = b"".join(parts)
        return int(statuses[0].split()[0]), answer

    def fill(self) -> None:
        """Let it have something to show."""
        from tests.fuzz.targets.journal import EVENTS  # here: that module needs this one

        self.write(*(event.replace(b"1700000000", str(int(self.clock())).encode()) for event in EVENTS))
        self.prove()

    def close(self) -> None:
        """End it."""
        self.store.close()
        self.store.families.clear()  # collectors' threads live on, and hold it
        self.store._documents.clear()
        shutil.rmtree(self.folder, ignore_errors=True)


def split_target(text: str) -> str:
    """Path and query of a request's target, of whatever form."""
    parts = urlsplit(text)
    return parts.path + (f"?{parts.query}" if parts.query else "")
