"""The dead man's switch: an outside check that complains when it no longer hears the Watchdog.

Alertmanager beats it; here it is tested.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from vv_exporter.channels import Answer, Channel
from vv_exporter.channels._http import post
from vv_exporter.language import translatable
from vv_exporter.messages.message import Message

UNSET = translatable(
    "DEADMAN_URL: is not set; when this device is off nobody learns of it; "
    "set it to the address of a dead man's switch elsewhere (docs/delivery.md)"
)


class Deadman:
    """Posts to `url`, which is the secret."""

    name = "deadman"
    title = translatable("dead man's switch")

    def __init__(self, url: str) -> None:
        self._url = url
        self._secrets = (url, urlsplit(url).path)

    def send(self, message: Message) -> Answer:
        """One beat."""
        return post(self._url, {"status": message.status.lower()}, secrets=self._secrets)

    test = send


CHANNEL = Channel(
    name=Deadman.name,
    title=Deadman.title,
    kind="beat",
    needs=("deadman_url",),
    build=lambda settings: Deadman(settings.deadman_url.value),
    addressed_by=("deadman_url",),
    secrets={"deadman-url": lambda settings: settings.deadman_url},
)
