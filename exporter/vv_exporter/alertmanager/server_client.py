"""The client for Prometheus and Alertmanager. An answer is bounded, in bytes and in time: at the address that is
configured anything may listen, and whoever waits here for ever tells people nothing any more.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import requests
import urllib3

MAX_ANSWER_BYTES = 64 << 20
MAX_ANSWER_SECONDS = 10.0  # from its first line to its end
_CHUNK_BYTES = 1 << 16


class ServerError(Exception):
    """There was no whole answer; the message is the kind of error, and holds no address."""


class ServerAnswer(NamedTuple):
    """Its status, and its body."""

    status: int
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode(errors="replace")

    def json(self) -> Any:
        """The body's document. Raises `ValueError`, also for one that is nested too deeply."""
        try:
            return json.loads(self.body)
        except RecursionError:
            raise ValueError("nested too deeply") from None


class ServerClient:
    """Talks to the server at `url` (without a slash at the end). `timeout`: seconds to connect, and between bytes."""

    def __init__(self, url: str, timeout: tuple[float, float]) -> None:
        self._url = url
        self._timeout = timeout
        self._session = requests.Session()
        self._session.trust_env = False  # a proxy for the outside world must not get between the two
        self._session.headers["Accept-Encoding"] = "identity"  # a small answer stays small

    def get(self, path: str, parameters: Mapping[str, str] | None = None) -> ServerAnswer:
        """Ask. Raises `ServerError`."""
        return self._send_request("GET", path, params=parameters)

    def post(self, path: str, document: Any) -> ServerAnswer:
        """Send JSON. Raises `ServerError`."""
        return self._send_request("POST", path, json=document)

    def request(
        self, method: str, path: str, document: Any = None, parameters: Mapping[str, Sequence[str]] | None = None
    ) -> ServerAnswer:
        """Ask in another way, with JSON if there is a document. Raises `ServerError`."""
        return self._send_request(method, path, json=document, params=parameters)

    def _send_request(self, method: str, path: str, **content: Any) -> ServerAnswer:
        try:
            with self._session.request(
                method, self._url + path, timeout=self._timeout, allow_redirects=False, stream=True, **content
            ) as answer:
                return ServerAnswer(answer.status_code, _read_bounded(answer.raw))
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise ServerError(type(error).__name__) from error


def _read_bounded(raw: urllib3.HTTPResponse) -> bytes:
    body, ends = bytearray(), time.monotonic() + MAX_ANSWER_SECONDS
    while chunk := raw.read1(_CHUNK_BYTES, decode_content=True):
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            raise ServerError("its answer is too large")
        if time.monotonic() > ends:
            raise ServerError("its answer does not end")
    return bytes(body)
