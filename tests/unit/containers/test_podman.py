"""Podman answers where Docker's socket is expected: it is said, once."""

import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from vv_exporter.containers import engine as engines
from vv_exporter.containers.engine import Engine


class _Compatible(BaseHTTPRequestHandler):
    """The heads that Podman 5 sends with each answer of its compatible API."""

    is_podman = True

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Api-Version", "1.41")
        if self.is_podman:
            self.send_header("Libpod-Api-Version", "5.8.0")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"OK")

    def log_message(self, format: str, *args: object) -> None:
        pass


class _Docker(_Compatible):
    is_podman = False


@pytest.fixture(params=[_Compatible, _Docker], ids=["podman", "docker"])
def host(request: pytest.FixtureRequest) -> Iterator[tuple[str, bool]]:
    engines._podman.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), request.param) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"tcp://127.0.0.1:{server.server_address[1]}", request.param.is_podman
        server.shutdown()
        thread.join()


def test_podman_is_named_once(host: tuple[str, bool], caplog: pytest.LogCaptureFixture) -> None:
    address, is_podman = host
    with caplog.at_level(logging.WARNING, logger=engines.__name__):
        for _ in range(3):
            Engine(address).close()

    said = [record.getMessage() for record in caplog.records]
    assert len(said) == is_podman
    assert all("is Podman, which is not supported" in line and address in line for line in said)


def test_which_it_is_is_known_afterwards(host: tuple[str, bool]) -> None:
    address, is_podman = host
    assert engines.is_podman(address) is None
    Engine(address).close()

    assert engines.is_podman(address) is is_podman
