"""Whether a part of the product does its work, asked from outside it: by `vv health`, and by systemd's watchdog."""

from __future__ import annotations

import socket
import ssl
import time
from contextlib import suppress
from math import isinf
from pathlib import Path

from vv_exporter.common.clock import boot_id, boottime, span
from vv_exporter.supervisor.room import Room

TIMEOUT = 5.0
MAX_ANSWER = 4096  # bytes that are read
LOOKED_WITHIN = 60.0
"""Seconds within which a self-monitor at work has looked; it says so every 10."""
_REQUEST = b"GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


class UnhealthyError(Exception):
    """It does not; the message says why."""


def exporter(port: int, host: str = "127.0.0.1") -> str:
    """The exporter at this address answers, with or without TLS and users; gives what it says of an alert path that
    is not known to work. Raises `UnhealthyError`."""
    address = (host, port)
    try:
        answer = b""
        with socket.create_connection(address, TIMEOUT) as plain, suppress(ConnectionError):
            answer = _send_request(plain, b"/-/healthy")
            answer = _whole_answer(plain, answer)
        if not answer.startswith(b"HTTP/"):
            with socket.create_connection(address, TIMEOUT) as plain, _any_certificate().wrap_socket(plain) as secure:
                answer = _whole_answer(secure, _send_request(secure, b"/-/healthy"))
    except ssl.SSLError:
        return ""  # it wants a certificate of ours: it is at work
    except OSError as error:
        raise UnhealthyError(f"port {port} does not answer ({error})") from error
    _judge_answer(answer)
    said = answer.partition(b"\r\n\r\n")[2].decode(errors="replace").splitlines()
    return said[0] if said and said[0].startswith("alert path: ") else ""


def self_monitor(folder: Path, now: float | None = None) -> None:
    """The self-monitor that keeps its state in `folder` has looked lately. Raises `UnhealthyError`."""
    try:
        view = Room(folder).view()
    except PermissionError as error:
        raise UnhealthyError(f"{folder / 'view.json'} cannot be read ({error.strerror})") from error
    if view is None:
        raise UnhealthyError(f"{folder / 'view.json'} cannot be read")
    age = view.age(time.time() if now is None else now, boot_id(), boottime())
    if age > LOOKED_WITHIN:
        raise UnhealthyError("it last looked with another clock" if isinf(age) else f"it last looked {span(age)} ago")


def docker_proxy(path: Path) -> None:
    """The proxy's socket is served, and the Engine behind it answers. Raises `UnhealthyError`."""
    try:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(TIMEOUT)
            sock.connect(str(path))
            answer = _send_request(sock, b"/_ping")
    except OSError as error:
        raise UnhealthyError(f"{path} does not answer ({error})") from error
    _judge_answer(answer)


def _send_request(sock: socket.socket, path: bytes) -> bytes:
    sock.sendall(_REQUEST % path)
    return sock.recv(1024)


def _whole_answer(sock: socket.socket, beginning: bytes) -> bytes:
    """The answer that begins so, as far as it comes."""
    answer = beginning
    with suppress(OSError):
        while answer.startswith(b"HTTP/") and len(answer) < MAX_ANSWER and (part := sock.recv(1024)):
            answer += part
    return answer


def _judge_answer(answer: bytes) -> None:
    status = answer[:12].partition(b" ")[2]
    if not status.isdigit() or int(status) >= 500:
        raise UnhealthyError(f"it answers {answer[:60]!r}")


def _any_certificate() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # it is loopback
    return context
