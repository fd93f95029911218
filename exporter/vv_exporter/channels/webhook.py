"""The generic webhook. Which alerts it gets, and when, is in `delivery/webhook.py`, which sends by this, too."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from vv_exporter import __version__
from vv_exporter.channels import Answer, Channel, ProviderError
from vv_exporter.channels._http import hidden, read_beginning, reason_of, seconds_asked, words_of
from vv_exporter.messages.message import Message, line
from vv_exporter.messages.webhook_event import NO_VIDEO, Event

if TYPE_CHECKING:
    import requests

TIMEOUT = (5.0, 15.0)  # seconds to connect, and to the answer
_RETRIED = (408, 425, 429)


class Webhook:
    """Posts to `url`, which is the secret. `clock` gives Unix seconds."""

    name = "webhook"
    title = "webhook"

    def __init__(self, url: str, clock: Callable[[], float]) -> None:
        self._url = url
        parts = urlsplit(url)
        self._secrets = tuple(filter(None, (url, parts.path.rstrip("/"), parts.query, parts.hostname)))
        self._clock = clock
        self._session: requests.Session | None = None

    def send(self, message: Message) -> Answer:
        """Send, and quote the answer."""
        headers = {"VV-Alert-Status": "firing", "Idempotency-Key": message.alert_id}
        return self.deliver(msgspec.json.encode(event(message)), headers, is_quoted=True)

    test = send

    def deliver(self, body: bytes, headers: Mapping[str, str], *, is_quoted: bool = False) -> Answer:
        """Post an event, and quote the answer if asked to: it could be endless. Raises `ProviderError`, which says
        by `refused` that the receiver will never take it."""
        import requests  # takes 60 ms, and is needed when something is sent
        from urllib3.exceptions import HTTPError

        if self._session is None:
            self._session = requests.Session()
            self._session.headers.update(
                {"User-Agent": f"vv-exporter/{__version__}", "Content-Type": "application/json"}
            )
        try:
            with self._session.post(
                self._url, data=body, headers=headers, timeout=TIMEOUT, allow_redirects=False, stream=True
            ) as answer:
                status, asked = answer.status_code, answer.headers.get("Retry-After", "")
                said = hidden(words_of(read_beginning(answer)), self._secrets) if is_quoted else ""
        except (requests.RequestException, HTTPError, OSError, ValueError) as error:  # its text names the address
            raise ProviderError(hidden(reason_of(error, TIMEOUT), self._secrets)) from None
        if 200 <= status < 300:
            return Answer(status, said)
        if 300 <= status < 400:
            said = "redirects are not followed, set WEBHOOK_URL to the final address"
        never = 400 <= status < 500 and status not in _RETRIED
        text = f"it answered {status}: {said}" if said else f"it answered {status}"
        raise ProviderError(text, status, seconds_asked(asked, self._clock()), refused=never)


def event(message: Message) -> Event:
    """What is posted."""
    return Event(
        timestamp=message.since,
        severity=message.severity.upper(),
        source_component=message.component,
        hostname=message.device,
        title=line(message.title, 300),
        message_details=message.details,
        suggested_actions=message.suggested_actions,
        video_file_context=message.video or NO_VIDEO,
        alert_id=message.alert_id,
    )


CHANNEL = Channel(
    name=Webhook.name,
    title=Webhook.title,
    kind="webhook",
    needs=("webhook_url",),
    build=lambda settings: Webhook(settings.webhook_url.value, time.time),
    addressed_by=("webhook_url",),
)
