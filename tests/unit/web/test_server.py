"""Clients that are slow, many or wrong, addresses, start and stop."""

import errno
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest
import requests
from werkzeug import Request, Response

from tests.support.ports import free_port
from tests.support.scarcity import NoThreads, no_descriptors
from tests.support.waiting import wait_until
from tests.unit.web.conftest import Serve
from vv_exporter.runtime import threads
from vv_exporter.web import App, ListenError, Server, WebConfig
from vv_exporter.web.routes import Route
from vv_exporter.web.server import MAX_IDLE, THREADS, parse_address

Connect = Callable[[bytes], socket.socket]


def here(_: Request) -> Response:
    return Response("here\n")


def echo(request: Request) -> Response:
    return Response(request.get_data())


def big(_: Request) -> Response:
    return Response(b"x" * (64 << 20))


def length(request: Request) -> Response:
    return Response(str(request.content_length))


APP = App(
    [
        Route("/", here),
        Route("/echo", echo, methods=("POST",)),
        Route("/length", length, methods=("POST",)),
        Route("/big", big),
    ],
    WebConfig(),
)


@pytest.fixture
def server(serve: Serve) -> Server:
    return serve(APP)


@pytest.fixture
def connect(server: Server) -> Iterator[Connect]:
    """Opens a connection and sends something on it."""
    opened = []

    def begin(sent: bytes) -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", server.port), timeout=20)
        opened.append(sock)
        sock.sendall(sent)
        return sock

    yield begin
    for sock in opened:
        sock.close()


def answers(server: Server, within: float) -> bool:
    began = time.monotonic()
    assert requests.get(server.url, timeout=20).text == "here\n"
    return time.monotonic() - began < within


def test_idle_connections_keep_nobody_waiting_however_many(server: Server, connect: Connect) -> None:
    for _ in range(3 * MAX_IDLE):
        connect(b"")

    assert answers(server, within=5)


def test_of_too_many_idle_connections_the_oldest_go(server: Server, connect: Connect) -> None:
    first = connect(b"")
    for _ in range(MAX_IDLE):
        connect(b"")

    assert first.recv(1) == b""


@pytest.mark.usefixtures("impatient")
def test_clients_that_send_half_a_request_keep_a_scrape_waiting_for_a_moment_only(
    server: Server, connect: Connect
) -> None:
    for _ in range(2 * THREADS):
        connect(b"GET / HTTP/1.1\r\nHost: ")

    assert answers(server, within=5)


@pytest.mark.usefixtures("impatient")
def test_a_client_that_sends_a_byte_now_and_then_is_not_waited_for(server: Server, connect: Connect) -> None:
    slow = [connect(b"GET / HTTP/1.1\r\nX-Slow: ") for _ in range(THREADS)]
    over = threading.Event()

    def drip() -> None:
        while not over.wait(0.1):
            for sock in slow:
                try:
                    sock.sendall(b"x")
                except OSError:
                    return

    dripping = threading.Thread(target=drip)
    dripping.start()
    try:
        assert answers(server, within=5)
    finally:
        over.set()
        dripping.join()


@pytest.mark.usefixtures("impatient")
def test_clients_that_do_not_read_their_answer_keep_a_scrape_waiting_for_a_moment_only(
    server: Server, connect: Connect
) -> None:
    for _ in range(THREADS):
        connect(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n").recv(1)

    assert answers(server, within=6)


@pytest.mark.parametrize(
    "sent",
    [
        b"\r\n\r\n\r\n",
        b"\x00\xff\xfe\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET /%ff%00%zz HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1_0\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1e9\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n",
        b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"GET http://elsewhere/ HTTP/1.1\r\nHost: a\r\n\r\n",
        b"CONNECT elsewhere:80 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 40_000,
        b"GET /" + b"x" * 40_000,
    ],
)
def test_no_request_however_wrong_harms_the_server(server: Server, connect: Connect, sent: bytes) -> None:
    for _ in range(THREADS + 1):
        sock = connect(sent)
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(65536):
            pass

    assert answers(server, within=5)


@pytest.mark.parametrize(
    "headers",
    [
        b"Content-Length: 2\r\nContent-Length: 2",
        b"Content-Length: 2\r\ncontent-length: 0",
        b"Content-Length: 2\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked\r\nContent-Length: 2",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        b"Content-Length : 2",
        b"Content-Length:\r\n 2",
        b"X: a\r\n b\r\nContent-Length: 2",
        b"X: a\r\n\tb\r\nContent-Length: 2",
        b" Content-Length: 2",
        b"Content-Length: 2\rX: y",
        b"Content-Length: 2, 2",
        b"Content-Length: +2",
        b"Content-Length: 2\x00",
        b"X\x00: y\r\nContent-Length: 2",
        b": y\r\nContent-Length: 2",
        b"X: y\nContent-Length: 2",
        b"Content-Length: 2\r\nHost: b",
        b"Content-Length: 2\r\nAuthorization: Basic YQ==\r\nAuthorization: Basic Yg==",
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(connect: Connect, headers: bytes) -> None:
    sock = connect(
        b"POST /echo HTTP/1.1\r\nHost: a\r\n" + headers + b"\r\n\r\nhi" + b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    )
    sock.shutdown(socket.SHUT_WR)
    answer = b"".join(iter(lambda: sock.recv(65536), b""))

    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert answer.count(b"HTTP/1.1") == 1  # and nothing behind it is read


def test_headers_that_are_lists_may_stand_several_times(connect: Connect) -> None:
    sock = connect(b"POST /echo HTTP/1.1\r\nHost: a\r\nAccept: a/b\r\nAccept: c/d\r\nContent-Length: 2\r\n\r\nhi")

    assert sock.recv(65536).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("header", [b"Content_Length: 1", b"content_length: 9", b"CONTENT_LENGTH: x"])
def test_a_name_with_an_underscore_is_not_taken_for_one_with_a_dash(connect: Connect, header: bytes) -> None:
    sock = connect(b"POST /length HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n" + header + b"\r\n\r\nhi")
    sock.shutdown(socket.SHUT_WR)
    answer = b"".join(iter(lambda: sock.recv(65536), b""))

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"\r\n\r\n2")


def test_a_head_that_is_too_large_is_refused(server: Server) -> None:
    assert requests.get(server.url, headers={"X": "x" * 40_000}, timeout=10).status_code == 413


def test_a_body_of_more_than_a_megabyte_is_refused(server: Server) -> None:
    url = f"{server.url}/echo"

    assert requests.post(url, data=b"x" * (1 << 20), timeout=10).content == b"x" * (1 << 20)
    assert refused(url, b"x" * ((1 << 20) + 1), 413)


def test_a_body_must_tell_its_length(server: Server) -> None:
    assert refused(f"{server.url}/echo", iter([b"x"]), 411)


def refused(url: str, data: bytes | Iterator[bytes], status: int) -> bool:
    try:
        return requests.post(url, data=data, timeout=10).status_code == status
    except requests.ConnectionError:  # closed while the client still sent
        return True


def test_connections_are_kept_between_requests(server: Server) -> None:
    with requests.Session() as session:
        first = session.get(server.url, stream=True, timeout=10)
        port = first.raw.connection.sock.getsockname()[1]
        assert first.content == b"here\n"
        second = session.get(server.url, stream=True, timeout=10)

        assert second.raw.connection.sock.getsockname()[1] == port


def test_a_port_in_use_is_named_with_its_keys(server: Server) -> None:
    address = f"127.0.0.1:{server.port}"

    with pytest.raises(ListenError) as caught:
        Server(address, APP).start()

    assert str(caught.value) == (
        f"--web.listen-address (VV_EXPORTER_PORT): {address} cannot be used: address already in use; "
        "stop what listens there, or choose another port"
    )


def test_an_address_of_another_machine_cannot_be_used() -> None:
    with pytest.raises(ListenError, match=r"192\.0\.2\.1:0 cannot be used: .*; name an address of this machine"):
        Server("192.0.2.1:0", APP).start()


@pytest.mark.parametrize(
    "text", ["", "19461", "127.0.0.1", "127.0.0.1:", "a:b", "a:99999", "::1:19461", "[::1]", "a:-1"]
)
def test_what_is_no_address_is_refused_with_the_cure(text: str) -> None:
    with pytest.raises(ListenError, match=r"--web\.listen-address: .* is no address; write host:port"):
        parse_address(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:19461", ("127.0.0.1", 19461)),
        ("localhost:0", ("localhost", 0)),
        ("[::1]:19461", ("::1", 19461)),
        ("[fe80::1%eth0]:80", ("fe80::1%eth0", 80)),
    ],
)
def test_addresses_are_read(text: str, expected: tuple[str, int]) -> None:
    assert parse_address(text) == expected


def test_all_addresses_can_be_listened_on(serve: Serve) -> None:
    server = serve(APP, address=":0")

    assert requests.get(f"http://127.0.0.1:{server.port}/", timeout=10).text == "here\n"
    assert requests.get(server.url, timeout=10).text == "here\n"


def test_ipv6_can_be_listened_on(serve: Serve) -> None:
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        with pytest.raises(ListenError):
            serve(APP, address="[::1]:0")
    else:
        server = serve(APP, address="[::1]:0")
        assert server.url == f"http://[::1]:{server.port}"
        assert requests.get(server.url, timeout=10).text == "here\n"


def test_stop_frees_the_port_at_once(serve: Serve) -> None:
    address = f"127.0.0.1:{free_port()}"
    for _ in range(2):
        server = Server(address, APP)
        server.start()
        assert requests.get(server.url, timeout=10).text == "here\n"
        server.stop()


def test_stop_does_not_wait_for_the_next_look_at_idle_connections(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vv_exporter.web.server._Server.expiration_interval", 60.0)
    server = serve(APP)
    with requests.Session() as session:
        assert session.get(server.url, timeout=10).text == "here\n"
        began = time.monotonic()
        server.stop()

    assert time.monotonic() - began < 30
    with pytest.raises(requests.ConnectionError):
        requests.get(server.url, timeout=10)


def test_stop_takes_two_seconds_at_most_whatever_hangs() -> None:
    release, inside = threading.Event(), threading.Semaphore(0)

    def hang(_: Request) -> Response:
        inside.release()
        release.wait(60)
        return Response()

    server = Server("127.0.0.1:0", App([Route("/hang", hang)], WebConfig()))
    server.start()
    clients = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(6)]
    for sock in clients[:2]:
        sock.sendall(b"GET /hang HTTP/1.1\r\nHost: a\r\n\r\n")
    for sock in clients[2:4]:
        sock.sendall(b"GET /half")
    for _ in range(2):
        inside.acquire()

    began = time.monotonic()
    server.stop()
    took = time.monotonic() - began
    release.set()
    for sock in clients:
        sock.close()

    assert took < 2.5


def test_a_server_that_never_started_can_be_stopped() -> None:
    Server("127.0.0.1:0", APP).stop()


def test_a_page_that_hangs_does_not_keep_the_process_alive() -> None:
    script = """
import socket, threading
from werkzeug import Response
from vv_exporter.web import App, Server, WebConfig
from vv_exporter.web.routes import Route
inside = threading.Event()
def hang(_):
    inside.set()
    threading.Event().wait()
server = Server("127.0.0.1:0", App([Route("/", hang)], WebConfig()))
server.start()
sock = socket.create_connection(("127.0.0.1", server.port))
sock.sendall(b"GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n")
inside.wait(10)
server.stop()
print("stopped", flush=True)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=20, check=True)

    assert done.stdout == "stopped\n"


def test_threads_end_with_the_server(serve: Serve) -> None:
    before = set(threading.enumerate())
    server = Server("127.0.0.1:0", APP)
    server.start()
    assert answers(server, within=5)
    server.stop()

    wait_until(lambda: not set(threading.enumerate()) - before)


def test_without_open_files_it_goes_on_when_there_are_some(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    with requests.Session() as kept, socket.socket() as client:
        assert kept.get(server.url, timeout=10).text == "here\n"
        client.settimeout(10)
        with no_descriptors():
            client.connect(("127.0.0.1", server.port))
            client.sendall(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
            wait_until(lambda: "cannot be accepted" in caplog.text)
        assert client.recv(65536).startswith(b"HTTP/1.1 200 ")
    assert caplog.text.count("cannot be accepted, trying on: Too many open files") == 1
    assert caplog.text.count("are accepted again") == 1
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("name", ["web", "Thread-"])
def test_a_thread_that_cannot_be_started_at_once_is_started_later(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    NoThreads(monkeypatch, name, times=2)

    assert requests.get(serve(APP).url, timeout=10).text == "here\n"


def test_without_threads_it_says_so_and_does_not_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    NoThreads(monkeypatch, "Thread-")
    monkeypatch.setattr(threads.start, "__defaults__", (0.2,))

    with pytest.raises(ListenError, match="can't start new thread"):
        Server("127.0.0.1:0", APP).start()


def test_a_connection_that_cannot_be_kept_does_not_end_the_server(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")  # epoll's limit of watches

    monkeypatch.setattr(server._server._connections, "put", full)
    for _ in range(2 * THREADS):
        with pytest.raises(requests.ConnectionError):
            requests.get(server.url, timeout=10)
    monkeypatch.undo()

    assert requests.get(server.url, timeout=10).text == "here\n"


@pytest.mark.parametrize("target", [b"//]", b"p://]", b"http://[::1/x", b"//[x]/"])
def test_a_target_that_is_no_path_is_refused_in_a_line(connect: Connect, target: bytes) -> None:
    sock = connect(b"GET " + target + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")

    assert sock.recv(200).startswith((b"HTTP/1.1 400", b"HTTP/1.1 404"))
