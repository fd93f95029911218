"""The channels that alerts go out by: one file each, which is all there is to a channel in Python.

A file defines `CHANNEL`. Beside it, the channel has its entry in `alertmanager/alertmanager.yml`, which names the
channel's secret file, and its texts in `alertmanager/templates/`.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from vv_exporter.settings import Secret, Settings

Entry = dict[str, Any]


def _as_committed(entry: Entry, _: Settings) -> Entry:
    return entry


def _no_problems(_: Settings) -> Iterable[str]:
    return ()


@dataclass(frozen=True, slots=True)
class Channel:
    """A way out. An entry of a receiver belongs to the channel whose secret file it names."""

    title: str
    """What people call it."""
    secrets: Mapping[str, Callable[[Settings], Secret]]
    """The name of each of its files in secrets/, and what it holds; none where Alertmanager has no part in it."""
    configured: Callable[[Settings], bool]
    adapt: Callable[[Entry, Settings], Entry] = _as_committed
    """An entry of a receiver as committed, with what is configured in its place."""
    problems: Callable[[Settings], Iterable[str]] = _no_problems
    """What cannot be used although it is set, one line each: the key and the cure."""
    urgent: bool = False
    """Whether it is told of errors or critical alerts, and meant to be read at once."""
    needs: str = ""
    """The variables that switch it on."""


@cache
def all_channels() -> tuple[Channel, ...]:
    """Every channel, in the order of their files' names."""
    names = sorted(info.name for info in pkgutil.iter_modules(__path__))
    return tuple(importlib.import_module(f"{__name__}.{name}").CHANNEL for name in names)


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
