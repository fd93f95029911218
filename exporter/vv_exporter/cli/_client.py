"""How commands ask the exporter that runs."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TypeVar
from urllib.parse import urlsplit, urlunsplit

import msgspec
import requests

from vv_core._text import UNSAFE
from vv_exporter.cli._output import printable
from vv_exporter.settings import load

TIMEOUT = 15.0  # seconds
COLOURS = {"critical": "red", "error": "red", "warning": "yellow", "info": "blue"}
T = TypeVar("T")

_NEWLINE = 0x0A
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|.)")
_SHORT = {r"\b": 8, r"\t": 9, r"\f": 12, r"\r": 13}
# Unsafe characters can stand in JSON's strings alone, but for the white space between them.
_JSON_ESCAPES = {code: json.dumps(chr(code))[1:-1] for code in UNSAFE if chr(code) not in " \t\r\n"}


class AskError(Exception):
    """There is no good answer; the message is one line."""


def ask(url: str | None, path: str, parameters: Mapping[str, str], type_: type[T]) -> tuple[T, str]:
    """The exporter's answer, as an object and as JSON. Raises `AskError`."""
    address = f"{url or load().exporter_url}{path}"
    try:
        answer = requests.get(address, params=parameters, timeout=TIMEOUT)
        if answer.status_code == 400:
            raise AskError(printable(answer.text).strip())
        answer.raise_for_status()
        return msgspec.json.decode(_blanked(answer.text), type=type_), answer.text.translate(_JSON_ESCAPES)
    except (requests.RequestException, msgspec.DecodeError) as error:
        why = type(error).__name__
        raise AskError(f"the exporter does not answer at {_shown(address)} ({why}); is it running?") from error


def _blanked(text: str) -> str:
    """JSON in which the unsafe characters that its strings stand for are blanks; lines stay lines."""
    return _ESCAPE.sub(_blank, printable(text))


def _blank(escape: re.Match[str]) -> str:
    code = int(escape[1], 16) if escape[1] else _SHORT.get(escape[0])
    return " " if code in UNSAFE and code != _NEWLINE else escape[0]


def _shown(address: str) -> str:
    """The address without user and password."""
    parts = urlsplit(address)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
