"""How commands ask the exporter that runs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeVar
from urllib.parse import urlsplit, urlunsplit

import msgspec
import requests

from vv_exporter.settings import load

TIMEOUT = 15.0  # seconds
COLOURS = {"critical": "red", "error": "red", "warning": "yellow", "info": "blue"}
T = TypeVar("T")


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
        harmless = re.sub(r"[\x7f-\x9f]", lambda found: f"\\u{ord(found[0]):04x}", answer.text)
        return msgspec.json.decode(_escaped(answer.text), type=type_), harmless
    except (requests.RequestException, msgspec.DecodeError) as error:
        why = type(error).__name__
        raise AskError(f"the exporter does not answer at {_shown(address)} ({why}); is it running?") from error


def printable(text: str) -> str:
    """Without the control characters that terminals obey; names come from elsewhere."""
    return re.sub(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", " ", text)


def _escaped(text: str) -> str:
    """JSON in which the control characters that its strings stand for are blanks; lines stay lines."""
    control = r"[bfrt]|u00(?:0[0-9b-f]|1[0-9a-f]|7f|[89][0-9a-f])"
    return re.sub(rf"\\(?:(?:{control})|(.))|[\x7f-\x9f]", lambda found: found[0] if found[1] else " ", text)


def _shown(address: str) -> str:
    """The address without user and password."""
    parts = urlsplit(address)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
