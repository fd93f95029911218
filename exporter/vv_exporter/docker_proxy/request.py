"""A request's head, read so strictly that no two readings of it are possible."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import parse_qsl

MAX_HEAD = 8 << 10
"""Bytes that a request's line and headers may have."""
MAX_BODY = 4 << 10
OLDEST = (1, 24)
"""The API version below which `start` took a configuration of its own, privileges included."""

_LINE = re.compile(r"(GET|HEAD|POST|PUT|DELETE|PATCH|OPTIONS) (/[!-~]*) HTTP/1\.[01]", re.ASCII)
_HEADER = re.compile(r"([A-Za-z0-9-]{1,64}):[ \t]*([\t -~]*)", re.ASCII)
_PATH = re.compile(r"(?:/v(\d{1,3})\.(\d{1,3}))?(?!/v\d)((?:/[A-Za-z0-9_][A-Za-z0-9_.-]*)+)", re.ASCII)
_OTHER_FRAMING = frozenset({"transfer-encoding", "upgrade", "expect", "trailer", "te", "http2-settings"})


class BadRequestError(Exception):
    """It is not understood, or could be understood in two ways."""


class Request(NamedTuple):
    """What is asked. `path` begins after the version, which is "" or such as `/v1.41`."""

    method: str
    version: str
    path: str
    query: Mapping[str, str]
    length: int
    """Bytes of the body."""


def parse(head: bytes) -> Request:
    """The head up to its empty line, which is left out. Raises `BadRequestError`."""
    try:
        line, *headers = head.decode("ascii").split("\r\n")
    except UnicodeDecodeError:
        raise BadRequestError("the head is not ASCII") from None
    found = _LINE.fullmatch(line)
    if not found:
        raise BadRequestError("the request line is not understood")
    path, mark, query = found[2].partition("?")
    version, path = _parse_path(path)
    return Request(found[1], version, path, _parse_query(query) if mark else {}, _parse_length(found[1], headers))


def _parse_path(text: str) -> tuple[str, str]:
    """A version and plain words between single slashes: nothing to decode, no way up."""
    found = _PATH.fullmatch(text)
    if not found:
        raise BadRequestError("the path is not understood")
    if found[1] is None:
        return "", found[3]
    if (int(found[1]), int(found[2])) < OLDEST:
        raise BadRequestError("this version of the API is too old")
    return f"/v{int(found[1])}.{int(found[2])}", found[3]


def _parse_query(text: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=True, max_num_fields=10, errors="strict")
    except ValueError:
        raise BadRequestError("the query is not understood") from None
    if len({name for name, _ in pairs}) < len(pairs):
        raise BadRequestError("duplicate parameter")
    return dict(pairs)


def _parse_length(method: str, lines: list[str]) -> int:
    headers: dict[str, str] = {}
    for line in lines:
        found = _HEADER.fullmatch(line)
        if not found:
            raise BadRequestError("a header is not understood")
        name = found[1].lower()
        if name in _OTHER_FRAMING or name in headers:
            raise BadRequestError(f"the header {name} is not allowed, or a duplicate")
        headers[name] = found[2].strip()
    if "upgrade" in headers.get("connection", "").lower():
        raise BadRequestError("connections are not upgraded")
    text = headers.get("content-length", "0")
    if not re.fullmatch(r"[0-9]{1,9}", text, re.ASCII) or int(text) > MAX_BODY:
        raise BadRequestError("Content-Length is no number, or too large")
    if int(text) and method != "POST":
        raise BadRequestError("only POST has a body")
    return int(text)
