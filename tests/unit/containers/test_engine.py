"""What the Engine's answers, and its silence, are taken for; the socket is real."""

from __future__ import annotations

import socketserver
import tempfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from tests.unit.containers.engines import container_id
from vv_exporter.containers.engine import Engine, EngineError, NoAnswerError, NotUnderstoodError
from vv_exporter.containers.resources import Running

WEB = container_id("web")


class Daemon(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Answers by path, without its version; what is in `silent` when the test ends."""

    daemon_threads = True

    def __init__(self, path: Path) -> None:
        self.host = f"unix://{path}"
        self.version_in_ping = "1.44"
        self.version = b'{"ApiVersion": "1.41"}'
        self.answers: dict[str, tuple[int, bytes]] = {}
        self.silent: set[str] = set()
        self.asked: list[str] = []
        self.over = threading.Event()
        super().__init__(str(path), Handler)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Daemon

    def do_GET(self) -> None:
        daemon, path = self.server, self.path.partition("?")[0]
        daemon.asked.append(path)
        path = path if path in ("/_ping", "/version") else path.removeprefix("/v1.44").removeprefix("/v1.41")
        if path in daemon.silent:
            daemon.over.wait()
            return
        known = {"/_ping": (200, b"OK"), "/version": (200, daemon.version)}
        code, body = {**known, **daemon.answers}.get(path, (404, b"{}"))
        self.send_response(code)
        if path == "/_ping" and daemon.version_in_ping:
            self.send_header("Api-Version", daemon.version_in_ping)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass

    def address_string(self) -> str:
        return ""


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    # Its path is short: a socket's has 107 bytes.
    with tempfile.TemporaryDirectory(prefix="vv-") as folder, Daemon(Path(folder) / "engine") as daemon:
        threading.Thread(target=daemon.serve_forever, daemon=True).start()
        yield daemon
        daemon.over.set()
        daemon.shutdown()


def test_the_version_is_the_one_in_the_head_of_the_ping_so_that_a_version_that_hangs_costs_nothing(
    daemon: Daemon,
) -> None:
    daemon.silent.add("/version")
    daemon.answers["/containers/json"] = 200, b"[]"

    assert Engine(daemon.host).containers().containers == ()

    assert daemon.asked == ["/_ping", "/v1.44/containers/json"]


@pytest.mark.parametrize("head", ["", "none", "1.44/../.."])
def test_without_one_there_the_version_is_asked_for(daemon: Daemon, head: str) -> None:
    daemon.version_in_ping = head
    daemon.answers["/containers/json"] = 200, b"[]"

    assert Engine(daemon.host).containers().containers == ()

    assert daemon.asked == ["/_ping", "/version", "/v1.41/containers/json"]


@pytest.mark.parametrize("version", [b"{}", b'{"ApiVersion": "../.."}', b'{"ApiVersion": null}'])
def test_what_tells_no_version_is_no_engine(daemon: Daemon, version: bytes) -> None:
    daemon.version_in_ping, daemon.version = "", version

    with pytest.raises(EngineError, match="no version"):
        Engine(daemon.host)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((500, b'{"message": "layer does not exist"}'), NotUnderstoodError),
        ((403, b"{}"), NotUnderstoodError),
        ((200, b"{"), NotUnderstoodError),
        ((200, b"[]"), NotUnderstoodError),
        ((504, b"{}"), NoAnswerError),  # a proxy's, before an Engine that hangs
    ],
)
@pytest.mark.parametrize("subject", ["json", "stats"])
def test_what_is_wrong_with_one_container_is_told_from_silence(
    daemon: Daemon, answer: tuple[int, bytes], error: type[EngineError], subject: str
) -> None:
    daemon.answers[f"/containers/{WEB}/{subject}"] = answer
    engine = Engine(daemon.host)

    with pytest.raises(EngineError) as raised:
        engine.inspect(WEB) if subject == "json" else engine.usage(Running(WEB, "web"))

    assert type(raised.value) is error


def test_an_inspection_that_hangs_is_waited_for_as_long_as_it_is_said(daemon: Daemon) -> None:
    daemon.silent.add(f"/containers/{WEB}/json")

    with pytest.raises(NoAnswerError):
        Engine(daemon.host).inspect(WEB, timeout=0.1)


def test_a_container_that_is_not_there_is_none(daemon: Daemon) -> None:
    assert Engine(daemon.host).inspect(WEB) is None


def test_an_engine_that_is_not_there_is_not_silent(tmp_path: Path) -> None:
    with pytest.raises(EngineError) as raised:
        Engine(f"unix://{tmp_path}/none.sock")

    assert not isinstance(raised.value, NoAnswerError)
