"""The dead man's switch: a beat, as the Watchdog's. It is tested here, and beaten by Alertmanager."""

from __future__ import annotations

from urllib.parse import urlsplit

from vv_exporter.channels import Answer
from vv_exporter.channels._http import post
from vv_exporter.messages.message import Message
from vv_exporter.settings import Settings

ADDRESSED_BY = ("deadman_url",)


class Deadman:
    """Posts to `url`, which is the secret."""

    name = "deadman"
    title = "dead man's switch"

    def __init__(self, url: str) -> None:
        self._url = url
        self._secrets = (url, urlsplit(url).path)

    def send(self, message: Message) -> Answer:
        """One beat."""
        return post(self._url, {"status": message.status.lower()}, secrets=self._secrets)

    test = send


def build(settings: Settings) -> Deadman | None:
    """The channel, if it is configured."""
    return Deadman(settings.deadman_url.value) if settings.deadman_url else None
