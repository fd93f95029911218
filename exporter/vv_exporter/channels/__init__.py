"""The channels that alerts go out by: one file each, found by being here, which is all there is to a channel in Python.

A file defines `CHANNEL`: what it needs, how its entries are written for Alertmanager, how the exporter itself sends by
it and tries it. Beside it, the channel has its entries in `alertmanager/alertmanager.yml`, which name the channel's
secret file, and its texts in `alertmanager/templates/`.

What the exporter sends itself is one request (or mail), and it gives what was answered. What notification libraries
offer does not fit: they know the providers' public addresses only, keep the answer to themselves, and log addresses
that hold tokens.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal, NamedTuple, Protocol

from vv_exporter.messages.message import Message
from vv_exporter.settings import Secret, Settings, variables

Kind = Literal["chat", "pager", "mail", "webhook", "beat", "record"]
"""A `beat` hears that the device lives, and of no alert; a `record` is the exporter itself."""
Entry = dict[str, Any]
"""What a receiver of alertmanager.yml has for one channel."""

REACHED: Mapping[str, tuple[Kind, ...]] = {
    "critical": ("pager", "chat", "webhook"),
    "error": ("chat", "webhook"),
    "warning": ("chat", "mail", "webhook"),
}
"""What an alert of a severity, the gravest first, goes to, as `alertmanager/alertmanager.yml` routes it."""


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

    `refused` says that this very message is what it does not take, as far as the answer says; `retry_after` is in
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
    """What sends by a channel that is configured. `name` and `title` are the channel's."""

    name: str
    title: str

    def send(self, message: Message) -> Answer:
        """Send. Raises `ProviderError`."""
        ...

    def test(self, message: Message) -> Answer:
        """Send what disturbs nobody for long. Raises `ProviderError`."""
        ...


def _as_committed(entry: Entry, _: Settings) -> Entry:
    return entry


def _no_problems(_: Settings) -> Iterable[str]:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """A way out. An entry of a receiver belongs to the channel whose secret file it names. Settings are named by their
    fields in `Settings`."""

    name: str
    """The value of the label `channel`."""
    title: str
    """What people call it."""
    kind: Kind
    """Which decides on the severities that it gets."""
    needs: tuple[str, ...]
    """The settings that switch it on, together; none for what is always on."""
    build: Callable[[Settings], Provider] | None
    """What sends by it, once it is configured; None for what is not sent to."""
    addressed_by: tuple[str, ...] = ()
    """The settings that say where it leads, and as whom."""
    secrets: Mapping[str, Callable[[Settings], Secret]] = field(default_factory=dict)
    """The name of each of its files in secrets/, and what it holds; none where Alertmanager has no part in it."""
    adapt: Callable[[Entry, Settings], Entry] = _as_committed
    """An entry of a receiver as committed, with what is configured in its place."""
    problems: Callable[[Settings], Iterable[str]] = _no_problems
    """What cannot be used although it is set, one line each: the key and the cure."""
    receiver: str = ""
    """The receiver of alertmanager.yml whose webhook it is, where that has not its name."""

    def is_configured(self, settings: Settings) -> bool:
        """Whether all is set that it needs."""
        return all(getattr(settings, name) for name in self.needs)

    def variables(self) -> str:
        """The variables that switch it on, for people."""
        return ", ".join(variables()[name].name for name in self.needs)


@cache
def all_channels() -> tuple[Channel, ...]:
    """Every channel, in the order of their files' names."""
    names = sorted(info.name for info in pkgutil.iter_modules(__path__) if not info.name.startswith("_"))
    return tuple(importlib.import_module(f"{__name__}.{name}").CHANNEL for name in names)


@cache
def names_of(*kinds: Kind) -> tuple[str, ...]:
    """The names of the channels of these kinds, configured or not."""
    return tuple(channel.name for channel in all_channels() if channel.kind in kinds)


def switched_on(settings: Settings) -> list[Channel]:
    """The channels that are configured, without what is always on."""
    return [channel for channel in all_channels() if channel.needs and channel.is_configured(settings)]


def configured(settings: Settings) -> dict[str, Provider]:
    """What sends by each channel that is configured, by its name."""
    return {channel.name: channel.build(settings) for channel in switched_on(settings) if channel.build}


def addresses(settings: Settings) -> dict[str, str]:
    """Where each channel that is configured leads, and as whom: a text that is another when that is, and is secret."""
    return {
        channel.name: "\n".join(f"{name}={_plain_setting(getattr(settings, name))}" for name in channel.addressed_by)
        for channel in switched_on(settings)
    }


def owner(secret_files: Iterable[str]) -> Channel:
    """The channel that these secret files belong to. Raises `LookupError` where there is none."""
    files = set(secret_files)
    for channel in all_channels():
        if files & channel.secrets.keys():
            return channel
    raise LookupError(f"no channel owns {', '.join(sorted(files)) or 'an entry without a secret file'}")


def problems(settings: Settings) -> Iterator[str]:
    """What is set for channels and cannot be used, one line each."""
    for channel in all_channels():
        yield from channel.problems(settings)


def _plain_setting(setting: Secret | str) -> str:
    return setting.value if isinstance(setting, Secret) else setting
