"""The providers that the exporter can speak to itself: one file each, found by being here, with `build(settings)` and
`ADDRESSED_BY`: the settings that say where it leads and as whom.

Each sends one request (or mail) and gives what was answered. What notification libraries offer does not fit: they know
the providers' public addresses only, keep the answer to themselves, and log addresses that hold tokens.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, NamedTuple, Protocol

from vv_exporter.messages.message import Message
from vv_exporter.settings import Secret, Settings

CHATS = ("slack", "telegram")
PAGERS = ("pagerduty", "opsgenie")


class Answer(NamedTuple):
    """What a provider said: its status (HTTP or SMTP) and a short text, without secrets.

    `document` is its JSON, where it was some; not to be shown.
    `to_do` is what has to be set right although it took the message, if anything.
    """

    status: int
    text: str
    document: Any = None
    to_do: str = ""


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
    return {provider.name: provider for _, provider in _built(settings)}


def addresses(settings: Settings) -> dict[str, str]:
    """Where each channel that is configured leads, and as whom: a text that is another when that is, and is secret."""
    return {
        provider.name: "\n".join(f"{name}={_plain(getattr(settings, name))}" for name in module.ADDRESSED_BY)
        for module, provider in _built(settings)
    }


def _built(settings: Settings) -> Iterator[tuple[ModuleType, Provider]]:
    """Each file that makes a provider of the settings."""
    for found in pkgutil.iter_modules(__path__):
        if not found.name.startswith("_"):
            module = importlib.import_module(f"{__name__}.{found.name}")
            build: Callable[[Settings], Provider | None] = module.build
            provider = build(settings)
            if provider is not None:
                yield module, provider


def _plain(setting: Secret | str) -> str:
    return setting.value if isinstance(setting, Secret) else setting
