"""A store of many devices for tests: VictoriaMetrics, which takes remote write from who has the token alone.

with Store(program, tmp_path, token="…") as store:
    store.url                # for VV_REMOTE_WRITE_URL
    store.query("up")        # as Grafana asks
"""

from pathlib import Path
from types import TracebackType
from typing import Any, Self

import requests

from tests.support.ports import free_port
from tests.support.waiting import wait_until
from vv_exporter.stack.processes import Child
from vv_exporter.stack.servers import LOOPBACK, ready

USER = "fleet"


class Store:
    """A server on loopback that asks everybody for user and password."""

    def __init__(self, program: Path, folder: Path, password: str) -> None:
        self.port = free_port()
        self.address = f"http://{LOOPBACK}:{self.port}"
        self.url = f"{self.address}/api/v1/write"
        self._password = password
        secret = folder / "store-password"
        secret.touch(mode=0o600)
        secret.write_text(password)
        command = [
            program,
            f"-storageDataPath={folder / 'store'}",
            f"-httpListenAddr={LOOPBACK}:{self.port}",
            f"-httpAuth.username={USER}",
            f"-httpAuth.password=file://{secret}",
            "-search.latencyOffset=0s",
            "-memory.allowedBytes=64MB",
        ]
        self._child = Child("the store", command, folder / "store.log")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if error is not None:
            error.add_note(f"the store said last:\n{self._child.tail(20)}")

    def start(self) -> None:
        """Start it, or start it again on the same data."""
        self._child.start()
        wait_until(lambda: ready(self.port, "/health"), 60, what="the store")

    def stop(self) -> None:
        """Stop it, and keep its data."""
        self._child.stop()

    def query(self, promql: str) -> list[dict[str, Any]]:
        """What an instant query gives."""
        answer = requests.get(
            f"{self.address}/prometheus/api/v1/query",
            {"query": promql},
            auth=(USER, self._password),
            timeout=10,
        )
        answer.raise_for_status()
        result: list[dict[str, Any]] = answer.json()["data"]["result"]
        return result
