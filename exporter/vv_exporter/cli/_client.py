"""How commands ask the exporter that runs."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import msgspec
import requests

from vv_core.common.texts import UNSAFE
from vv_exporter.language import current
from vv_exporter.language import gettext as _
from vv_exporter.reporting.reports import printable
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
    answer = get(url, path, parameters)
    if answer.status_code == 400:
        raise AskError(printable(answer.text).strip())
    try:
        answer.raise_for_status()
        return msgspec.json.decode(_blank_unsafe(answer.text), type=type_), answer.text.translate(_JSON_ESCAPES)
    except (requests.RequestException, msgspec.DecodeError) as error:
        raise _no_answer(_address_without_login(url or load(secrets=False).exporter_url) + path, error) from error


def get(url: str | None, path: str, parameters: Mapping[str, str] | None = None) -> requests.Response:
    """What the exporter answers, whatever it is; at its own address with the user and the CA of the settings.

    Raises `AskError`, also for who it does not know.
    """
    address, who = (url, {}) if url else _own_exporter()
    try:
        headers = {"Accept-Language": current()}
        answer = requests.get(address + path, params=parameters, headers=headers, timeout=TIMEOUT, **who)
    except requests.RequestException as error:
        raise _no_answer(_address_without_login(address) + path, error) from error
    if answer.status_code == 401:
        problem = requests.HTTPError(response=answer)
        raise AskError(
            _("the exporter at {address} has users; set VV_EXPORTER_USERNAME and VV_EXPORTER_PASSWORD_FILE").format(
                address=_address_without_login(address)
            )
        ) from problem
    return answer


def _own_exporter() -> tuple[str, dict[str, Any]]:
    """The exporter's address, and how it is asked there."""
    settings = load()
    who: dict[str, Any] = {"allow_redirects": False}
    if settings.exporter_username:
        who["auth"] = (settings.exporter_username, settings.exporter_password.value)
    if settings.exporter_ca_file:
        who["verify"] = str(settings.exporter_ca_file)
    return settings.exporter_url, who


def _no_answer(address: str, error: Exception) -> AskError:
    return AskError(
        _("the exporter does not answer at {address} ({error}); is it running?").format(
            address=address, error=type(error).__name__
        )
    )


def _blank_unsafe(text: str) -> str:
    """JSON in which the unsafe characters that its strings stand for are blanks; lines stay lines."""
    return _ESCAPE.sub(_blank_escape, printable(text))


def _blank_escape(escape: re.Match[str]) -> str:
    code = int(escape[1], 16) if escape[1] else _SHORT.get(escape[0])
    return " " if code in UNSAFE and code != _NEWLINE else escape[0]


def _address_without_login(address: str) -> str:
    """The address without user and password."""
    parts = urlsplit(address)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
