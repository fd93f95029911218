"""Silences by Alertmanager's API v2: https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from vv_exporter.alertmanager.server_client import ServerAnswer, ServerClient, ServerError
from vv_exporter.common.clock import isoformat, moment
from vv_exporter.common.matchers import Matcher
from vv_exporter.common.untrusted import decode_untrusted
from vv_exporter.language import gettext as _

TIMEOUT = (2.0, 5.0)  # seconds to connect, and between bytes of the answer
_ID = re.compile(r"[0-9a-fA-F-]{1,64}")  # a UUID


class SilenceError(Exception):
    """Alertmanager did not do it; the message is one line."""


class RefusedError(SilenceError):
    """It answered, and does not want it."""


class Silence(msgspec.Struct, frozen=True):
    """A silence. Times in Unix seconds; `state` is `active`, `pending` or `expired`."""

    id: str
    state: str
    matchers: tuple[Matcher, ...]
    starts: float
    ends: float
    updated: float
    author: str
    reason: str

    @property
    def holds(self) -> bool:
        """Whether it silences now, or will."""
        return self.state != "expired"

    @property
    def what(self) -> str:
        """Its matchers in one line."""
        return " ".join(map(str, self.matchers))

    def matcher(self, name: str) -> str:
        """The value that the label must have, "" where it may have several."""
        return next((one.value for one in self.matchers if one.name == name and one.operator == "="), "")


class FiringAlert(msgspec.Struct, frozen=True):
    """An alert, by what people know it."""

    labels: dict[str, str]
    annotations: dict[str, str] = {}

    @property
    def name(self) -> str:
        """The name of its rule."""
        return self.labels.get("alertname", "?")

    @property
    def title(self) -> str:
        """What a message says first."""
        return self.annotations.get("summary") or self.name


class _Status(msgspec.Struct):
    state: str


class _Matcher(msgspec.Struct):
    name: str
    value: str
    regex: bool = msgspec.field(default=False, name="isRegex")
    equal: bool = msgspec.field(default=True, name="isEqual")


class _Silence(msgspec.Struct):
    id: str
    status: _Status
    matchers: list[_Matcher]
    starts_at: str = msgspec.field(name="startsAt")
    ends_at: str = msgspec.field(name="endsAt")
    updated_at: str = msgspec.field(name="updatedAt")
    author: str = msgspec.field(default="", name="createdBy")
    reason: str = msgspec.field(default="", name="comment")


_SILENCES: msgspec.json.Decoder[list[_Silence]] = msgspec.json.Decoder(list[_Silence])
_ALERTS: msgspec.json.Decoder[list[FiringAlert]] = msgspec.json.Decoder(list[FiringAlert])


class Silences:
    """Those of the Alertmanager at `url` (without a slash at the end). Each method may raise `SilenceError`."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._client = ServerClient(url, TIMEOUT)

    def list(self) -> list[Silence]:
        """All that it holds, those that ended lately included; what ends last comes first."""
        answer = self._answer_of("GET", "/api/v2/silences")
        try:
            found = decode_untrusted(_SILENCES, answer.body)
        except msgspec.MsgspecError as error:
            raise SilenceError(
                _("Alertmanager at {url} answered with no list of silences").format(url=self._url)
            ) from error
        return sorted(map(_silence_of, found), key=lambda one: (one.state == "expired", -one.ends))

    def add(self, matchers: Sequence[Matcher], starts: float, ends: float, author: str, reason: str) -> str:
        """Make one; gives its id."""
        document = {
            "matchers": [
                {
                    "name": one.name,
                    "value": one.value,
                    "isRegex": "~" in one.operator,
                    "isEqual": not one.operator.startswith("!"),
                }
                for one in matchers
            ],
            "startsAt": isoformat(starts),
            "endsAt": isoformat(ends),
            "createdBy": author,
            "comment": reason,
        }
        answer = self._answer_of("POST", "/api/v2/silences", document)
        try:
            return str(answer.json()["silenceID"])
        except (ValueError, KeyError, TypeError) as error:
            raise SilenceError(
                _("Alertmanager at {url} did not say which silence it made").format(url=self._url)
            ) from error

    def end(self, id_: str) -> None:
        """End one now."""
        if not _ID.fullmatch(id_):
            raise RefusedError(_("{id} is no id of a silence").format(id=repr(id_[:64])))
        self._answer_of("DELETE", f"/api/v2/silence/{id_}")

    def affected(self, matchers: Sequence[Matcher]) -> Sequence[FiringAlert]:
        """The alerts that fire now and that all these match, with their `labels` and `annotations`."""
        answer = self._answer_of("GET", "/api/v2/alerts", parameters={"filter": [one.quoted for one in matchers]})
        try:
            return decode_untrusted(_ALERTS, answer.body)
        except msgspec.MsgspecError as error:
            raise SilenceError(
                _("Alertmanager at {url} answered with no list of alerts").format(url=self._url)
            ) from error

    def _answer_of(self, method: str, path: str, document: Any = None, parameters: Any = None) -> ServerAnswer:
        try:
            answer = self._client.request(method, path, document, parameters)
        except ServerError as error:
            raise SilenceError(
                _("Alertmanager does not answer at {url} ({error}); is it running?").format(url=self._url, error=error)
            ) from error
        if answer.status == 200:
            return answer
        kind = RefusedError if answer.status in (400, 404, 422) else SilenceError
        raise kind(
            _("Alertmanager answered {status}: {text}").format(
                status=answer.status, text=" ".join(answer.text.split())[:200]
            )
        )


def _silence_of(found: _Silence) -> Silence:
    operators = {(False, True): "=", (False, False): "!=", (True, True): "=~", (True, False): "!~"}
    return Silence(
        id=found.id,
        state=found.status.state,
        matchers=tuple(Matcher(one.name, operators[one.regex, one.equal], one.value) for one in found.matchers),
        starts=moment(found.starts_at) or 0.0,
        ends=moment(found.ends_at) or 0.0,
        updated=moment(found.updated_at) or 0.0,
        author=found.author,
        reason=found.reason,
    )
