"""The values that settings are made of, where Python has none that say enough."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass


@dataclass(frozen=True, slots=True)
class Secret:
    """A value that must not be shown: `str()` and `repr()` hide it."""

    value: str = field(repr=False)

    def __str__(self) -> str:
        return "(hidden)"

    def __bool__(self) -> bool:
        return bool(self.value)


def secrets_in(value: object) -> Iterator[str]:
    """Every secret of settings, of a mapping or a sequence of them."""
    if isinstance(value, Secret):
        yield value.value
    elif is_dataclass(value):
        for each in fields(value):
            yield from secrets_in(getattr(value, each.name))
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from secrets_in(part)
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from secrets_in(part)


def without_secrets(text: str, settings: object) -> str:
    """The text without what the settings hold as a secret: programs print it, as Alertmanager does a bot's token."""
    for secret in sorted({*secrets_in(settings)} - {""}, key=len, reverse=True):  # one may be part of another
        text = text.replace(secret, str(Secret(secret)))
    return text


@dataclass(frozen=True, slots=True)
class FreeSpace:
    """Least free space: as a share of the file system (0 to 1), in bytes, or both; None where not asked for.

    The bytes count only up to the share `most` of a file system: 50 GB are no sensible limit for a disk of 32.
    """

    ratio: float | None
    bytes: int | None
    most: float | None = None

    def bytes_of(self, size: float) -> float | None:
        """The limit in bytes on a file system of so many bytes: `min(bytes, most × size)`."""
        if self.bytes is None or self.most is None:
            return self.bytes
        return min(float(self.bytes), self.most * size)

    def least(self, size: float) -> float:
        """Free bytes below which a file system of so many bytes is under the limit: the larger of the two."""
        return max((self.ratio or 0.0) * size, self.bytes_of(size) or 0.0)


@dataclass(frozen=True, slots=True)
class QuietHours:
    """Times of the day (`HH:MM`) from `start` until `end`; it goes on past midnight where `end` is not later."""

    start: str
    end: str


class Duration(float):
    """Seconds, written `90`, `90s`, `15m`, `2h` or `1d`."""


@dataclass(frozen=True, slots=True)
class Dvr:
    """A DVR that is probed. `target` is the stream's path and query; without it only an answer is asked for."""

    host: str
    port: int = 554
    target: str = ""
    username: str = ""
    password: Secret = Secret("")
    interval: float = 30.0
    timeout: float = 10.0

    @property
    def address(self) -> str:
        """host:port, as it may be shown: paths of some makers hold passwords."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """The address for the DVR itself, without user and password."""
        return f"rtsp://{self.address}{self.target}"
