"""Whether a part of the product does its work, asked from outside it: by `vv health`, and by systemd's watchdog.

A container's Engine asks every half minute: what one of them alone needs is imported when it is asked for.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress

from vv_core.common.environment import state_dir

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping
    from pathlib import Path

DEFAULT_PORT = 19461
TIMEOUT = 5.0
MAX_ANSWER = 4096  # bytes that are read
LOOKED_WITHIN = 60.0
"""Seconds within which a self-monitor at work has looked; it says so every 10."""
_REQUEST = b"GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


class UnhealthyError(Exception):
    """It does not; the message says why."""


def ask(part: str, port: int | None = None, path: str | Path = "") -> str:
    """Ask a part by its name, the exporter at its port, the proxy at its socket; gives what else is to be said of it.
    Raises `UnhealthyError`."""
    try:
        if part == "exporter":
            return exporter(port or exporter_port())
        if part == "self-monitor":
            self_monitor(os.path.join(state_dir(), "self-monitor"))  # noqa: PTH118 - pathlib takes as long as all else
        else:
            docker_proxy(path)
    except UnhealthyError as error:
        raise UnhealthyError(f"{part}: {error}") from error
    return ""


def exporter(port: int, host: str = "127.0.0.1") -> str:
    """The exporter at this address answers, with or without TLS and users; gives what it says of an alert path that
    is not known to work. Raises `UnhealthyError`."""
    address = (host, port)
    try:
        answer = _ask_plainly(address)
        if not answer.startswith(b"HTTP/"):
            secured = _ask_with_tls(address)
            if secured is None:
                return ""  # it wants a certificate of ours: it is at work
            answer = secured
    except (OSError, OverflowError) as error:  # the latter for a number that no port has
        raise UnhealthyError(f"port {port} does not answer ({error})") from error
    _judge_answer(answer)
    said = answer.partition(b"\r\n\r\n")[2].decode(errors="replace").splitlines()
    return said[0] if said and said[0].startswith("alert path: ") else ""


def self_monitor(folder: str | Path, now: float | None = None) -> None:
    """The self-monitor that keeps its state in `folder` has looked lately. Raises `UnhealthyError`."""
    import time
    from math import isinf
    from pathlib import Path

    from vv_exporter.common.clock import boot_id, boottime, span
    from vv_exporter.supervisor.mailbox import Mailbox

    folder = Path(folder)
    try:
        view = Mailbox(folder).view()
    except PermissionError as error:
        raise UnhealthyError(f"{folder / 'view.json'} cannot be read ({error.strerror})") from error
    if view is None:
        raise UnhealthyError(f"{folder / 'view.json'} cannot be read")
    age = view.age(time.time() if now is None else now, boot_id(), boottime())
    if age > LOOKED_WITHIN:
        raise UnhealthyError("it last looked with another clock" if isinf(age) else f"it last looked {span(age)} ago")


def exporter_port(environ: Mapping[str, str] = os.environ) -> int:
    """The port that the exporter of this environment has."""
    text = environ.get("VV_EXPORTER_PORT", "")
    return int(text) if is_number(text) else DEFAULT_PORT


def is_number(text: str) -> bool:
    """Whether it may be a port."""
    return text.isascii() and text.isdigit() and len(text) <= 5


def docker_proxy(path: str | Path) -> None:
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


def _ask_plainly(address: tuple[str, int]) -> bytes:
    """What the exporter answers without TLS; nothing where it speaks TLS alone. Raises `OSError`."""
    answer = b""
    with socket.create_connection(address, TIMEOUT) as plain, suppress(ConnectionError):
        answer = _send_request(plain, b"/-/healthy")
        answer = _whole_answer(plain, answer)
    return answer


def _ask_with_tls(address: tuple[str, int]) -> bytes | None:
    """The same with TLS; None where the answer is that it wants a certificate. Raises `OSError`."""
    import ssl

    try:
        with socket.create_connection(address, TIMEOUT) as plain, _any_certificate().wrap_socket(plain) as secure:
            return _whole_answer(secure, _send_request(secure, b"/-/healthy"))
    except ssl.SSLError:
        return None


def _any_certificate() -> ssl.SSLContext:
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # it is loopback
    return context
