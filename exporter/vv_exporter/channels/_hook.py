"""What channels have in common that are an address to post JSON to, which is the secret."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from vv_exporter.channels import Answer, Channel
from vv_exporter.channels._http import post
from vv_exporter.messages.message import Message


class Hook:
    """Posts what `document` makes of a message to `url`, for a channel."""

    def __init__(self, channel: Channel, url: str, document: Callable[[Message], dict[str, Any]]) -> None:
        self.name = channel.name
        self.title = channel.title
        self._url = url
        self._secrets = (url, urlsplit(url).path)
        self._document = document

    def send(self, message: Message) -> Answer:
        """Send."""
        return post(self._url, self._document(message), secrets=self._secrets)

    test = send
