"""Bytes on the exporter's port: whatever they are, the next good request is answered."""

from __future__ import annotations

import contextlib
import random
import socket
from collections.abc import Sequence

from tests.fuzz.mutators import mutate_bytes, mutate_lines
from tests.fuzz.targets._device import Device
from tests.fuzz.targets.routes import HEADERS
from vv_exporter.web import Server

TIMEOUT = 8.0  # seconds for an answer
SEEDS = [
    b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    b"GET /-/healthy HTTP/1.0\r\n\r\n",
    b"GET /timeline?since=1h HTTP/1.1\r\nHost: localhost\r\n" + b"\r\n".join(HEADERS) + b"\r\n\r\n",
    b"POST /api/v1/alertmanager HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
    b"POST /api/v1/alertmanager HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    b"POST /x HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
    b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\nGET /-/healthy HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    b"GET http://localhost/-/healthy HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\n",
    b"GET /-/healthy HTTP/1.1\r\nHost: x\r\nX-Folded: a\r\n b\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 40,
    b"CONNECT localhost:22 HTTP/1.1\r\nHost: x\r\n\r\n",
]


class Http:
    """The real server; each input is a connection of its own."""

    batch = 20

    def __init__(self) -> None:
        self._device = Device()
        self._server = Server("127.0.0.1:0", self._device.app)
        self._server.start()

    def seeds(self) -> Sequence[bytes]:
        return SEEDS

    def mutate(self, rng: random.Random, seed: bytes, seeds: Sequence[bytes]) -> bytes:
        return (mutate_bytes if rng.random() < 0.6 else mutate_lines)(rng, seed, seeds)

    def feed(self, data: bytes) -> None:
        answer = self._ask(data)
        assert not answer or answer.startswith(b"HTTP/1."), f"answered with {answer[:200]!r}"
        assert not answer.startswith((b"HTTP/1.1 500", b"HTTP/1.0 500")), f"answered with {answer[:300]!r}"

    def prove(self) -> None:
        answer = self._ask(SEEDS[0])
        assert answer.startswith(b"HTTP/1.1 200"), f"a good request is answered with {answer[:200]!r}"
        self._device.prove()

    def _ask(self, data: bytes) -> bytes:
        parts = []
        address = ("127.0.0.1", self._server.port)
        with contextlib.suppress(ConnectionError), socket.create_connection(address, TIMEOUT) as client:
            client.sendall(data)
            with contextlib.suppress(OSError):  # it has answered and closed already
                client.shutdown(socket.SHUT_WR)
            while part := client.recv(65536):
                parts.append(part)
        return b"".join(parts)

    def close(self) -> None:
        self._server.stop()
        self._device.close()


def build() -> Http:
    """Make it."""
    return Http()
