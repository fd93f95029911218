"""The proxy's sockets, in front of an Engine that a test writes, so that it can hang, lie and be listened to."""

from __future__ import annotations

import json
import re
import socket
import stat
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.scarcity import NoThreads, no_descriptors
from tests.support.waiting import wait_until
from vv_exporter.docker_proxy import server as proxy
from vv_exporter.docker_proxy.policy import ACT, READ, Rule
from vv_exporter.docker_proxy.server import MAX_CONNECTIONS, Listener

ID = "0123456789abcdef" * 4
Answerer = Callable[[socket.socket, bytes], None]


class Upstream:
    """Takes the Engine's place: records what comes, and answers as it is told."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.received: list[bytes] = []
        self.answer: Answerer = say(200, b"{}")
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        self._socket.listen(64)
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client:
            data = client.recv(65536)
            length = re.search(rb"Content-Length: (\d+)", data)
            while length and len(data.partition(b"\r\n\r\n")[2]) < int(length[1]):
                data += client.recv(65536)
            self.received.append(data)
            self.answer(client, data)

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


def say(status: int, body: bytes, head: str = "Content-Type: application/json") -> Answerer:
    text = f"HTTP/1.1 {status} X\r\n{head}\r\nContent-Length: {len(body)}\r\n\r\n"
    return lambda client, _: client.sendall(text.encode() + body)


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="vv-") as name:  # short: a socket's path has 107 bytes
        yield Path(name)


@pytest.fixture
def upstream(folder: Path) -> Iterator[Upstream]:
    upstream = Upstream(folder / "engine")
    yield upstream
    upstream.close()


@pytest.fixture
def listen(folder: Path, upstream: Upstream) -> Iterator[Callable[..., Path]]:
    listeners: list[Listener] = []

    def begin(rules: tuple[Rule, ...] = READ, given: bool = True) -> Path:
        listener = Listener(folder / f"s{len(listeners)}", str(upstream.path), rules, lambda _: given)
        listener.start()
        listeners.append(listener)
        return listener.path

    yield begin
    for listener in listeners:
        listener.stop()


def connect(path: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(20)
    client.connect(str(path))
    return client


def read_all(client: socket.socket) -> bytes:
    parts = []
    while part := client.recv(65536):
        parts.append(part)
    return b"".join(parts)


def ask(path: Path, request: bytes) -> bytes:
    with connect(path) as client:
        client.sendall(request)
        return read_all(client)


def status(answer: bytes) -> int:
    return int(answer.split()[1])


def test_what_is_allowed_is_written_anew_and_answered(listen: Callable[..., Path], upstream: Upstream) -> None:
    upstream.answer = say(200, json.dumps([{"Id": "1", "Command": "secret"}]).encode())

    answer = ask(
        listen(), b"GET /v1.41/containers/json?all=1 HTTP/1.1\r\nHost: evil\r\nX-Registry-Auth: x\r\nCookie: y\r\n\r\n"
    )

    assert status(answer) == 200
    assert answer.endswith(b'[{"Id": "1"}]')
    (sent,) = upstream.received
    assert sent.split(b"\r\n")[0] == b"GET /v1.41/containers/json?all=1 HTTP/1.1"
    assert b"evil" not in sent
    assert b"X-Registry" not in sent
    assert b"Cookie" not in sent


@pytest.mark.parametrize(
    ("version", "shown"),
    [("1.41", b"\r\nApi-Version: 1.41\r\n"), ("1.41 secret", None), ("", None)],
)
def test_the_version_of_the_api_is_passed_on(
    listen: Callable[..., Path], upstream: Upstream, version: str, shown: bytes | None
) -> None:
    upstream.answer = say(200, b"OK", f"Content-Type: text/plain\r\nApi-Version: {version}")

    answer = ask(listen(), b"GET /_ping HTTP/1.1\r\n\r\n")

    assert status(answer) == 200
    assert answer.count(b"Api-Version") == (1 if shown else 0)
    assert (shown or b"") in answer


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (b"POST /v1.41/containers/create HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}", 403),
        (b"GET /v1.41/containers/../images/json HTTP/1.1\r\n\r\n", 400),
        (b"GET /v1.41/containers/%2e%2e/images/json HTTP/1.1\r\n\r\n", 400),
        (b"GET //v1.41/info HTTP/1.1\r\n\r\n", 400),
        (b"GET /v1.20/info HTTP/1.1\r\n\r\n", 400),
        (b"GET /info HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n", 400),
        (b"GET /info HTTP/1.1\r\nX: " + b"a" * 20_000 + b"\r\n\r\n", 400),
        (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n", 400),
        (b"GET /info HTTP/1.1\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(5_000)) + b"\r\n", 400),
        (b"\x16\x03\x01\x02\x00\r\n\r\n", 400),
    ],
    ids=range(10),
)
def test_what_is_refused_never_reaches_the_engine(
    listen: Callable[..., Path], upstream: Upstream, request_: bytes, code: int
) -> None:
    answer = ask(listen(ACT), request_)

    assert status(answer) == code
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["message"]
    assert upstream.received == []


@pytest.mark.parametrize(
    "smuggled",
    [
        b"GET /_ping HTTP/1.1\r\n\r\nPOST /containers/create HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}",
        b"GET /_ping HTTP/1.1\r\nX: y\r\n\r\n\r\n\r\nGET /secrets HTTP/1.1\r\n\r\n",
    ],
)
def test_a_second_request_on_a_connection_is_not_read(
    listen: Callable[..., Path], upstream: Upstream, smuggled: bytes
) -> None:
    answer = ask(listen(), smuggled)

    assert status(answer) == 200
    assert b"Connection: close" in answer
    assert len(upstream.received) == 1
    assert b"create" not in upstream.received[0]
    assert b"secrets" not in upstream.received[0]


def test_what_follows_a_body_is_cut_off(listen: Callable[..., Path], upstream: Upstream) -> None:
    body = b'{"RestartPolicy": {"Name": "no", "MaximumRetryCount": 0}}'
    inspection = json.dumps({"Id": ID, "Name": "/a", "State": {"Status": "running"}}).encode()
    upstream.answer = say(200, inspection)

    request = b"POST /v1.41/containers/%s/update HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (ID.encode(), len(body))
    answer = ask(listen(ACT), request + body + b"POST /containers/create HTTP/1.1\r\n\r\n")

    assert status(answer) == 200
    assert upstream.received[-1].endswith(body)
    assert len(upstream.received) == 2


def test_nobody_acts_on_a_container_that_was_not_given(listen: Callable[..., Path], upstream: Upstream) -> None:
    upstream.answer = say(200, json.dumps({"Id": ID, "Name": "/database", "State": {"Status": "running"}}).encode())

    answer = ask(listen(ACT, given=False), f"POST /v1.41/containers/{ID}/stop HTTP/1.1\r\n\r\n".encode())

    assert status(answer) == 403
    assert b"database was not given" in answer
    assert [request.split()[0] for request in upstream.received] == [b"GET"]


def test_the_engines_own_refusals_are_passed_on(listen: Callable[..., Path], upstream: Upstream) -> None:
    upstream.answer = say(404, b'{"message":"No such container"}')

    answer = ask(listen(), f"GET /v1.41/containers/{ID}/json HTTP/1.1\r\n\r\n".encode())

    assert status(answer) == 404
    assert answer.endswith(b'{"message":"No such container"}')


def test_an_answer_that_is_no_json_is_not_passed_on(listen: Callable[..., Path], upstream: Upstream) -> None:
    upstream.answer = say(200, b"PASSWORD=hunter2")

    answer = ask(listen(), b"GET /info HTTP/1.1\r\n\r\n")

    assert status(answer) == 502
    assert b"hunter2" not in answer


def test_an_engine_that_hangs_is_told_and_given_up(
    listen: Callable[..., Path], upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging = threading.Event()
    upstream.answer = lambda _client, _data: hanging.wait(60) and None

    answer = ask(listen((Rule("GET", "/_ping", timeout=0.2),)), b"GET /_ping HTTP/1.1\r\n\r\n")
    hanging.set()

    assert status(answer) == 504


def test_an_engine_that_is_away_is_told(listen: Callable[..., Path], upstream: Upstream) -> None:
    upstream.path.unlink()

    assert status(ask(listen(), b"GET /_ping HTTP/1.1\r\n\r\n")) == 502


def test_a_client_that_sends_nothing_is_given_up(listen: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy, "PATIENCE", 0.2)

    with connect(listen()) as client:
        client.sendall(b"GET /_ping HTT")
        assert read_all(client) == b""


def test_too_many_connections_are_refused_and_the_place_is_given_back(
    listen: Callable[..., Path], upstream: Upstream
) -> None:
    path = listen()
    held = [connect(path) for _ in range(MAX_CONNECTIONS)]
    wait_until(lambda: sum(t.name == "request" for t in threading.enumerate()) >= MAX_CONNECTIONS)

    assert status(ask(path, b"")) == 503
    for client in held:
        client.close()
    wait_until(lambda: status(ask(path, b"GET /_ping HTTP/1.1\r\n\r\n")) == 200)


def event(number: int) -> bytes:
    line = json.dumps({"Type": "container", "Action": "start", "timeNano": number, "from": "secret"}).encode() + b"\n"
    return b"%x\r\n%s\r\n" % (len(line), line)


def test_events_come_as_they_happen_and_end_with_the_client(listen: Callable[..., Path], upstream: Upstream) -> None:
    go_on, ended = threading.Event(), threading.Event()

    def stream(client: socket.socket, _: bytes) -> None:
        client.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + event(1))
        go_on.wait(20)
        client.sendall(event(2))
        client.settimeout(20)
        if client.recv(1) == b"":
            ended.set()

    upstream.answer = stream
    with connect(listen()) as client:
        client.sendall(b"GET /events HTTP/1.1\r\n\r\n")
        seen = b""
        while b'"timeNano": 1' not in seen:
            seen += client.recv(65536)
        go_on.set()
        while b'"timeNano": 2' not in seen:
            seen += client.recv(65536)
    assert b"secret" not in seen
    assert ended.wait(20)


def test_an_event_that_breaks_off_is_not_passed_on(listen: Callable[..., Path], upstream: Upstream) -> None:
    def stream(client: socket.socket, _: bytes) -> None:
        client.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + event(1) + b'5\r\n{"Typ\r\n0\r\n\r\n')

    upstream.answer = stream
    answer = ask(listen(), b"GET /events HTTP/1.1\r\n\r\n")

    assert b'"timeNano": 1' in answer
    assert b'{"Typ\r' not in answer
    assert not answer.endswith(b"0\r\n\r\n")


def test_a_client_that_does_not_read_is_given_up(
    listen: Callable[..., Path], upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxy, "PATIENCE", 0.2)
    ended = threading.Event()

    def stream(client: socket.socket, _: bytes) -> None:
        client.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            while True:
                client.sendall(event(1))
        except OSError:
            ended.set()

    upstream.answer = stream
    with connect(listen()) as client:
        client.sendall(b"GET /events HTTP/1.1\r\n\r\n")
        assert ended.wait(30)


def test_a_socket_is_for_its_group_and_replaces_what_a_killed_proxy_left(
    folder: Path, upstream: Upstream, listen: Callable[..., Path]
) -> None:
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(folder / "s0"))
    left.close()

    path = listen()

    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    assert status(ask(path, b"GET /_ping HTTP/1.1\r\n\r\n")) == 200
    assert sorted(item.name for item in folder.iterdir()) == ["engine", "s0"]


def test_threads_end_with_their_connections(listen: Callable[..., Path], upstream: Upstream) -> None:
    path = listen()
    for _ in range(20):
        ask(path, b"GET /_ping HTTP/1.1\r\n\r\n")

    def left() -> int:
        return sum(thread.name in ("request", "client") for thread in threading.enumerate())

    wait_until(lambda: left() == 0, 20, what="no thread")


def turned_away(answer: bytes) -> bool:
    return answer.startswith(b"HTTP/1.1 503 ") and b"Retry-After: 1" in answer


def test_a_thread_that_cannot_be_started_costs_one_connection(
    listen: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    path = listen(READ)
    NoThreads(monkeypatch, "request", times=MAX_CONNECTIONS + 1)  # places are given back, too

    for _ in range(MAX_CONNECTIONS + 1):
        assert turned_away(ask(path, b"GET /_ping HTTP/1.1\r\n\r\n"))
    assert ask(path, b"GET /_ping HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 200 ")
    assert caplog.text.count("cannot be served: can't start new thread") == 1
    wait_until(lambda: "are served again" in caplog.text)


def test_an_event_stream_without_a_thread_is_refused(
    listen: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = listen(READ)
    NoThreads(monkeypatch, "client", times=1)

    assert ask(path, b"GET /events HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 503 ")
    assert ask(path, b"GET /events HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 200 ")


def test_without_open_files_it_goes_on_when_there_are_some(
    listen: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    path = listen(READ)
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        with no_descriptors():
            client.connect(str(path))
            client.sendall(b"GET /_ping HTTP/1.1\r\n\r\n")
            wait_until(lambda: "cannot be served: Too many open files" in caplog.text)
        assert status(client.recv(65536)) in (200, 502)  # 502 if there was one for it, and none to ask the Engine
    assert status(ask(path, b"GET /_ping HTTP/1.1\r\n\r\n")) == 200
    assert caplog.text.count("cannot be served") == 1
