"""The sockets that the proxy gives away, and what happens to a connection on one of them."""

from __future__ import annotations

import contextlib
import json
import logging
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlencode

import msgspec

from vv_exporter.containers.engine import REFUSED_PATH
from vv_exporter.containers.observed import Inspection, decode_inspection
from vv_exporter.docker_proxy.engine import Answer, UpstreamError, asked
from vv_exporter.docker_proxy.peers import Peers, peer_of
from vv_exporter.docker_proxy.policy import QUICK, Rule
from vv_exporter.docker_proxy.request import MAX_HEAD, BadRequestError, Request, parse
from vv_exporter.runtime import threads

log = logging.getLogger(__name__)

MAX_CONNECTIONS = 32
"""Of one socket; who comes beyond them is refused, and why is said."""
PATIENCE = 5.0
"""Seconds that a client has to send its request, and for each part of the answer that it takes."""
MODE = 0o660

Given = Callable[[Inspection], bool]


_ACCEPT_PAUSE_SECONDS = 0.1
_NO_THREAD = "no further thread"


class RefusedError(Exception):
    """It is understood, and not allowed."""


class Listener:
    """A socket at `path` for those who may do what `rules` allow; `given` says which containers may be acted on."""

    def __init__(
        self,
        path: Path,
        engine: str,
        rules: Sequence[Rule],
        given: Given,
        peers: Peers | None = None,
        name: str = "",
    ) -> None:
        self.path = path
        self.name = name
        self.siblings: Sequence[Listener] = (self,)
        """The proxy's sockets, this one included."""
        self.peers = Peers() if peers is None else peers
        """Whom it serves, and how many it did not."""
        self._engine = engine
        self._rules = rules
        self._given = given
        self._places = threading.Semaphore(MAX_CONNECTIONS)
        self._stopping = threading.Event()
        self._turned_away: deque[socket.socket] = deque()
        self._trouble = False
        self._socket = socket.socket(socket.AF_UNIX)
        # No loop: it waits for connections, and its socket ends it.
        self._thread = threading.Thread(target=self._accept_until_stopped, name=f"accept-{path.name}", daemon=True)

    @property
    def alive(self) -> bool:
        """Whether somebody listens."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Listen. Raises `OSError`."""
        unfinished = self.path.with_name(f".{self.path.name}")
        unfinished.unlink(missing_ok=True)
        self._socket.bind(str(unfinished))
        unfinished.chmod(MODE)
        self._socket.listen(MAX_CONNECTIONS)
        unfinished.replace(self.path)  # only now: who finds it can connect
        threads.start(self._thread)

    def stop(self) -> None:
        """Listen no more; what is being answered goes on until the process ends."""
        self._stopping.set()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self.path.unlink(missing_ok=True)

    def _accept_until_stopped(self) -> None:
        """Accept until `stop`, whatever is short: open files, memory, threads."""
        while not self._stopping.is_set():
            try:
                client, _ = self._socket.accept()
            except ConnectionAbortedError:
                continue
            except OSError as error:
                self._close_turned_away()
                self._log_trouble_once(error.strerror or str(error))
                self._stopping.wait(_ACCEPT_PAUSE_SECONDS)
                continue
            if self._admits_peer(client):
                self._begin_serving(client)
        self._close_turned_away()

    def _begin_serving(self, client: socket.socket) -> None:
        """Serve it in a thread of its own, or turn it away; never waits for it."""
        if not self._places.acquire(blocking=False):
            self._turn_away(client, 503, "too many connections", "Retry-After: 1")
            return
        try:
            # No loop: one connection.
            threading.Thread(target=self._serve_client, args=(client,), name="request", daemon=True).start()
        except RuntimeError as error:
            self._places.release()
            self._log_trouble_once(str(error))
            self._turn_away(client, 503, _NO_THREAD, "Retry-After: 1")
        else:
            self._log_trouble_once("")

    def _turn_away(self, client: socket.socket, status: int, message: str, header: str = "") -> None:
        """Say no, without waiting for anything.

        It is closed later: whoever is still sending would find the connection broken, and never read why.
        """
        body = _refusal_body(message)
        with contextlib.suppress(OSError):
            client.settimeout(0)
            more = f"Content-Length: {len(body)}" + (f"\r\n{header}" if header else "")
            client.send(_answer_head(status, "application/json", more) + body)
            client.shutdown(socket.SHUT_WR)
        self._turned_away.append(client)
        self._close_turned_away(MAX_CONNECTIONS)

    def _close_turned_away(self, kept: int = 0) -> None:
        while len(self._turned_away) > kept:
            self._turned_away.popleft().close()

    def _log_trouble_once(self, problem: str) -> None:
        """Say when connections cannot be served, and when they can again; not each time."""
        before, self._trouble = self._trouble, bool(problem)
        if self._stopping.is_set() or before == self._trouble:
            return
        if problem:
            log.error("connections to %s cannot be served: %s; trying on", self.path, problem)
        else:
            log.info("connections to %s are served again", self.path)

    def _admits_peer(self, client: socket.socket) -> bool:
        """Whether its user is served; else it is refused, without waiting for it to listen."""
        try:
            peer = peer_of(client)
            if self.peers.admit(peer):
                return True
            said = f"{self.path} does not serve user {peer.uid}: see {self.peers.setting or 'its list of users'}"
            if self.peers.first_of(peer):
                log.warning("refused, and not told again: %s (process %d)", said, peer.pid)
            self._turn_away(client, 403, said)
        except OSError as error:
            log.debug("a client went away: %s", error)
            client.close()
        return False

    def _serve_client(self, client: socket.socket) -> None:
        try:
            with client:
                self._answer_request(client)
        except OSError as error:
            log.debug("a client went away: %s", error)
        except Exception:
            log.exception("a request to the Docker Engine could not be handled")
        finally:
            self._places.release()

    def _answer_request(self, client: socket.socket) -> None:
        try:
            request, body = _read_request(client)
            if (request.method, request.path) == ("GET", REFUSED_PATH):
                _send_answer(client, 200, _refused_by(self.siblings), "application/json")
                return
            rule = self._allowing_rule(request, body)
            target = request.version + request.path + (f"?{urlencode(request.query)}" if request.query else "")
            with asked(self._engine, request.method, target, body, rule.timeout) as answer:
                client.settimeout(PATIENCE)
                _pass_on(client, answer, rule)
        except BadRequestError as error:
            _send_refusal(client, 400, str(error))
        except RefusedError as error:
            log.warning("refused: %s", error)
            _send_refusal(client, 403, f"the proxy does not allow this: {error}")
        except UpstreamError as error:
            _send_refusal(client, error.status, str(error))

    def _allowing_rule(self, request: Request, body: bytes) -> Rule:
        """The rule that allows it. Raises `RefusedError`, `UpstreamError`."""
        for rule in self._rules:
            found = rule.allows(request)
            if found and rule.body(body):
                if rule.given:
                    self._check_container(request, found["container"])
                return rule
        raise RefusedError(f"{request.method} {request.path[:100]}")

    def _check_container(self, request: Request, container: str) -> None:
        target = f"{request.version}/containers/{container}/json"
        with asked(self._engine, "GET", target, b"", QUICK) as answer:
            if answer.status == HTTPStatus.NOT_FOUND:
                raise UpstreamError(404, f"No such container: {container}")
            try:
                inspection = decode_inspection(answer.body())
            except msgspec.MsgspecError:
                raise UpstreamError(502, "the Engine's answer is not understood") from None
        if not self._given(inspection):
            raise RefusedError(f"container {inspection.name[:100]} was not given to the self-monitor")


def _refused_by(listeners: Sequence[Listener]) -> bytes:
    return json.dumps({listener.name: listener.peers.refused for listener in listeners}).encode()


def _read_request(client: socket.socket) -> tuple[Request, bytes]:
    """One request and its body; what comes behind it is not read. Raises `BadRequestError`, `OSError`."""
    end = time.monotonic() + PATIENCE
    data = b""
    while b"\r\n\r\n" not in data:
        if len(data) > MAX_HEAD:
            raise BadRequestError("the head is too long")
        data += _receive_part(client, end)
    head, _, body = data.partition(b"\r\n\r\n")
    if len(head) > MAX_HEAD:
        raise BadRequestError("the head is too long")
    request = parse(head)
    while len(body) < request.length:
        body += _receive_part(client, end)
    return request, body[: request.length]


def _receive_part(client: socket.socket, end: float) -> bytes:
    client.settimeout(max(end - time.monotonic(), 0.001))
    part = client.recv(4096)
    if not part:
        raise ConnectionError("the client went away")
    return part


def _pass_on(client: socket.socket, answer: Answer, rule: Rule) -> None:
    succeeded = answer.status < HTTPStatus.MULTIPLE_CHOICES
    if succeeded and rule.streams:
        _stream_lines(client, answer, rule.filter)
        return
    body = answer.body()
    if succeeded:
        try:
            body = rule.filter(body)
        except ValueError:
            raise UpstreamError(502, "the Engine's answer is not understood") from None
    _send_answer(client, answer.status, body, answer.type, answer.api_version)


def _stream_lines(client: socket.socket, answer: Answer, filter_line: Callable[[bytes], bytes]) -> None:
    """Pass lines on until either side ends."""
    with _ended_with(client, answer):
        client.sendall(_answer_head(200, "application/json", "Transfer-Encoding: chunked"))
        try:
            for line in answer.lines():
                part = filter_line(line)
                client.sendall(b"%x\r\n%s\r\n" % (len(part), part))
        except (UpstreamError, ValueError) as error:  # too late to say so: the client sees it break off
            log.debug("an event stream broke off: %s", error)
            return
        client.sendall(b"0\r\n\r\n")


@contextlib.contextmanager
def _ended_with(client: socket.socket, answer: Answer) -> Iterator[None]:
    """End the answer when the client goes away, or says something that nobody asked for. Raises `UpstreamError`."""

    def watch() -> None:
        poll = select.poll()
        poll.register(client, select.POLLIN | select.POLLRDHUP)
        poll.poll()
        answer.end()

    # No loop: one connection, watched for its end.
    thread = threading.Thread(target=watch, name="client", daemon=True)
    try:
        thread.start()
    except RuntimeError:
        raise UpstreamError(503, _NO_THREAD) from None
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)
        thread.join()


def _send_refusal(client: socket.socket, status: int, message: str) -> None:
    """Say no in the Engine's own form."""
    with contextlib.suppress(OSError):
        client.settimeout(PATIENCE)
        _send_answer(client, status, _refusal_body(message), "application/json")


def _refusal_body(message: str) -> bytes:
    return json.dumps({"message": message}).encode()


def _send_answer(client: socket.socket, status: int, body: bytes, kind: str, api_version: str = "") -> None:
    # 204 and 304 have no body, and no length of one.
    bodyless = status in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)
    head = _answer_head(
        status,
        kind,
        "" if bodyless else f"Content-Length: {len(body)}",
        f"Api-Version: {api_version}" if api_version else "",
    )
    client.sendall(head + (b"" if bodyless else body))
    # Closing with something unread would reset the connection, and take the answer away from a client that still sends.
    client.shutdown(socket.SHUT_WR)
    client.settimeout(0.2)
    with contextlib.suppress(OSError):
        for _ in range(64):
            if not client.recv(65536):
                break


def _answer_head(status: int, kind: str, *more: str) -> bytes:
    phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "Answer"
    kind = f"Content-Type: {kind}" if kind.isprintable() and kind else ""
    lines = (f"HTTP/1.1 {status} {phrase}", kind, *more, "Connection: close")
    return "".join(f"{line}\r\n" for line in lines if line).encode("ascii", "replace") + b"\r\n"
