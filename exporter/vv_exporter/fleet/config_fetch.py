"""Getting a fleet's configuration over HTTPS: bounded in bytes and time, and from nowhere but the address itself."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from vv_exporter.fleet.config_document import MAX_BYTES

if TYPE_CHECKING:
    import urllib3

logging.getLogger("urllib3").setLevel(logging.INFO)  # below that it logs addresses

TIMEOUT = (10.0, 10.0)  # seconds to connect, and between bytes
MAX_SECONDS = 60.0  # from the first line of the answer to its end
_CHUNK_BYTES = 1 << 16


class FetchError(Exception):
    """There is nothing to be had now: a link or a server that is down."""


class AnswerError(Exception):
    """Something answers that is not what was asked for."""


class Fetched(NamedTuple):
    """A file, and by which name (ETag) it can be asked whether there is another; "" for none."""

    file: bytes
    etag: str


def fetch_file(url: str, etag: str, monotonic: Callable[[], float] = time.monotonic) -> Fetched | None:
    """The file at the address; None if it is still that of this `etag`. Raises `FetchError`, `AnswerError`."""
    import requests  # takes 60 ms, which no command pays that does not pull
    import urllib3

    headers = {"Accept-Encoding": "identity", "Cache-Control": "no-cache"}  # a small answer stays small
    if etag:
        headers["If-None-Match"] = etag
    try:
        with requests.get(url, headers=headers, timeout=TIMEOUT, allow_redirects=False, stream=True) as answer:
            if answer.status_code == 304 and etag:
                return None
            if 300 <= answer.status_code < 400 and answer.status_code != 304:
                raise AnswerError(f"it is elsewhere ({answer.status_code}), and redirections are not followed")
            if answer.status_code != 200:
                raise FetchError(f"the server answered {answer.status_code}")
            return Fetched(_read_bounded(answer.raw, monotonic), answer.headers.get("ETag", "")[:200])
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        raise FetchError(f"the server does not answer as it should ({type(error).__name__})") from error


def _read_bounded(raw: urllib3.BaseHTTPResponse, monotonic: Callable[[], float]) -> bytes:
    body, ends = bytearray(), monotonic() + MAX_SECONDS
    while chunk := raw.read1(_CHUNK_BYTES, decode_content=False):
        body += chunk
        if len(body) > MAX_BYTES:
            raise AnswerError(f"it is larger than {MAX_BYTES} bytes")
        if monotonic() > ends:
            raise FetchError(f"its answer has not ended within {MAX_SECONDS:.0f} s")
    return bytes(body)
