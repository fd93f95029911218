"""Real servers on free ports, and certificates for them."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vv_exporter.context import Context
from vv_exporter.settings import load
from vv_exporter.state.store import Store
from vv_exporter.web import App, Server, WebConfig

Serve = Callable[..., Server]


@pytest.fixture
def context(tmp_path: Path) -> Iterator[Context]:
    """A context with a store of its own."""
    store = Store(tmp_path / "state" / "state.db", time.time)
    settings = load({"VV_STATE_DIR": str(tmp_path / "state"), "VV_DEVICE_ID": "edge-1"})
    yield Context(settings=settings, store=store, clock=time.time, monotonic=time.monotonic)
    store.close()


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts servers; they are stopped after the test."""
    servers = []

    def start(app: App, web_config: WebConfig | None = None, address: str = "127.0.0.1:0") -> Server:
        server = Server(address, app, web_config)
        server.start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server gives slow clients less time than it does outside of tests."""
    monkeypatch.setattr("vv_exporter.web.server.DEADLINE_WHILE_OTHERS_WAIT", 0.25)
