"""The real exporter as a process, `vv exporter`, with a state folder of its own.

with Exporter(tmp_path / "state") as exporter:
    exporter.wait_for('vv_events_total{type="alert"}', 1)
"""

import os
import signal
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

import requests
from prometheus_client.parser import text_string_to_metric_families

from tests.support.ports import free_port
from tests.support.waiting import wait_until
from vv_exporter.stack.processes import Child

QUIET = {"DOCKER_HOST": "unix:///nonexistent/docker.sock"}
ROOMY = {
    "DISK_WARNING_FREE": "0%",
    "DISK_CRITICAL_FREE": "0%",
    "DISK_FULL_WITHIN": "1s",
    "INODES_WARNING_FREE": "0.01%",
    "HOST_CPU_HIGH": "100%",
    "HOST_MEMORY_HIGH": "100%",
    "HOST_TEMPERATURE_HIGH": "199",
}
"""No word of the machine that the tests run on, however full or busy it is; a test of such an alert sets its limit."""


class Exporter:
    """Starts and stops, or is killed, as often as wanted. `environ` is added to what configures it."""

    def __init__(self, state: Path, port: int | None = None, **environ: str) -> None:
        self.state = state
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environ = {
            "VV_STATE_DIR": str(state),
            "VV_EXPORTER_PORT": str(self.port),
            "VV_CONFIG": "",
            **ROOMY,
            **environ,
        }
        env = {name: value for name, value in os.environ.items() if not name.startswith(("VV_", "DOCKER_"))}
        self._child = Child(
            "exporter",
            [sys.executable, "-m", "vv_exporter", "exporter"],
            state / "exporter.out",
            env={**env, **self.environ},
        )

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._child.stop()
        if error is not None:
            error.add_note(f"the exporter said last:\n{self._child.tail(20)}")

    @property
    def pid(self) -> int:
        return self._child.pid

    def begin(self) -> None:
        """Start the process and do not wait."""
        self._child.start()

    def start(self) -> None:
        """Start the process and wait until it is ready."""
        self.begin()
        wait_until(self.ready, 60, what="the exporter")

    def stop(self) -> None:
        """End it as an operator would."""
        self._child.stop()

    def kill(self) -> None:
        """End it as the kernel would."""
        self._child.signal(signal.SIGKILL)
        self._child.stop()

    def freeze(self) -> None:
        """Let it hang (SIGSTOP), until `thaw`."""
        self._child.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._child.signal(signal.SIGCONT)

    def ready(self) -> bool:
        assert self._child.exit_code() is None, f"the exporter ended: {self._child.tail(20)}"
        return requests.get(f"{self.url}/-/ready", timeout=5).status_code == 200

    def metrics(self) -> dict[str, float]:
        """All samples, by name with labels in alphabetical order, e.g. `a_total{x="1",y="2"}`."""
        return samples(requests.get(f"{self.url}/metrics", timeout=10).text)

    def scraped(self) -> dict[str, float]:
        """All samples as Prometheus gets them: after a kill it is answered when the journal is counted again."""
        prometheus = {"X-Prometheus-Scrape-Timeout-Seconds": "10"}
        return samples(requests.get(f"{self.url}/metrics", headers=prometheus, timeout=10).text)

    def wait_for(self, sample: str, value: float, timeout: float = 15.0) -> None:
        """Wait until the sample (labels in alphabetical order) has this value."""
        wait_until(lambda: self.metrics().get(sample) == value, timeout, what=f"{sample} {value:g}")

    def log(self) -> str:
        """What stands in app.log."""
        return (self.state / "logs" / "app.log").read_text()


def samples(exposition: str) -> dict[str, float]:
    """The samples of `/metrics`, by name with labels in alphabetical order."""
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(exposition):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found
