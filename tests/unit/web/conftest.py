"""Real servers on free ports, and certificates for them."""

import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from vv_exporter.collectors import Context
from vv_exporter.settings import load
from vv_exporter.store import Store
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


@dataclass(frozen=True)
class Certificates:
    """Files in PEM: an authority, and certificates with their keys that it signed."""

    folder: Path

    @property
    def authority(self) -> Path:
        return self.folder / "ca.pem"

    def certificate(self, name: str) -> Path:
        return self.folder / f"{name}.pem"

    def key(self, name: str) -> Path:
        return self.folder / f"{name}.key"

    def make(self, name: str) -> None:
        """A certificate of the authority for 127.0.0.1."""
        request = self.folder / f"{name}.csr"
        extensions = self.folder / f"{name}.ext"
        extensions.write_text("subjectAltName = IP:127.0.0.1\nauthorityKeyIdentifier = keyid\n")
        _openssl("req", *_NEW_KEY, "-keyout", self.key(name), "-out", request, "-subj", f"/CN={name}")
        _openssl(
            "x509", "-req", "-in", request, "-CA", self.authority, "-CAkey", self.key("ca"), "-CAcreateserial",
            "-days", "1", "-extfile", extensions, "-out", self.certificate(name),
        )  # fmt: skip


_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """An authority, a server's certificate and a client's, made by OpenSSL's command."""
    made = Certificates(tmp_path_factory.mktemp("certificates"))
    _openssl(
        "req", "-x509", *_NEW_KEY, "-keyout", made.key("ca"), "-out", made.authority, "-subj", "/CN=ca", "-days", "1",
        "-addext", "keyUsage = critical, keyCertSign",
    )  # fmt: skip
    made.make("server")
    made.make("client")
    return made


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
