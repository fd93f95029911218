"""Asking the Engine on behalf of a client."""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
from collections.abc import Iterator

MAX_ANSWER = 16 << 20
"""Bytes of an answer; a list of a thousand containers has about two million."""
MAX_LINE = 1 << 20


class UpstreamError(Exception):
    """No usable answer came; `status` is what the client gets."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Answer:
    """The Engine's answer, its body unread."""

    def __init__(self, connection: _Connection, response: http.client.HTTPResponse) -> None:
        self._connection = connection
        self._response = response
        self.status = response.status
        self.type = response.getheader("Content-Type", "")
        version = response.getheader("Api-Version", "")
        self.api_version = version if re.fullmatch(r"[0-9.]{1,10}", version) else ""
        """The version of the API that the Engine speaks, "" if it does not say."""

    def body(self) -> bytes:
        """All of it. Raises `UpstreamError` if it is too long or breaks off."""
        with _translated_errors():
            body = self._response.read(MAX_ANSWER + 1)
        if len(body) > MAX_ANSWER:
            raise UpstreamError(502, "the Engine's answer is too long")
        return body

    def lines(self) -> Iterator[bytes]:
        """Its lines, as they come, for ever. Raises `UpstreamError`."""
        self._connection.wait_for_ever()
        with _translated_errors():
            while line := self._response.readline(MAX_LINE):
                if not line.endswith(b"\n"):
                    raise UpstreamError(502, "the Engine's answer broke off, or has too long a line")
                yield line

    def end(self) -> None:
        """Make whoever reads the body see its end; from any thread."""
        self._connection.end()


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("docker", timeout=timeout)
        self._path = path
        self._socket: socket.socket | None = None

    def connect(self) -> None:
        self._socket = self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)

    def wait_for_ever(self) -> None:
        if self._socket is not None:
            self._socket.settimeout(None)

    def end(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def asked(path: str, method: str, target: str, body: bytes, timeout: float) -> Iterator[Answer]:
    """The answer of the Engine at the socket `path`. Raises `UpstreamError`; `timeout` holds for each wait."""
    connection = _Connection(path, timeout)
    try:
        with _translated_errors():
            headers = {"Host": "docker", "Connection": "close"}
            headers |= {"Content-Type": "application/json"} if body else {}
            connection.request(method, target, body or None, headers)
            response = connection.getresponse()
        yield Answer(connection, response)
    finally:
        connection.close()


@contextlib.contextmanager
def _translated_errors() -> Iterator[None]:
    try:
        yield
    except TimeoutError:
        raise UpstreamError(504, "the Engine does not answer in time") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise UpstreamError(502, f"the Engine cannot be asked ({type(error).__name__})") from error
