"""Serves the application with cheroot, so that neither a slow client nor many of them keep a scrape from its answer.

cheroot gives each connection a thread as soon as it is accepted, and lets a client take its timeout again for every
byte. Here a connection gets a thread when its first bytes are there; reading a request and writing its answer each
have one deadline, a short one while others wait; and of too many idle connections the oldest goes.
"""

from __future__ import annotations

import errno
import logging
import queue
import re
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from typing import Any, TypeVar

from cheroot.makefile import MakeFile
from cheroot.server import HeaderReader, HTTPConnection, HTTPRequest
from cheroot.workers.threadpool import ThreadPool, WorkerThread
from cheroot.wsgi import Server as WSGIServer

from vv_exporter.runtime import threads
from vv_exporter.web.app import MAX_BODY, App
from vv_exporter.web.config import WebConfig
from vv_exporter.web.tls import Adapter, shake_hands

log = logging.getLogger(__name__)

FLAG = "--web.listen-address"
THREADS = 4
MAX_HEAD = 32 << 10
"""Bytes that a request's line and headers may have."""
MAX_IDLE = 64
"""Connections without a request in progress; more end the oldest of them."""
MAX_WAITING = 64
"""Connections whose request waits for a thread; more are closed at once."""
IDLE_TIMEOUT = 65
"""Seconds that a connection is kept between requests: longer than Prometheus' usual scrape interval of a minute."""
DEADLINE = 10.0
"""Seconds that reading a request may take in all, and again writing its answer."""
DEADLINE_WHILE_OTHERS_WAIT = 1.0
STOP_TIMEOUT = 2.0

_SHORT_OF = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""What `accept` fails with while something is short; the connection stays where it is, and wakes the server again."""
_ACCEPT_PAUSE_SECONDS = 0.1

_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([\t\x20-\x7e\x80-\xff]*)\r\n")
_SINGLE = frozenset(
    {
        b"Authorization",
        b"Content-Encoding",
        b"Content-Length",
        b"Content-Type",
        b"Expect",
        b"Host",
        b"Transfer-Encoding",
    }
)
"""Headers that may stand once."""

T = TypeVar("T")


class ListenError(ValueError):
    """The address cannot be listened on; the message is one line that names the key and the cure."""


class _Socket:
    """A socket whose operations in one direction, together, end by a deadline. The rest of it is as it was."""

    def __init__(self, sock: socket.socket, others_wait: Callable[[], bool]) -> None:
        self.plain = sock
        self._others_wait = others_wait
        self._direction = ""
        self._since = 0.0

    def begin(self) -> None:
        """A new request."""
        self._direction = ""

    def recv_into(self, buffer: memoryview) -> int:
        return self.within("in", lambda: self.plain.recv_into(buffer))

    def send(self, data: bytes) -> int:
        if self.plain.fileno() < 0:  # cheroot's buffers flush what a slow client left in them when they are deleted
            return len(data)
        return self.within("out", lambda: self.plain.send(data))

    def within(self, direction: str, operation: Callable[[], T]) -> T:
        """Do it. Raises `TimeoutError` when this direction's deadline has passed."""
        if direction != self._direction:
            self._direction, self._since = direction, time.monotonic()
        while True:
            allowed = DEADLINE_WHILE_OTHERS_WAIT if self._others_wait() else DEADLINE
            left = self._since + allowed - time.monotonic()
            if left <= 0:
                raise TimeoutError("timed out")  # the words by which cheroot knows a timeout
            self.plain.settimeout(min(left, DEADLINE_WHILE_OTHERS_WAIT))
            with suppress(TimeoutError):
                return operation()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.plain, name)


class _HeaderReader(HeaderReader):
    """Reads headers so that no two readings of them are possible: what stands before this server reads them, too.

    cheroot's own takes folded lines and a blank before the colon, and of two lengths the last (RFC 9112, 5 and 6.3).
    """

    def __call__(self, rfile: Any, hdict: dict[bytes, bytes] | None = None) -> dict[bytes, bytes]:
        """The headers by name. Raises `ValueError` with what is wrong; it is the client's to read."""
        headers = {} if hdict is None else hdict
        while (line := rfile.readline()) != b"\r\n":
            found = _HEADER.fullmatch(line)
            if not found:
                raise ValueError("A header is not understood, is folded, or does not end.")
            if b"_" in found[1]:  # to an application it would be the same name as one with a dash
                continue
            name, value = found[1].title(), found[2].strip(b" \t")
            if name in headers and name in _SINGLE:
                raise ValueError(f"Duplicate header {name.decode()}.")
            headers[name] = b", ".join((headers[name], value)) if name in headers else value
        if {b"Content-Length", b"Transfer-Encoding"} <= headers.keys():
            raise ValueError("The body has two lengths.")
        return headers


class _Request(HTTPRequest):
    header_reader = _HeaderReader()

    def read_request_line(self) -> bool:
        """Read it; cheroot takes the target apart as an address, and lets through what is wrong with one."""
        try:
            return bool(super().read_request_line())  # type: ignore[no-untyped-call]
        except ValueError:
            self.simple_response("400 Bad Request", "The target is no path.\n")
            return False

    def read_request_headers(self) -> bool:
        """Read them; a body must say its length in digits, so that no two readings of it are possible."""
        if not super().read_request_headers():  # type: ignore[no-untyped-call]
            return False
        if b"Transfer-Encoding" in self.inheaders:
            self.simple_response("411 Length Required", "Send the body with a Content-Length.\n")
            return False
        if not self.inheaders.get(b"Content-Length", b"0").isdigit():
            self.simple_response("400 Bad Request", "Content-Length is no number.\n")
            return False
        return True


class _Connection(HTTPConnection):
    RequestHandlerClass = _Request

    def __init__(self, server: _Server, sock: socket.socket, makefile: Callable[..., Any] = MakeFile) -> None:
        super().__init__(server, _Socket(sock, server.others_wait), makefile)
        self._greeted = not isinstance(sock, ssl.SSLSocket)

    def communicate(self) -> bool:
        """Handle one request; gives whether the connection is kept."""
        self.socket.begin()
        try:
            if not self._greeted:
                self.socket.within("in", lambda: shake_hands(self.socket.plain))
                self._greeted = True
        except OSError as error:
            log.debug("TLS handshake with %s failed: %s", self.remote_addr, error)
            return False
        return bool(super().communicate())  # type: ignore[no-untyped-call]

    def close(self) -> None:
        """End the connection. Raises nothing: cheroot's thread, and then the whole server, would end by it."""
        self.server.idle.pop(self, None)
        try:
            super().close()
        except Exception as error:
            log.debug("a connection could not be closed: %s", error)


class _Workers(ThreadPool):
    def _spawn_worker(self) -> Thread:
        # No loop: a worker of the web server's.
        worker: Thread = WorkerThread(self.server)  # type: ignore[no-untyped-call]
        threads.start(worker)
        return worker


class _Server(WSGIServer):
    ConnectionClass = _Connection
    max_request_header_size = MAX_HEAD
    max_request_body_size = MAX_BODY
    expiration_interval = 5.0  # seconds between looks for connections that have been idle for too long

    def __init__(self, address: tuple[str, int], app: App) -> None:
        super().__init__(
            address,
            app,
            server_name="vv-exporter",
            request_queue_size=MAX_IDLE,
            timeout=IDLE_TIMEOUT,
            shutdown_timeout=1,
        )
        self.requests = _Workers(self, THREADS, THREADS, accepted_queue_size=MAX_WAITING, accepted_queue_timeout=0)
        self.idle: dict[_Connection, None] = {}
        self._is_short = False

    def serve(self) -> None:
        """Until `stop`, whatever is short. cheroot's own loop writes a traceback as often as it can meanwhile."""
        while self.ready:
            try:
                self._connections.run(self.expiration_interval)  # type: ignore[attr-defined]
            except OSError as error:
                if error.errno not in _SHORT_OF:
                    log.exception("the web server failed, and continues")
                self._make_room(error)
            except Exception:
                log.exception("the web server failed, and continues")
                time.sleep(_ACCEPT_PAUSE_SECONDS)

    def _make_room(self, error: OSError) -> None:
        """Connections cannot be accepted for want of something, most likely of descriptors."""
        if not self._is_short:
            self._is_short = True
            log.error("connections cannot be accepted, trying on: %s", error.strerror or error)
        self._end_oldest_idle()
        time.sleep(_ACCEPT_PAUSE_SECONDS)

    def others_wait(self) -> bool:
        return bool(self.requests.qsize)

    def process_conn(self, conn: _Connection) -> None:
        """Called for a connection that is new, and for one that has something to read."""
        if conn.last_used is None:
            if self._is_short:
                self._is_short = False
                log.info("connections are accepted again")
            self.put_conn(conn)
            return
        self.idle.pop(conn, None)
        try:
            self.requests.put(conn)
        except queue.Full:
            conn.close()

    def put_conn(self, conn: _Connection) -> None:
        """Keep a connection until it has something to read."""
        self.idle[conn] = None
        if len(self.idle) > MAX_IDLE:
            self._end_oldest_idle()
        try:
            super().put_conn(conn)
        except Exception as error:  # it is closed already, or epoll has no room: no reason to end the server
            log.debug("a connection could not be kept: %s", error)
            conn.close()

    def _end_oldest_idle(self) -> None:
        with suppress(OSError, StopIteration, KeyError):
            oldest = next(iter(self.idle))
            del self.idle[oldest]
            oldest.socket.shutdown(socket.SHUT_RDWR)  # wakes a worker, which reads its end and closes it

    def error_log(self, msg: str = "", level: int = logging.INFO, traceback: bool = False) -> None:
        """What clients do wrong is of no interest; what goes wrong here is."""
        log.log(level if level >= logging.ERROR else logging.DEBUG, "%s", msg, exc_info=traceback)


class Server:
    """The web server on one address. Raises `ListenError` for an address that makes no sense."""

    def __init__(self, listen_address: str, app: App, web_config: WebConfig | None = None) -> None:
        self._address = listen_address
        self._app = app
        self._server = _Server(parse_address(listen_address), app)
        if web_config is not None:
            self._use_tls(web_config)

    def secure(self, web_config: WebConfig) -> None:
        """Have these users and headers from the next request on, this TLS from the next connection on."""
        self._use_tls(web_config)
        self._app.secure(web_config)

    def _use_tls(self, web_config: WebConfig) -> None:
        tls = web_config.tls_server_config
        self._server.ssl_adapter = None if tls is None else Adapter(tls)

    @property
    def port(self) -> int:
        """The port, also when 0 was asked for, once it is started."""
        port: int = self._server.bind_addr[1]
        return port

    @property
    def url(self) -> str:
        """Where a client on this machine finds it, once it is started."""
        scheme = "http" if self._server.ssl_adapter is None else "https"
        return (
            f"{scheme}://[{self._bound_host}]:{self.port}"
            if ":" in self._bound_host
            else f"{scheme}://{self._bound_host}:{self.port}"
        )

    @property
    def _bound_host(self) -> str:
        host: str = self._server.bind_addr[0]
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104

    def start(self) -> None:
        """Listen, and serve in the background. Raises `ListenError` when the address cannot be had."""
        outcome: queue.SimpleQueue[OSError | RuntimeError | None] = queue.SimpleQueue()
        # cheroot's threads are daemons, and cannot keep the process alive, because this one is.
        # No loop: the web server's own loop.
        threads.start(Thread(target=self._serve_requests, args=(outcome,), name="web", daemon=True))
        error = outcome.get()
        if error is not None:
            raise ListenError(
                f"{FLAG} (VV_EXPORTER_PORT): {self._address} cannot be used: {_reason_of(error)}"
            ) from error

    def stop(self) -> None:
        """Close all connections and end; returns within 2 seconds, whatever a request hangs in."""
        # No loop: one call, which may hang.
        stopping = Thread(target=self._server.stop, name="web-stop", daemon=True)
        with suppress(RuntimeError):  # without a thread for it, it ends with the process
            threads.start(stopping)
        end = time.monotonic() + STOP_TIMEOUT
        while stopping.is_alive() and time.monotonic() < end:
            self._wake_server()
            stopping.join(0.05)

    def _wake_server(self) -> None:
        """cheroot looks whether it shall stop when something arrives."""
        with suppress(OSError), socket.create_connection((self._bound_host, self.port), timeout=0.05):
            pass

    def _serve_requests(self, outcome: queue.SimpleQueue[OSError | RuntimeError | None]) -> None:
        try:
            self._server.prepare()
        except (OSError, RuntimeError) as error:
            outcome.put(error)
            return
        outcome.put(None)
        self._server.serve()


def parse_address(text: str) -> tuple[str, int]:
    """Host and port of `host:port`, `[IPv6]:port` or `:port` (all addresses). Raises `ListenError`."""
    found = re.fullmatch(r"(?:\[([0-9A-Fa-f:.%\w]+)\]|([^\[\]:]*)):([0-9]{1,5})", text)
    if not found or int(found[3]) > 65535:
        raise ListenError(f"{FLAG}: {text!r} is no address; write host:port, [IPv6]:port or :port")
    return found[1] or found[2] or _every_address(), int(found[3])


def _every_address() -> str:
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::", 0))
    except OSError:  # a kernel without IPv6
        return "0.0.0.0"  # noqa: S104 - what was asked for
    return "::"


def _reason_of(error: OSError | RuntimeError) -> str:
    if isinstance(error, RuntimeError):
        return f"{error}; this user, or the container, may have too few tasks"
    found = re.search(r"\[Errno -?\d+\] ([^)]*)", str(error))
    reason = found[1].lower() if found else str(error)
    if "in use" in reason:
        return f"{reason}; stop what listens there, or choose another port"
    return f"{reason}; name an address of this machine and a port that may be used"
