"""Real Prometheus and Alertmanager servers for tests, on free loopback ports, run as `vv up` runs them.

    with Prometheus(config, tmp_path / "prometheus", programs) as prometheus:
        wait_until(lambda: prometheus.value('up{job="vv"}') == 1, 20, what="the target")
        assert prometheus.alerts() == []

`programs` is the fixture of that name (`tests/conftest.py`); it skips the test where the servers are missing.
A port that the configuration must name beforehand can be given: `port=free_port()`.
"""

import json
import signal
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support.ports import free_port
from tests.support.waiting import wait_until
from vv_exporter.render.intervals import resend_delay
from vv_exporter.stack.processes import Child
from vv_exporter.stack.servers import (
    DEFAULT_AFTER_SECONDS,
    LOOPBACK,
    alertmanager_command,
    prometheus_command,
    ready,
)


@dataclass(frozen=True)
class Programs:
    """Where the programs are."""

    prometheus: Path
    promtool: Path
    alertmanager: Path
    amtool: Path


@dataclass(frozen=True)
class Sample:
    """One element of an instant vector."""

    labels: dict[str, str]
    value: float


class Server:
    """A server process in a folder of its own."""

    reloaded_metric: str

    def __init__(self, name: str, command: Sequence[str | Path], folder: Path, port: int) -> None:
        self.port = port
        self.url = f"http://{LOOPBACK}:{port}"
        self._child = Child(name, command, folder / f"{name}.log")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if error is not None:
            error.add_note(f"{self._child.name} said last:\n{self._child.tail(20)}")

    def start(self) -> None:
        """Start it, or start it again on the same data, and return when it is ready."""
        self._child.start()
        try:
            wait_until(
                lambda: self._child.exit_code() is not None or ready(self.port),
                30,
                what=f"{self._child.name} on port {self.port}",
            )
            assert self._child.exit_code() is None, f"{self._child.name} ended at once"
        except AssertionError as error:
            self.kill()
            error.add_note(self._child.tail(20))
            raise

    def freeze(self) -> None:
        """Let it hang (SIGSTOP), until `thaw`."""
        self._child.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._child.signal(signal.SIGCONT)

    def stop(self) -> None:
        """Stop it as an operator would."""
        self._child.stop()

    def kill(self) -> None:
        """Stop it with SIGKILL."""
        self._child.kill()

    def reload(self) -> None:
        """Have it read its configuration again; returns when that has succeeded, fails when it was refused."""
        before = self.metric(self.reloaded_metric + "_success_timestamp_seconds")
        self._child.signal(signal.SIGHUP)
        wait_until(lambda: self._reloaded(before), 15, what=f"the new configuration of {self._child.name}")

    def _reloaded(self, before: float) -> bool:
        return (
            self.metric(self.reloaded_metric + "_successful") == 1
            and self.metric(self.reloaded_metric + "_success_timestamp_seconds") > before
        )

    def metric(self, name: str) -> float:
        """One of the server's own metrics without labels."""
        for line in self.get("/metrics").decode().splitlines():
            if line.startswith(name + " "):
                return float(line.split()[1])
        raise AssertionError(f"{self._child.name} has no metric {name}")

    def get(self, path: str) -> bytes:
        """The body of an answer to GET; raises `urllib.error.HTTPError` for a status that is no success."""
        return self._open(urllib.request.Request(self.url + path))

    def post(self, path: str, body: object) -> bytes:
        """The body of an answer to a POST of JSON."""
        data = json.dumps(body).encode()
        return self._open(
            urllib.request.Request(self.url + path, data=data, headers={"Content-Type": "application/json"})
        )

    def _open(self, request: urllib.request.Request) -> bytes:
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                content: bytes = answer.read()
                return content
        except urllib.error.HTTPError as error:
            error.add_note(error.read().decode(errors="replace"))
            raise


class Prometheus(Server):
    """A Prometheus that runs `config`, a file, with its data in `folder`; `arguments` come last.

    `after`: VV_ALERT_PATH_AFTER, in seconds.
    """

    reloaded_metric = "prometheus_config_last_reload"

    def __init__(
        self,
        config: Path,
        folder: Path,
        programs: Programs,
        port: int | None = None,
        *arguments: str,
        after: float = DEFAULT_AFTER_SECONDS,
    ) -> None:
        port = port or free_port()
        folder.mkdir(parents=True, exist_ok=True)
        command = prometheus_command(programs.prometheus, config, folder / "data", port, resend_delay(after))
        given = {argument.partition("=")[0] for argument in arguments}  # a flag may stand once only
        command = [part for part in command if str(part).partition("=")[0] not in given]
        super().__init__("prometheus", [*command, *arguments], folder, port)

    def query(self, promql: str) -> list[Sample]:
        """The instant vector (or scalar) that an expression gives now."""
        data = self._api("query", query=promql)
        if data["resultType"] == "scalar":
            return [Sample({}, float(data["result"][1]))]
        return [Sample(item["metric"], float(item["value"][1])) for item in data["result"]]

    def value(self, promql: str) -> float | None:
        """The value of an expression with at most one result; None where there is none yet."""
        samples = self.query(promql)
        assert len(samples) <= 1, f"{promql} gives {len(samples)} series"
        return samples[0].value if samples else None

    def alerts(self, name: str | None = None, state: str | None = None) -> list[dict[str, Any]]:
        """Its pending and firing alerts as its API has them: `labels`, `annotations`, `state`, `activeAt`."""
        found: list[dict[str, Any]] = self._api("alerts")["alerts"]
        return [
            alert for alert in found if name in (None, alert["labels"]["alertname"]) and state in (None, alert["state"])
        ]

    def rules(self) -> list[dict[str, Any]]:
        """All rules, with `health`, `lastError` and the alerts of each."""
        return [rule for group in self._api("rules")["groups"] for rule in group["rules"]]

    def targets(self) -> list[dict[str, Any]]:
        """The active targets, with `labels`, `health` and `lastError`."""
        found: list[dict[str, Any]] = self._api("targets", state="active")["activeTargets"]
        return found

    def _api(self, endpoint: str, **parameters: str) -> Any:
        return json.loads(self.get(f"/api/v1/{endpoint}?{urllib.parse.urlencode(parameters)}"))["data"]


class Alertmanager(Server):
    """An Alertmanager that runs `config`, a file, with its data in `folder`."""

    reloaded_metric = "alertmanager_config_last_reload"

    def __init__(self, config: Path, folder: Path, programs: Programs, port: int | None = None) -> None:
        port = port or free_port()
        folder.mkdir(parents=True, exist_ok=True)
        command = alertmanager_command(programs.alertmanager, config, folder / "data", port)
        super().__init__("alertmanager", command, folder, port)

    def alerts(self, name: str | None = None) -> list[dict[str, Any]]:
        """Its alerts as API v2 has them: `labels`, `annotations`, `startsAt`, `status`
        (`state`, `inhibitedBy`, `silencedBy`)."""
        found: list[dict[str, Any]] = json.loads(self.get("/api/v2/alerts"))
        return [alert for alert in found if name in (None, alert["labels"]["alertname"])]

    def post_alert(
        self, labels: dict[str, str], annotations: dict[str, str] | None = None, *, resolved: bool = False
    ) -> None:
        """Raise an alert as Prometheus would, or resolve it."""
        now = datetime.now(UTC)
        ends = now if resolved else now + timedelta(minutes=10)
        alert = {"labels": labels, "annotations": annotations or {}, "endsAt": ends.isoformat()}
        self.post("/api/v2/alerts", [alert])


def check(*command: str | Path) -> str:
    """Run a checking tool (promtool, amtool) and return what it said; its complaint is the failure."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout
