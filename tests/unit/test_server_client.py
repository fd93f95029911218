"""What Prometheus and Alertmanager, or whatever listens there, may answer without holding anybody up."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from vv_exporter.alert_path.questions import QuestionError, Server
from vv_exporter.alertmanager import server_client
from vv_exporter.alertmanager.client import Alertmanager, DeliveryError
from vv_exporter.delivery.alertmanager_watch import Metrics

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
DEEP = b"[" * 200_000 + b"]" * 200_000
Answer = Callable[[socket.socket], None]


def whole(body: bytes, head: bytes = OK) -> Answer:
    return lambda peer: peer.sendall(head + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)


def endless(peer: socket.socket) -> None:
    peer.sendall(OK + b"Transfer-Encoding: chunked\r\n\r\n")
    while True:
        peer.sendall(b"10000\r\n" + b" " * 0x10000 + b"\r\n")


def dripping(peer: socket.socket) -> None:
    peer.sendall(OK + b"Content-Length: 1000000\r\n\r\n")
    while True:
        peer.sendall(b" ")
        time.sleep(0.02)


def cut_off(peer: socket.socket) -> None:
    peer.sendall(OK + b"Content-Length: 1000000\r\n\r\n[")


@contextlib.contextmanager
def listening(answer: Answer) -> Iterator[str]:
    """The address of a server that answers each connection once."""

    def serve() -> None:
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            with peer, contextlib.suppress(OSError):
                peer.settimeout(20)
                peer.recv(1 << 16)
                answer(peer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_client, "MAX_ANSWER_BYTES", 1 << 20)
    monkeypatch.setattr(server_client, "MAX_ANSWER_SECONDS", 0.5)


@pytest.mark.parametrize("answer", [endless, dripping, cut_off, whole(DEEP)], ids=["endless", "slow", "cut", "deep"])
def test_an_answer_that_cannot_be_used_costs_a_moment(answer: Answer) -> None:
    began = time.monotonic()
    with listening(answer) as url, pytest.raises(QuestionError, match=f"Prometheus at {url} does not answer"):
        Server("Prometheus", url).json("/api/v1/rules")
    with listening(answer) as url, pytest.raises(DeliveryError):
        Alertmanager(url).alerts()
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("answer", [endless, dripping, cut_off], ids=["endless", "slow", "cut"])
def test_what_alertmanager_says_of_itself_or_of_alerts_is_bounded_too(answer: Answer) -> None:
    with listening(answer) as url:
        with pytest.raises(DeliveryError):
            Metrics(url)()
        with pytest.raises(DeliveryError):
            Alertmanager(url).send([])


@pytest.mark.parametrize("body", [b'{"a": 1}', "\ufeff[]".encode(), b"\xff"])
def test_a_whole_answer_is_read(body: bytes) -> None:
    with listening(whole(body)) as url:
        answer = server_client.ServerClient(url, (2.0, 3.0)).get("/x", {"query": "a b"})

    assert (answer.status, answer.body) == (200, body)


def test_what_a_server_says_against_it_is_one_short_printable_line() -> None:
    said = "no\x1b[31m\u202e such\n thing ".encode() * 100
    with (
        listening(whole(said, b"HTTP/1.1 503 Service Unavailable\r\n")) as url,
        pytest.raises(QuestionError, match="answers 503: no") as caught,
    ):
        Server("Prometheus", url).json("/api/v1/rules")

    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


def test_a_redirect_is_not_followed() -> None:
    head = b"HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/\r\n"
    with listening(whole(b"", head)) as url, pytest.raises(QuestionError, match="answers 302"):
        Server("Prometheus", url).json("/api/v1/rules")
