"""The providers that the exporter can speak to itself: one file each, with `build(settings)`, found by being here.

Each sends one request (or mail) and gives what was answered. What notification libraries offer does not fit: they know
the providers' public addresses only, keep the answer to themselves, and log addresses that hold tokens.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from typing import NamedTuple, Protocol

from vv_exporter.direct.message import Message
from vv_exporter.settings import Settings

CHATS = ("slack", "telegram")
PAGERS = ("pagerduty", "opsgenie")


class Answer(NamedTuple):
    """What a provider said: its status (HTTP or SMTP) and a short text, without secrets."""

    status: int
    text: str


class ProviderError(Exception):
    """The provider did not take it. `status` is 0 when there was no answer; the message is one line without secrets.

    `refused` says that this very message is what it does not take, as far as the answer tells; `retry_after` is in
    seconds; `moved_to` is where the chat is now, if the provider says that.
    """

    def __init__(
        self, text: str, status: int = 0, retry_after: float = 0.0, refused: bool = False, moved_to: str = ""
    ) -> None:
        super().__init__(text)
        self.status = status
        self.retry_after = retry_after
        self.moved_to = moved_to
        self.refused = refused or status in (400, 413, 422)
        """Whether sending the same again is of no use."""


def defect(error: Exception) -> ProviderError:
    """What a provider raised that it should not, of this very message. Its text may hold an address."""
    return ProviderError(f"it cannot be sent ({type(error).__name__})", refused=True)


class Provider(Protocol):
    """A channel that is configured. `name` is the value of the label `channel`."""

    name: str
    title: str

    def send(self, message: Message) -> Answer:
        """Send. Raises `ProviderError`."""
        ...

    def test(self, message: Message) -> Answer:
        """Send what disturbs nobody for long. Raises `ProviderError`."""
        ...


def configured(settings: Settings) -> dict[str, Provider]:
    """Every provider that is configured, by its name."""
    found = {}
    for module in pkgutil.iter_modules(__path__):
        if not module.name.startswith("_"):
            build: Callable[[Settings], Provider | None] = importlib.import_module(f"{__name__}.{module.name}").build
            provider = build(settings)
            if provider is not None:
                found[provider.name] = provider
    return found
